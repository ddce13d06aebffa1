"""Serves replies over HTTP/1.1: a thread a connection, kept alive, and broken on purpose where a reply says so.

Neither werkzeug's nor the standard library's handler will do: the first closes after every reply,
the second spends most of its time parsing headers, and this one is used in load tests.
"""

import contextlib
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from sandbox.simulator.messages import Delivery, Reply, Request

Answer = Callable[[Request], Reply]

# A header block longer than this is nobody's honest request.
MAX_HEADER_LINES = 200
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_ABORT = struct.pack("ii", 1, 0)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on a loopback address and hands every request to `answer`.

    `answer` is called in the connection's own thread and may block.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    # Load tests open hundreds of connections at once.
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], answer: Answer) -> None:
        self.answer = answer
        self.stopping = threading.Event()
        self.__connections: set[socket.socket] = set()
        self.__connections_lock = threading.Lock()
        super().__init__(address, _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.__connections_lock:
            self.__connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.__connections_lock:
            self.__connections.discard(request)
        with contextlib.suppress(OSError):
            # An orderly shutdown would send FIN before the RST that a reset is about.
            if not _will_reset(request):
                request.shutdown(socket.SHUT_WR)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about callers that went away; anything else is a fault of the simulator, and is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        """End every open connection, so that no thread waits on one."""
        self.stopping.set()
        with self.__connections_lock:
            for connection in self.__connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _will_reset(connection: socket.socket) -> bool:
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_ABORT)) == _ABORT


class _BadRequest(Exception):
    """What came is no HTTP request."""


class _Connection(socketserver.StreamRequestHandler):
    """One connection: requests one after another until either side closes."""

    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        keep_alive = True
        while keep_alive:
            try:
                request = self.__read()
            except (_BadRequest, ValueError):
                self.__write(Reply(400, b"bad request", "text/plain"), head_only=False, keep_alive=False)
                return
            except OSError:
                return
            if request is None:
                return
            keep_alive = request.headers.get("connection", "").lower() != "close"
            reply = self.server.answer(request)
            try:
                keep_alive = self.__deliver(reply, head_only=request.method == "HEAD", keep_alive=keep_alive)
            except OSError:
                return

    def __read(self) -> Request | None:
        """Return the next request; None: the caller has closed."""
        line = self.rfile.readline(65537)
        if not line:
            return None
        words = line.decode("latin-1").split()
        if len(words) != 3 or not words[1].startswith("/"):  # method, target, version
            raise _BadRequest
        headers: dict[str, str] = {}
        for _ in range(MAX_HEADER_LINES):
            line = self.rfile.readline(65537)
            if line in {b"\r\n", b"\n", b""}:
                break
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return Request(words[0], words[1], headers, self.__read_body(headers))

    def __read_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" not in headers.get("transfer-encoding", "").lower():
            length = int(headers.get("content-length", "0"))
            return self.rfile.read(length) if length else b""
        chunks = []
        while size := int(self.rfile.readline(65537).split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline(65537)
        self.rfile.readline(65537)
        return b"".join(chunks)

    def __deliver(self, reply: Reply, *, head_only: bool, keep_alive: bool) -> bool:
        """Send the reply as it asks to be sent; return whether the connection lives on."""
        match reply.delivery:
            case Delivery.RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                return False
            case Delivery.DROP:
                return False
            case Delivery.CUT:
                head = _head(reply, keep_alive=False)
                self.connection.sendall(head + reply.body[: len(reply.body) // 2])
                return False
            case Delivery.DRIBBLE:
                for byte in _head(reply, keep_alive=False) + reply.body:
                    self.connection.sendall(bytes((byte,)))
                    if self.server.stopping.wait(reply.gap_seconds):
                        return False
                return False
            case Delivery.NORMAL:
                self.__write(reply, head_only=head_only, keep_alive=keep_alive)
                return keep_alive

    def __write(self, reply: Reply, *, head_only: bool, keep_alive: bool) -> None:
        head = _head(reply, keep_alive=keep_alive)
        # One write, so that head and body leave in one segment.
        self.connection.sendall(head if head_only else head + reply.body)


def _head(reply: Reply, *, keep_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
    if reply.content_type:
        lines.append(f"Content-Type: {reply.content_type}")
    if all(name != "Date" for name, _ in reply.headers):
        lines.append(f"Date: {formatdate(usegmt=True)}")
    lines.extend(f"{name}: {value}" for name, value in reply.headers)
    if reply.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(reply.body)}")
    if not keep_alive:
        lines.append("Connection: close")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")
