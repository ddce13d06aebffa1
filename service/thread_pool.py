"""The threads that serve requests: as many as the machine has room for, the one that was busy last first.

Python's own pool gives work to the thread that has waited longest, so that all which a burst of requests has ever
started take turns for good, each with its stack gone from the processor's caches: with 128 of them a list that is not
cached brought a fifth less.
"""

import queue
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class _Waiting:
    """A thread that waits for work."""

    __slots__ = ("turn", "work")

    def __init__(self) -> None:
        self.work: Any = None
        self.turn = threading.Lock()
        self.turn.acquire()


class LastServedFirst:
    """A queue of work as a pool wants it; whoever began to wait last gets the next.

    Nothing under the lock makes an object that the garbage collector would look at, so none of its callbacks comes
    back here meanwhile.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._work: deque[Any] = deque()
        self._waiting: list[_Waiting] = []

    def put(self, work: Any) -> None:
        """Hand work over; it waits in turn where no thread does."""
        with self._lock:
            if not self._waiting:
                self._work.append(work)
                return
            one = self._waiting.pop()
        one.work = work
        one.turn.release()

    def get(self, block: bool = True) -> Any:
        """Return the oldest work that nobody has taken; waits for some if `block`.

        Raises:
            queue.Empty: there is none, and it is not to wait.
        """
        one = _Waiting()
        with self._lock:
            if self._work:
                return self._work.popleft()
            if not block:
                raise queue.Empty
            self._waiting.append(one)
        one.turn.acquire()
        return one.work

    def get_nowait(self) -> Any:
        """As `get` without waiting."""
        return self.get(block=False)


class ThreadPool(ThreadPoolExecutor):
    """Threads as far as the machine has room for them; what is left waits for one of those that there are."""

    __is_told = False

    def __init__(self, most: int, thread_name_prefix: str = "") -> None:
        super().__init__(most, thread_name_prefix=thread_name_prefix)
        self._work_queue = LastServedFirst()  # type: ignore[assignment]  # all that a pool asks of its queue

    def _adjust_thread_count(self) -> None:
        # Small dynos have 256 threads for all processes. gunicorn does not foresee that none can be started, and its
        # worker would end in the loop that accepts connections, with every request it is about.
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise
            if not self.__is_told:
                _log.error("no_thread", threads=len(self._threads))
            self.__is_told = True
