"""What goes on beside a request: in a bounded number of threads, begun at once or not at all.

Nothing is queued: behind the calls of an account that hangs, those of all others would wait.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

import structlog

from service.ground.errors import ServiceError
from service.ground.shares import Shares
from service.ground.subdomains import Subdomain

T = TypeVar("T")

# Used where gunicorn does not say how many (`set_threads`).
DEFAULT_THREADS = 32
# So that a burst leaves no threads behind.
IDLE_SECONDS = 10.0
_IDLE_NAME = "executor"

_log = structlog.get_logger(__name__)


class Executor:
    """Threads for work that a request need not wait for, or does in parallel. An account gets half of them at most."""

    def __init__(self, threads: int = DEFAULT_THREADS) -> None:
        self._places = Shares(threads)
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = 0
        """Threads that wait, and that nobody counts on."""
        self._to_tell: dict[Callable[[], None], None] = {}
        """Called once when a place is free again."""

    @property
    def at_work(self) -> int:
        """How many tasks have begun and not ended."""
        return self._places.taken

    def set_threads(self, threads: int) -> None:
        """Say how many threads there may be."""
        self._places.size = threads

    def begin(
        self, account: Subdomain, name: str, work: Callable[[], T], *, when_free: Callable[[], None] | None = None
    ) -> "Future[T] | None":
        """Begin to do `work` in a thread called `name`; None: it has not begun, and will not.

        There is no free thread for this account, or the machine gives none: then the caller does it, or goes without.
        `when_free` is then called once, after one of the works that are going on has ended; it may begin anew.
        """
        if not self._is_taken(account, when_free):
            return None
        future: Future[T] = Future()
        # Logs and activity name the request this is done for.
        run = partial(copy_context().run, self._run, account, name, work, future)
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif not _is_started(self._serve):
                self._places.give_back(account)
                if when_free is not None:
                    self._to_tell[when_free] = None
                return None
        self._work.put(run)
        return future

    def _is_taken(self, account: Subdomain, when_free: Callable[[], None] | None) -> bool:
        """Take a place; where there is none, note whom to tell of the next."""
        if self._places.take(account):
            return True
        if when_free is None:
            return False
        with self._lock:
            self._to_tell[when_free] = None
        # A place may have become free before this was noted.
        return self._places.take(account)

    def side_by_side(self, account: Subdomain, name: str, works: Sequence[Callable[[], T]]) -> list[T]:
        """Return the results, done in parallel as far as there are threads; the calling thread does the rest.

        Returns when all have ended; the first that failed, in their order, is raised.
        """
        # The last one needs no thread of its own.
        futures = [*(self.begin(account, name, work) for work in works[:-1]), None]
        ended = [_done(work) if future is None else future for future, work in zip(futures, works, strict=True)]
        wait(ended)
        return [future.result() for future in ended]

    def _run(self, account: Subdomain, name: str, work: Callable[[], T], future: "Future[T]") -> None:
        thread = threading.current_thread()
        thread.name = name
        outcome = _done(work)
        fault = outcome.exception()
        if fault is not None and not isinstance(fault, ServiceError):
            # Logged, because nobody may be waiting for the result.
            _log.error("unforeseen", thread=name, exc_info=fault)
        thread.name = _IDLE_NAME
        with self._lock:
            self._idle += 1
        self._places.give_back(account)
        if fault is None:
            future.set_result(outcome.result())
        else:
            future.set_exception(fault)

    def _serve(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._idle:
                        self._idle -= 1
                        return
                # `begin` counts on this thread: the work is on its way.
                continue
            work()
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            told, self._to_tell = self._to_tell, {}
        for when_free in told:
            when_free()


def _is_started(serve: Callable[[], Any]) -> bool:
    try:
        threading.Thread(target=serve, name=_IDLE_NAME, daemon=True).start()
    except RuntimeError:
        return False
    return True


def _done(work: Callable[[], T]) -> "Future[T]":
    """Return what came of `work`, done now."""
    future: Future[T] = Future()
    try:
        future.set_result(work())
    except Exception as fault:  # noqa: BLE001 - raised again where the result is asked for
        future.set_exception(fault)
    return future
