"""Locks, sleep, new threads and chance, as far as they belong to a schedule."""

import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar, cast
from unittest.mock import patch

from service.grants.leases import Leases, _ThreadLock
from service.ground.executor import Executor
from service.ground.subdomains import Subdomain
from service.store.store import Store
from tests.model.edges import World
from tests.model.guarantees import LEAST_WAIT_SECONDS
from tests.model.scheduler import Schedule
from tests.model.steps import Step

T = TypeVar("T")


class SteppedLeases(Leases):
    """Leases whose waiting is a step, so that a thread in line does not hold up the schedule."""

    def __init__(self, store: Store, executor: Executor, world: World, process: str) -> None:
        super().__init__(store, executor)
        self._world = world
        self._process = process

    def _thread_lock(self, key: str) -> _ThreadLock:
        turn = super()._thread_lock(key)
        name = f"{self._process}'s turn to {key.rpartition('lease:')[2]}"
        # Whether it is taken is kept by its name, so that any number of objects are one lock.
        turn.lock = cast("threading.Lock", SteppedLock(self._world, name))
        return turn


class SteppedExecutor(Executor):
    """Begins a thread for each work: one that waits for more would hold up the schedule."""

    def begin(
        self,
        account: Subdomain,  # noqa: ARG002 - none hangs
        name: str,
        work: Callable[[], T],
        *,
        when_free: Callable[[], None] | None = None,  # noqa: ARG002 - there always is one
    ) -> "Future[T]":
        future: Future[T] = Future()
        threading.Thread(target=lambda: future.set_result(work()), name=name, daemon=True).start()
        return future


class SteppedLock:
    """A lock in one process; taking it is a step."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        began, schedule, taken = time.time(), self._world.schedule, self._world.taken
        # A wait with a limit ends where time passes; the code under test then looks at its deadline.
        may_end = not blocking or timeout >= 0

        def may_go_on() -> bool:
            return self._name not in taken or (may_end and (not blocking or time.time() > began))

        schedule.at(Step(f"takes {self._name}", is_enabled=may_go_on))
        is_ours = self._name not in taken
        taken.add(self._name)
        schedule.happened(f"takes {self._name} → {'ours' if is_ours else 'taken'}", changes=False)
        return is_ours

    def release(self) -> None:
        self._world.schedule.stop_if_over()
        self._world.taken.discard(self._name)
        self._world.schedule.changes += 1


@contextmanager
def under_control(schedule_now: Callable[[], Schedule | None], let_pass: Callable[[float], None]) -> Iterator[None]:
    """Let sleeping, new threads and random names belong to whatever schedule is being run; None: there is none yet.

    `let_pass`: what it is to this thread to sleep, once a schedule has ended.
    """
    searcher = threading.current_thread()
    real_sleep, real_wait, real_start = time.sleep, threading.Condition.wait, threading.Thread.start
    real_hex = secrets.token_hex

    def ours() -> Schedule | None:
        """Return the schedule that the calling thread belongs to; None: to none."""
        schedule = schedule_now()
        return schedule if schedule is not None and schedule.current is not None else None

    def sleep(seconds: float) -> None:
        schedule = ours()
        if schedule is not None:
            schedule.nap(_place())
        elif threading.current_thread() is searcher:
            let_pass(seconds)
        else:
            real_sleep(seconds)

    def wait(condition: threading.Condition, timeout: float | None = None) -> bool:
        schedule = ours()
        # Without a limit it is no waiting of ours: a thread waits until the one it starts has begun.
        if schedule is None or timeout is None:
            return real_wait(condition, timeout)
        condition.release()
        try:
            schedule.nap(_place())
        finally:
            condition.acquire()
        return False

    def start(thread: threading.Thread) -> None:
        schedule = ours()
        if schedule is not None:
            schedule.adopt(thread)
        real_start(thread)

    def token_hex(size: int | None = None) -> str:
        schedule = ours()
        actor = None if schedule is None else schedule.current
        return real_hex(size) if actor is None else f"{actor.name} {next(actor.numbers)}"

    with (
        patch.object(time, "sleep", sleep),
        # The frozen clock does not hold this one.
        patch.object(time, "monotonic", time.time),
        patch.object(threading.Condition, "wait", wait),
        patch.object(threading.Thread, "start", start),
        patch.object(secrets, "token_hex", token_hex),
        # The cool-down's jitter; the shortest wait is the one to judge.
        patch("random.uniform", lambda low, _high: low),
        # Longer, it would hide a wait that is not begun.
        patch("service.grants.cool_down.TRIAL_SECONDS", LEAST_WAIT_SECONDS),
    ):
        yield


def _place() -> tuple[tuple[str, int | None], ...]:
    """Return where the caller waits, which tells one waiting loop from another."""
    return tuple((frame.name, frame.lineno) for frame in traceback.extract_stack(limit=12))
