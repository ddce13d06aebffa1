"""Total time limits: shuts the socket of a call whose time is up.

requests' own read time-out counts between two reads, so a reply dribbled byte by byte would outlive it.
"""

import contextlib
import heapq
import itertools
import math
import socket
import threading
import time

from urllib3.connection import HTTPConnection


class Watch:
    """The time limit of one call, and the connection it uses."""

    def __init__(self, seconds: float = math.inf) -> None:
        self._at = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self.expired = False
        self.is_connected = False
        """The request may have been sent, from then on: there is a connection, under TLS where that is due."""
        self.is_over = False
        """The call has ended; there is nothing left to watch."""

    def uses(self, connection: HTTPConnection) -> None:
        """Note the call's connection.

        Raises:
            TimeoutError: the time is up already.
        """
        with self._lock:
            self._connection = connection
            if self.expired:
                raise TimeoutError

    def left(self) -> float:
        """Return the seconds left; negative when the time is up."""
        return self._at - time.monotonic()

    def expire(self) -> None:
        """Shut the call's socket, unless the call has ended."""
        with self._lock:
            if self.is_over:
                return
            self.expired = True
            sock = self._connection.sock if self._connection else None
            if sock is not None:
                # The plain socket's method: an SSLSocket's own would drop its TLS layer under the reader. A socket
                # that is not connected (yet, or any more) has nothing to wake; `uses` stops what comes after.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def end(self) -> None:
        """Leave the connection alone from now on: the call has ended, and another may use it."""
        with self._lock:
            self.is_over = True


class Watchdog:
    """One daemon thread that expires watches when their time is up; cheaper than a timer thread a call."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Watch]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, seconds: float) -> Watch:
        """Return a watch that expires in `seconds`.

        Raises:
            RuntimeError: the system gives this process no thread for it; the next call tries again.
        """
        watch = Watch(seconds)
        with self._changed:
            self.start()
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), watch))
            if self._due[0][2] is watch:
                self._changed.notify()
        return watch

    def start(self) -> None:
        """Have a thread that looks after the watches.

        Raises:
            RuntimeError: the system gives none.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(target=self._run, name="zendesk-watchdog", daemon=True)
        thread.start()
        self._thread = thread

    def _run(self) -> None:
        while True:
            with self._changed:
                # Nearly every call ends long before its time: together they cost one awakening, not one each.
                while self._due and self._due[0][2].is_over:
                    heapq.heappop(self._due)
                if not self._due:
                    self._changed.wait()
                    continue
                wait = self._due[0][0] - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                watch = heapq.heappop(self._due)[2]
            watch.expire()
