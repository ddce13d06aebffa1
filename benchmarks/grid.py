"""Every subject at every delay and number of connections, in turn, so that all have the same weather."""

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.crowd import crowd
from benchmarks.figures import Figure, figure
from benchmarks.load import Caller, Load, Request
from benchmarks.processes import Program, cpu_seconds
from benchmarks.subjects import Subject, Subjects
from benchmarks.world import World

# Fewer requests cost less than the clock of /proc counts (10 ms).
FEWEST_FOR_CPU = 100
# Roles are known and tokens minted before anything is counted.
WARM_SECONDS = 2.0
WARM_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Place:
    """One subject in one situation; `delay` in milliseconds."""

    subject: str
    delay: int
    connections: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one load showed."""

    load: Load
    cpu: float | None
    """Milliseconds of processor time a request; None: too few, or not to be had."""
    lists: float | None
    """Questions for a list that reached the upstream, per request."""


@dataclass(slots=True)
class Grid:
    """All runs by place."""

    runs: dict[Place, list[Run]] = field(default_factory=dict)

    def values(self, place: Place, of: Callable[[Run], float | None]) -> Figure | None:
        """Return one of a place's figures; None: it was not measured."""
        return figure([of(run) for run in self.runs.get(place, [])])

    def per_second(self, place: Place) -> Figure | None:
        """Return requests a second."""
        return self.values(place, lambda run: run.load.per_second)

    def cpu(self, place: Place) -> Figure | None:
        """Return milliseconds of processor time a request."""
        return self.values(place, lambda run: run.cpu)

    @property
    def failed(self) -> dict[str, int]:
        """How many requests of each subject failed, where any did."""
        failed: dict[str, int] = {}
        for place, runs in self.runs.items():
            count = sum(run.load.failed for run in runs)
            if count:
                failed[place.subject] = failed.get(place.subject, 0) + count
        return failed


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    delays: tuple[int, ...]
    connections: tuple[int, ...]
    rounds: int
    seconds: float
    compared: frozenset[tuple[int, int]] = frozenset()
    """Delays with connections at which ratios are taken."""
    compared_rounds: int = 0
    """Rounds there: how connections fall to the workers is chance, and can halve what a round shows."""

    def rounds_at(self, delay: int, connections: int) -> int:
        """Return how often every subject is measured there."""
        return max(self.rounds, self.compared_rounds) if (delay, connections) in self.compared else self.rounds


def measure_grid(
    world: World, subjects: Subjects, caller: Caller, extent: Extent, progress: Callable[[str], None]
) -> Grid:
    """Return what every subject showed everywhere."""
    grid = Grid()
    for delay in extent.delays:
        world.set_delay(delay)
        requests = {one.name: one.requests() for one in subjects.present}
        for one in subjects.at(delay, WARM_CONNECTIONS):
            if one.restart is None:
                caller.load(one.program, requests[one.name], connections=WARM_CONNECTIONS, seconds=WARM_SECONDS)
        rounds = {connections: extent.rounds_at(delay, connections) for connections in extent.connections}
        for number in range(1, max(rounds.values()) + 1):
            for connections in (one for one in extent.connections if number <= rounds[one]):
                progress(f"upstream {delay} ms, {connections} connections, round {number} of {rounds[connections]}")
                for one in subjects.at(delay, connections):
                    run = _run(world, one, requests[one.name], caller, connections, extent.seconds)
                    grid.runs.setdefault(Place(one.name, delay, connections), []).append(run)
    return grid


def _run(
    world: World, subject: Subject, requests: list[Request], caller: Caller, connections: int, seconds: float
) -> Run:
    program = _ready(subject)
    if subject.is_warmed:
        crowd(program, requests, window_seconds=0, folder=world.folder)
    world.counts()
    world.forget_counts()
    before = cpu_seconds(program.processes())
    load = caller.load(program, requests, connections=connections, seconds=seconds)
    after = cpu_seconds(program.processes())
    lists = world.counts().lists
    enough = load.requests >= FEWEST_FOR_CPU and subject.has_own_cpu
    cpu = (after - before) / load.requests * 1000 if enough and before is not None and after is not None else None
    return Run(load, cpu, lists / load.requests if load.requests else None)


def _ready(subject: Subject) -> Program:
    if subject.restart is not None:
        subject.program.stop()
        subject.program = subject.restart()
    return subject.program
