"""Tries every schedule within bounds: depth first, each from its beginning, none twice from the same state on.

Where that takes too long, a sample of them: at each decision an option is drawn.
"""

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

from tests.model.scheduler import Schedule
from tests.model.steps import Option, Violation

UNBOUNDED = 10**6
GOES_ON_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far schedules go."""

    faults: int = 0
    """How many in one schedule."""
    preemptions: int = UNBOUNDED
    """How often in one schedule a thread is interrupted that could have gone on."""
    schedules: int = UNBOUNDED
    """How many are run at most; reaching it leaves the search incomplete."""
    is_sample: bool = False
    """Whether so many are drawn instead, the same ones in each run."""

    def sampled(self, schedules: int) -> "Bounds":
        """Return bounds under which so many schedules are drawn."""
        return replace(self, schedules=schedules, is_sample=True)

    def deeper(self, by: int, schedules: int) -> "Bounds":
        """Return bounds that allow `by` more faults and interruptions, and at most so many schedules."""
        return replace(
            self, faults=self.faults + by, preemptions=min(UNBOUNDED, self.preemptions + by), schedules=schedules
        )


@dataclass
class _Node:
    """A decision of the schedule that is being run, and what is left to try there."""

    labels: list[str]
    chosen: int = 0


@dataclass
class Explored:
    """What a search has seen."""

    schedules: int = 0
    cut: int = 0
    """Of these, how many were left where they came to a known state."""
    states: int = 0
    steps: int = 0
    is_complete: bool = False
    violation: Violation | None = None
    trace: list[str] = field(default_factory=list)
    """The steps of the schedule that broke a guarantee."""
    choices: list[int] = field(default_factory=list)
    """What was chosen at each of its decisions; empty for one that was drawn."""

    def __str__(self) -> str:
        if self.violation is not None:
            steps = "\n  ".join(self.trace)
            return f"{self.violation}\nThe schedule, the {self.schedules}th that was tried:\n  {steps}\n"
        how = "all" if self.is_complete else "not all"
        return f"{self.schedules} schedules ({how} within the bounds), {self.states} states, {self.steps} steps"


class Diverged(Exception):
    """The same choices led elsewhere: something that matters is not under control."""


class Explorer:
    """Decides in the place of chance. One search: `explore` once.

    `first`: the choices of the schedule to begin with; else the first option each time.
    """

    def __init__(self, bounds: Bounds, first: Sequence[int] = ()) -> None:
        self._bounds = bounds
        self._first = first
        self._path: list[_Node] = []
        self._depth = 0
        self._faults = 0
        self._preemptions = 0
        self._known: dict[Hashable, list[tuple[int, int]]] = {}
        # The same draws in each run: a red test is red again.
        self._random = random.Random(0)  # noqa: S311 - no secret

    def explore(self, run: Callable[[Callable[..., Option | None]], Schedule]) -> Explored:
        """Run schedules until one breaks a guarantee or all are done; `run` runs one by the decisions it is handed."""
        explored = Explored()
        while explored.schedules < self._bounds.schedules:
            self._depth = self._faults = self._preemptions = 0
            schedule = run(self.decide)
            explored.schedules += 1
            explored.cut += schedule.was_cut
            explored.steps += len(schedule.trace)
            explored.states = len(self._known)
            if schedule.violation is not None:
                explored.violation, explored.trace = schedule.violation, schedule.trace
                explored.choices = [node.chosen for node in self._path]
                return explored
            if not self._bounds.is_sample and not self._next_path():
                explored.is_complete = True
                return explored
        return explored

    def decide(self, options: Sequence[Option], state: Callable[[], Hashable]) -> Option | None:
        """Return the next option of the path, or what a new decision begins with; None: the state is known."""
        options = [option for option in options if self._is_within(option)]
        if self._bounds.is_sample:
            # Mostly the thread that is running goes on: else a schedule's one fault would come at its beginning.
            option = options[0] if self._random.random() < GOES_ON_SHARE else self._random.choice(options)
        elif len(options) > 1:
            labels = [option.label for option in options]
            if self._depth == len(self._path):
                if self._is_known(options, state):
                    return None
                self._path.append(_Node(labels, self._begins_with(labels)))
            node = self._path[self._depth]
            if node.labels != labels:
                raise Diverged(f"here was a choice of {node.labels}, and now of {labels}")
            self._depth += 1
            option = options[node.chosen]
        else:
            option = options[0]
        self._faults += option.is_fault
        self._preemptions += option.is_preemption
        return option

    def _begins_with(self, labels: list[str]) -> int:
        choice = self._first[self._depth] if self._depth < len(self._first) else 0
        return choice if choice < len(labels) else 0

    def _is_within(self, option: Option) -> bool:
        return (
            self._faults + option.is_fault <= self._bounds.faults
            and self._preemptions + option.is_preemption <= self._bounds.preemptions
        )

    def _is_known(self, options: Sequence[Option], state: Callable[[], Hashable]) -> bool:
        """Return whether this state was met before with as much still allowed; and remember it."""
        key: Hashable = state()
        if self._bounds.preemptions != UNBOUNDED:
            # Whose turn it is decides what will count as an interruption.
            key = (key, options[0].label)
        spent = (self._faults, self._preemptions if self._bounds.preemptions != UNBOUNDED else 0)
        met = self._known.setdefault(key, [])
        if any(faults <= spent[0] and preemptions <= spent[1] for faults, preemptions in met):
            return True
        met.append(spent)
        return False

    def _next_path(self) -> bool:
        while self._path:
            node = self._path[-1]
            node.chosen += 1
            if node.chosen < len(node.labels):
                return True
            self._path.pop()
        return False
