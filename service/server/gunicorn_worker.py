"""gunicorn's gthread worker, whose threads wait for no connection that says nothing.

gthread (27.0) gives each new connection a thread for up to five seconds, waits for a body without end, and closes
connections within the loop that accepts new ones.
"""

import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from selectors import EVENT_READ
from typing import Any, cast

import structlog
from gunicorn.http.body import LengthReader
from gunicorn.http.errors import ParseException
from gunicorn.workers import gthread
from gunicorn.workers.gthread import TConn, ThreadWorker

_log = structlog.get_logger(__name__)

# What `handle` returns for a connection that has said nothing yet.
_DEFER: object = gthread._DEFER  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public stands for it
# A request comes with its connection. One that does not is waited for by the poller, which needs no thread for it.
FIRST_WAIT_SECONDS = 0.01
# The time a new connection has for its first byte.
SILENT_SECONDS = 10
# The time from a request's first byte to its last, however many pieces it comes in.
ARRIVAL_SECONDS = 15
# The time a caller has to take the next piece of an answer.
SEND_SECONDS = 10
# For the caller to see the end of the connection (RFC 9112, section 9.6); as long as gunicorn gives. What comes
# meanwhile is read and thrown away: closed on it, a connection is reset, and a proxy that was still handing on a long
# body answers 502 instead of what it was told.
LINGER_SECONDS = 2
LINGER_BYTES = 4 * 1024 * 1024
PIECE_BYTES = 64 * 1024
# How many silent connections are closed together where there is no room for a new one.
MADE_ROOM = 64


class ArrivingSocket(socket.socket):
    """A connection from which a whole request has to arrive within `ARRIVAL_SECONDS`."""

    __end = 0.0

    def expect_request(self) -> None:
        """Begin the time of a request."""
        self.__end = time.monotonic() + ARRIVAL_SECONDS

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Return what comes within the request's time.

        Raises:
            OSError: nothing came.
        """
        left = self.__end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request did not arrive in time")
        # By the kernel: a time-out of Python's costs a system call more for each of the others.
        microseconds = int(left * 1_000_000) + 1
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(microseconds))
        return super().recv(size, flags)


class ThreadPool(ThreadPoolExecutor):
    """Threads as far as the machine gives them; what is left waits for one of those there are.

    gunicorn does not foresee that none can be started: its worker would end in the loop that accepts connections, with
    every request it is about. `told`: called with the number of threads where there are fewer than were wanted.
    """

    def __init__(self, most: int, told: Callable[[int], None]) -> None:
        super().__init__(most)
        self.__told = told

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise
            # Otherwise every request would try again.
            self._max_workers = len(self._threads)
            _log.error("no_thread", threads=self._max_workers)
            self.__told(self._max_workers)


@dataclass(slots=True)
class _Ending:
    """How long a connection that ends is still read from, and how much."""

    at: float
    bytes_left: int = LINGER_BYTES


class Worker(ThreadWorker):
    """A thread is given to a request that is arriving, and ends with its answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.__lingering: dict[TConn, _Ending] = {}
        self.tell_threads: Callable[[int], None] = lambda _: None
        """Called with the number of threads that serve requests, where the machine gives fewer than were wanted."""
        self.refusal: Callable[[bool], bytes] = lambda _: b""
        """Returns the answer to what is no request of HTTP (True), or broke outside of Flask (False)."""

    def get_thread_pool(self) -> ThreadPool:
        pool = ThreadPool(self.cfg.threads, self.__told)
        # The first thread is started before others of this process use up the machine's limit.
        pool.submit(int)
        return pool

    def __told(self, threads: int) -> None:
        self.tell_threads(threads)

    def handle(self, conn: TConn) -> Any:
        if not isinstance(conn.sock, ArrivingSocket):
            plain = conn.sock
            conn.sock = ArrivingSocket(plain.family, plain.type, plain.proto, plain.detach())
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(SEND_SECONDS * 1_000_000))
        if not conn.initialized and not conn.wait_for_data(FIRST_WAIT_SECONDS):
            return _DEFER
        conn.sock.expect_request()
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Log what no answer could be made for, and answer it; gunicorn's page carries none of our headers."""
        # Without the connection gunicorn logs it, and cannot send its page.
        super().handle_error(req, cast("socket.socket", None), addr, exc)
        # The caller may have left.
        with suppress(OSError):
            client.sendall(self.refusal(req is None and isinstance(exc, ParseException)))

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """Return whether the connection can be used again; the rest of a body that nobody read is not waited for."""
        parser: Any = conn.parser
        if keepalive and _has_arrived(parser.mesg.body):
            # Without a time: on a busy machine even a hundredth of a second can be over before anything is looked at.
            return True
        return keepalive and bool(parser.finish_body(deadline=time.monotonic() + FIRST_WAIT_SECONDS))

    def finish_request(self, conn: TConn, fs: "Future[Any]") -> None:
        """Give the connection to the poller, or begin to close it."""
        if not fs.cancelled() and fs.exception() is None and not fs.result():
            self.__linger(conn)
            return
        super().finish_request(conn, fs)
        if conn.timeout is not None and fs.result() is _DEFER:
            conn.timeout = time.monotonic() + SILENT_SECONDS

    def murder_pending(self) -> None:
        """Close the connections whose time is up; where there is no room for new ones, some that are silent as well."""
        if self.nr_conns >= self.worker_connections:
            for conn in islice(self.pending_conns, MADE_ROOM):
                conn.timeout = 0.0
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, ending in self.__lingering.items() if ending.at <= now]:
            self.__close(conn)

    def __linger(self, conn: TConn) -> None:
        """Tell the caller that the connection ends, and close it once they have seen that."""
        self.__lingering[conn] = _Ending(time.monotonic() + LINGER_SECONDS)
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, EVENT_READ, partial(self.__drain, conn))
        except (OSError, ValueError):
            # The caller has left.
            self.__close(conn)

    def __drain(self, conn: TConn, _sock: socket.socket) -> None:
        """Close the connection if the caller has, or sends more than an end needs."""
        ending = self.__lingering[conn]
        came = 0
        with suppress(OSError):
            came = len(socket.socket.recv(conn.sock, PIECE_BYTES))
        ending.bytes_left -= came
        if not came or ending.bytes_left <= 0:
            self.__close(conn)

    def __close(self, conn: TConn) -> None:
        del self.__lingering[conn]
        if conn.sock.fileno() in self.poller.get_map():
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()


def _has_arrived(body: Any) -> bool:
    """Return whether nothing of a request's body is left to come; False where its length is not known."""
    return not body.failed and isinstance(body.reader, LengthReader) and body.reader.length == 0


def _timeval(microseconds: int) -> bytes:
    return struct.pack("ll", *divmod(microseconds, 1_000_000))
