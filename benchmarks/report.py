"""The tables, as Markdown: docs/benchmarks.md holds them, README quotes some."""

import os
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.events import DELAY_MILLISECONDS, HERD, STORM, Event
from benchmarks.figures import Figure
from benchmarks.grid import Grid, Place, Run
from benchmarks.load import Caller
from benchmarks.opening import Openings
from benchmarks.processes import WORKERS
from benchmarks.results import NOTHING, Measure, Results, measures, opening_measures
from benchmarks.subjects import CACHED, TITLES, UNCACHED


def report(results: Results, caller: Caller) -> str:
    """Return everything that was measured."""
    parts = [
        _machine(caller),
        "### Opening a ticket",
        opening_tables(results.openings),
        "### Aims",
        _table(("", "measured", "aim", ""), [_aim(one) for one in measures(results)]),
        *(_grid(results, connections) for connections in results.extent.connections),
        "### At once",
        _events(results),
        "### Footprint",
        _footprint(results),
    ]
    missing = [f"Not measured: {TITLES[name]} ({why})." for name, why in results.subjects.missing.items()]
    failed = [f"FAILED requests: {TITLES[name]}: {count}." for name, count in results.grid.failed.items()]
    return "\n\n".join([*parts, *missing, *failed]) + "\n"


def opening_tables(openings: Openings) -> str:
    """Return what opening a ticket came to."""
    if not openings.by_kind:
        return f"Not measured: opening a ticket in a browser ({openings.why})."
    rows = []
    for (subject, rtt, warm), opened in openings.by_kind.items():
        figures = [Figure(tuple(values)) for values in (opened.seconds, opened.answers, opened.kilobytes)]
        seconds, answers, kilobytes = (
            one.shown(digits, unit) for one, digits, unit in zip(figures, (2, 0, 1), (" s", "", " KB"), strict=True)
        )
        cpu = NOTHING if opened.cpu_milliseconds is None else f"{opened.cpu_milliseconds:.1f} ms"
        rows.append((subject, "warm" if warm else "cold", f"{rtt} ms", seconds, answers, kilobytes, cpu))
    columns = ("", "browser", "round trip", "first row seen", "answers", "bytes", "CPU")
    painted = [(f"{rows:,} rows", figure.shown(0, " ms")) for rows, figure in openings.paint.items()]
    return f"{_table(columns, rows)}\n\n{_table(('from the page to its first row seen', ''), painted)}"


def opening_report(openings: Openings) -> str:
    """Return the aims of opening a ticket, and what was measured."""
    aims = _table(("", "measured", "aim", ""), [_aim(one) for one in opening_measures(openings)])
    listed = openings.list_cpu_milliseconds
    told = "" if listed is None else f"\n\nA cached list, asked for by itself, costs {listed:.2f} ms of CPU."
    return f"{aims}\n\n{opening_tables(openings)}{told}"


def _machine(caller: Caller) -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    waiting = os.getloadavg()[1]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({model}), {platform.system()}, Python "
        f"{platform.python_version()}; load of the last five minutes {waiting:.1f}. Callers ({caller.name}), store, "
        f"upstream and what is measured share the machine. {WORKERS} workers each. Medians, with the farthest "
        "measurement's distance from them."
    )


def _aim(measure: Measure) -> tuple[str, ...]:
    bound = "≥ " if measure.at_least else "≤ "
    verdict = {True: "reached", False: "**not reached**", None: ""}[measure.is_reached]
    aim = "" if measure.aim is None else bound + measure.shown(measure.aim)
    return measure.name, measure.shown(measure.value), aim, verdict


def _grid(results: Results, connections: int) -> str:
    rows = []
    for delay in results.extent.delays:
        for subject in results.subjects.at(delay, connections):
            place = Place(subject.name, delay, connections)
            rows.append((f"{delay} ms", TITLES[subject.name], *_cells(results.grid, place)))
    columns = ("upstream", "", "requests/s", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "lists asked")
    title = f"{connections} connection{'s' if connections > 1 else ''}"
    return f"### {title}\n\n" + _table(columns, rows)


def _cells(grid: Grid, place: Place) -> list[str]:
    shown: list[tuple[Callable[[Run], float | None], int]] = [
        (lambda run: run.load.per_second, 0),
        (lambda run: run.load.p50, 1),
        (lambda run: run.load.p95, 1),
        (lambda run: run.load.p99, 1),
        (lambda run: run.cpu, 2),
        (lambda run: run.lists, 3),
    ]
    return [_shown(grid.values(place, of), digits) for of, digits in shown]


def _shown(figure: Figure | None, digits: int = 0, unit: str = "") -> str:
    return NOTHING if figure is None else figure.shown(digits, unit)


def _events(results: Results) -> str:
    herd = [_event(f"{HERD:,} sidebars within a second, {one.name}", one) for one in results.herd]
    storm = _event(f"{STORM} callers with {results.storm.name}, uncached", results.storm)
    columns = (
        f"upstream {DELAY_MILLISECONDS} ms", "p50 ms", "p99 ms", "refused", "lists asked", "roles asked", "refreshes",
    )  # fmt: skip
    return _table(columns, [*herd, storm])


def _event(name: str, event: Event) -> tuple[str, ...]:
    asked = (str(event.most(kind)) for kind in ("lists", "users", "refreshes"))
    return name, event.latency("p50").shown(), event.latency("p99").shown(), str(event.refused), *asked


def _footprint(results: Results) -> str:
    memory = results.memory
    rows = [
        ("from the command to ready, this service", results.start_up.service.shown(2, " s")),
        ("the same, Flask answering a constant", results.start_up.floor.shown(2, " s")),
        ("memory of a worker, started", _shown(memory.fresh if memory else None, 1, " MB")),
        (
            f"memory of a worker, {memory.accounts:,} accounts served" if memory else "memory of a worker, busy",
            _shown(memory.busy if memory else None, 1, " MB"),
        ),
        ("in Redis per connected account with one integration", results.kept.connection.shown(0, " B")),
        ("in Redis per account for its first entry of activity", results.kept.activity.shown(0, " B")),
        ("in Redis per list of 12 job specs", results.kept.list.shown(0, " B")),
        ("commands to Redis, cached list", results.commands[CACHED].shown(1)),
        ("commands to Redis, uncached list", results.commands[UNCACHED].shown(1)),
    ]
    return _table(("", ""), rows)


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
