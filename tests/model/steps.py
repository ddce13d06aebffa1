"""The words a schedule is told in. Knows nothing of tokens."""

import itertools
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# The machine is slow, not the test: nothing waits for this long unless the scheduler itself is broken.
STUCK_SECONDS = 120
CRASH = "crash"


class Violation(Exception):
    """A schedule broke a guarantee."""


class Abandoned(BaseException):
    """Ends a thread whose process has crashed, or whose schedule needs no end; no code of ours catches it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a parked thread does next."""

    text: str
    faults: tuple[str, ...] = ()
    """What may befall it."""
    is_enabled: Callable[[], bool] = lambda: True


class Actor:
    """A thread under control, in a process that can crash."""

    def __init__(self, name: str, process: str) -> None:
        self.name = name
        self.process = process
        self.step: Step | None = None
        """None: it has ended, or not begun."""
        self.has_crashed = False
        self.history = hash(name)
        """Stands for all that the thread has seen, and so for the state it is in."""
        self.loops: dict[Hashable, int] = {}
        self.outcome: Any = None
        """What its work returned, or raised."""
        self.numbers = itertools.count(1)
        # Closed; opened once for each time the thread is chosen.
        self._gate = threading.Lock()
        self._gate.acquire()

    def saw(self, *seen: Hashable) -> None:
        self.history = hash((self.history, *seen))

    def wait(self) -> None:
        if not self._gate.acquire(timeout=STUCK_SECONDS):
            raise RuntimeError(f"{self.name} was never chosen")

    def wake(self) -> None:
        self._gate.release()

    @property
    def goes_on(self) -> bool:
        return self.step is not None and not self.has_crashed

    @property
    def is_ready(self) -> bool:
        return self.step is not None and not self.has_crashed and self.step.is_enabled()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens of itself: time passes, the store comes back."""

    text: str
    happen: Callable[[], None]
    is_fault: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One way to go on."""

    label: str
    actor: Actor | None = None
    fault: str | None = None
    event: Event | None = None
    is_preemption: bool = False
    """Another thread is chosen although the last one could go on."""

    @property
    def is_fault(self) -> bool:
        return self.fault is not None or (self.event is not None and self.event.is_fault)


class Surroundings(Protocol):
    """What the threads touch."""

    def state(self) -> Hashable:
        """Return everything outside the threads that one of them, or a guarantee, can depend on."""

    def moment(self) -> Hashable:
        """Return what time it is."""

    def events(self) -> Sequence[Event]:
        """Return what may happen of itself now."""

    def end_of_waiting(self) -> Event | None:
        """Return what happens where everybody waits; None: waiting helps nobody."""

    def crash(self, process: str) -> None:
        """Note that a process is gone."""

    def check(self) -> None:
        """Raise Violation if a guarantee is broken."""


Decide = Callable[[Sequence[Option], Callable[[], Hashable]], Option | None]
"""Chooses, and is handed what computes the whole state; None: what can come from here is known."""
