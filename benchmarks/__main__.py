"""`python -m benchmarks`: compares the service with what else one could do, and prints tables in Markdown.

--quick   fewer delays, connections and rounds: some two minutes instead of some fourteen
--check   exits with status 1 if a ratio is worse than what has to be held
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.check import regressions, unmeasured
from benchmarks.events import measure_herd, measure_storm
from benchmarks.footprint import (
    MANY_ACCOUNTS,
    commands_per_request,
    measure_kept,
    measure_memory,
    measure_start_up,
)
from benchmarks.grid import Extent, measure_grid
from benchmarks.load import Caller
from benchmarks.opening import measure_openings
from benchmarks.report import report
from benchmarks.results import CONNECTIONS, DELAY, Results, measures
from benchmarks.subjects import CACHED, TITLES, UNCACHED, start_subjects
from benchmarks.world import World

FULL = Extent(
    delays=(0, 50, 200),
    connections=(1, 16, 64, 256),
    rounds=3,
    seconds=2,
    compared=frozenset({(0, CONNECTIONS), (DELAY, CONNECTIONS)}),
    compared_rounds=9,
)
QUICK = Extent(delays=(0, 50), connections=(64,), rounds=3, seconds=1)
QUICK_ACCOUNTS = 1000


class Progress:
    """Says what is being done, and how long it has been going on."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, doing: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        print(f"{minutes:2}:{seconds:02}  {doing}", file=sys.stderr, flush=True)


def run(extent: Extent, rounds: int, accounts: int, caller: Caller, world: World) -> Results:
    """Measure everything."""
    progress = Progress()
    progress("starting what is compared")
    subjects = start_subjects(world, 50)
    grid = measure_grid(world, subjects, caller, extent, progress)
    progress("what Redis keeps and is asked")
    world.set_delay(0)
    by_name = {one.name: one for one in subjects.present}
    commands = {
        name: commands_per_request(world, by_name[name].program, by_name[name].requests(), caller)
        for name in (CACHED, UNCACHED)
    }
    kept = measure_kept(world, subjects.cached, caller)
    subjects.stop()
    openings = measure_openings(world, rounds + 2, progress)
    start_up = measure_start_up(world, rounds, progress)
    herd = measure_herd(world, rounds, progress)
    storm = measure_storm(world, rounds, progress)
    memory = measure_memory(world, caller, accounts, progress)
    progress("done")
    return Results(extent, subjects, grid, herd, storm, start_up, memory, kept, commands, openings)


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some two minutes instead of some fourteen")
    parser.add_argument("--check", action="store_true", help="fail if a ratio is worse than what has to be held")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, World(Path(folder)) as world:
        caller = Caller(Path(folder))
        extent, rounds, accounts = (QUICK, 1, QUICK_ACCOUNTS) if wish.quick else (FULL, 3, MANY_ACCOUNTS)
        results = run(extent, rounds, accounts, caller, world)
        print(report(results, caller))
    if not wish.check:
        return 0
    measured = measures(results)
    for name in unmeasured(measured):
        print(f"not checked, because it cannot be measured here: {name}")
    worse = regressions(measured)
    worse += [f"{TITLES[name]}: {count} requests failed" for name, count in results.grid.failed.items()]
    for sentence in worse:
        print(f"WORSE  {sentence}")
    print("a ratio got worse" if worse else "every ratio is held")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
