"""Everything that one run has measured, and the ratios that matter in it."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.events import HERD_BOUND_MILLISECONDS, Event
from benchmarks.figures import Figure
from benchmarks.footprint import Kept, Memory, StartUp
from benchmarks.grid import Extent, Grid, Place
from benchmarks.opening import CROWD, OURS, ROUND_TRIPS, ROWS, Opened, Openings
from benchmarks.subjects import CACHED, DIRECT, FLOOR, MANY_NAIVE, NAIVE, UNCACHED, Subjects
from benchmarks.upstream import INTEGRATIONS

# Where subjects are compared: enough callers to keep two cores busy, few enough that nobody queues for long.
CONNECTIONS = 64
DELAY = 50
# In the place of a figure that there is none of.
NOTHING = "—"


@dataclass(frozen=True, slots=True)
class Results:
    """What a run has measured."""

    extent: Extent
    subjects: Subjects
    grid: Grid
    herd: list[Event]
    storm: Event
    start_up: StartUp
    memory: Memory | None
    """None: there is no /proc."""
    kept: Kept
    commands: dict[str, Figure]
    """Commands to Redis for one request, by subject."""
    openings: Openings


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that docs/benchmarks.md promises, and how it is checked.

    `aim` is what was set out for, `held` what a change may not make worse: one is at least, or at most, both.
    """

    name: str
    value: float | None
    """None: it could not be measured here."""
    aim: float | None
    held: float | None
    """None: it depends on the machine, and is shown but not checked."""
    at_least: bool
    digits: int = 2
    unit: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Whether it is as good as aimed for; None: nothing was measured, or aimed for."""
        return self._satisfies(self.aim)

    @property
    def is_held(self) -> bool | None:
        """Whether it is no worse than it was; None: it cannot be told."""
        return self._satisfies(self.held)

    def _satisfies(self, bound: float | None) -> bool | None:
        if self.value is None or bound is None:
            return None
        return self.value >= bound if self.at_least else self.value <= bound

    def shown(self, number: float | None) -> str:
        """Return a number as this measure's are shown."""
        return NOTHING if number is None else f"{number:,.{self.digits}f}{self.unit}"


def opening_measures(openings: Openings) -> list[Measure]:
    """Return what was aimed for where a ticket is opened."""

    def median(of: Callable[[Opened], list[float]], *, warm: bool) -> float | None:
        opened = openings.by_kind.get((OURS, ROUND_TRIPS[-1], warm))
        return Figure(tuple(of(opened))).median if opened else None

    warm = openings.by_kind.get((OURS, ROUND_TRIPS[0], True))
    cpu, listed = warm.cpu_milliseconds if warm else None, openings.list_cpu_milliseconds
    return [
        Measure("opening, warm: answers", median(lambda one: one.answers, warm=True), 1, 1, False, 0),
        Measure("opening, warm: round trips", openings.round_trips(OURS, warm=True), 2, 2.5, False, 1),
        Measure("opening, cold: round trips", openings.round_trips(OURS, warm=False), 4, 4.5, False, 1),
        Measure("opening, cold: bytes", median(lambda one: one.kilobytes, warm=False), 60, 60, False, 0, " KB"),
        Measure("CPU of a warm opening / of a cached list", cpu / listed if cpu and listed else None, 4, 6, False, 1),
        *(
            Measure(
                f"first paint of {rows:,} rows",
                openings.paint[rows].median if rows in openings.paint else None,
                bound,
                None,
                False,
                0,
                " ms",
            )
            for rows, bound in zip(ROWS, (100, 250), strict=True)
        ),
        Measure(f"{CROWD} openings within a second: seen", openings.crowd_seen, CROWD, CROWD, True, 0),
        Measure(f"{CROWD} openings within a second: p99", openings.crowd_p99, 500, None, False, 0, " ms"),
    ]


def measures(results: Results) -> list[Measure]:
    """Return everything that was aimed for, in the order of the issue."""
    grid, delays = results.grid, results.extent.delays
    fastest = delays[0]
    middle = DELAY if DELAY in delays else delays[-1]
    seen_lately = results.herd[0]
    memory, kept = results.memory, results.kept

    def ratio(one: str, other: str, delay: int, of: Callable[[Place], Figure | None] = grid.per_second) -> float | None:
        above, below = (of(Place(name, delay, CONNECTIONS)) for name in (one, other))
        return above.median / below.median if above and below and below.median else None

    uncached_cpu = grid.cpu(Place(UNCACHED, fastest, CONNECTIONS))
    floor_cpu = grid.cpu(Place(FLOOR, middle, CONNECTIONS))
    added = uncached_cpu.median if uncached_cpu else None
    relative = added / floor_cpu.median if added is not None and floor_cpu else None
    return [
        *opening_measures(results.openings),
        Measure("cached list / Flask floor", ratio(CACHED, FLOOR, middle), 0.6, 0.4, True),
        Measure("CPU of a cached list / of the floor", ratio(CACHED, FLOOR, middle, grid.cpu), None, 2.5, False),
        # Not held where one side is Zendesk's delay: such a ratio tells how quick the machine is.
        Measure(f"cached list / naive, upstream {middle} ms", ratio(CACHED, NAIVE, middle), 50, None, True, 1),
        Measure(
            f"cached list / naive with 5 workers, {middle} ms", ratio(CACHED, MANY_NAIVE, middle), None, None, True, 1
        ),
        Measure(f"uncached / naive, upstream {fastest} ms", ratio(UNCACHED, NAIVE, fastest), 2, 0.35, True),
        Measure("CPU added to a call", added, 0.9, None, False, 2, " ms"),
        Measure("CPU added to a call / the floor's", relative, None, 9, False),
        Measure(f"uncached / direct, upstream {middle} ms", ratio(UNCACHED, DIRECT, middle), 0.9, None, True),
        Measure("herd: lists asked per integration", seen_lately.most("lists") / len(INTEGRATIONS), 1, 1, False, 0),
        Measure("herd: refused", seen_lately.refused, 0, 0, False, 0),
        Measure("herd: p99", seen_lately.latency("p99").median, HERD_BOUND_MILLISECONDS, None, False, 0, " ms"),
        Measure("storm: refreshes", results.storm.most("refreshes"), 1, 1, False, 0),
        Measure("storm: refused", results.storm.refused, 0, 0, False, 0),
        Measure("ready after", results.start_up.service.median, 2, None, False, 2, " s"),
        Measure(
            "ready after / the floor",
            results.start_up.service.median / results.start_up.floor.median,
            None,
            5,
            False,
        ),
        Measure("a worker's memory, started", memory.fresh.median if memory else None, 80, 60, False, 1, " MB"),
        Measure(
            f"a worker's memory, {memory.accounts:,} accounts served" if memory else "a worker's memory, busy",
            memory.busy.median if memory else None,
            80,
            90,
            False,
            1,
            " MB",
        ),
        Measure("in Redis per connected account", kept.connection.median, 2048, 3200, False, 0, " B"),
        Measure("commands to Redis per cached list", results.commands[CACHED].median, None, 6, False, 1),
        Measure("commands to Redis per uncached list", results.commands[UNCACHED].median, None, 7, False, 1),
    ]
