"""A server that sends exactly the bytes a test wants to be met."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from service.ground.deadlines import Deadline
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.zendesk.calls import ZendeskCalls
from service.zendesk.client import AccountClient, GivenToken
from service.zendesk.transport import ZendeskAdapter

Answer = Callable[[int], Iterable[bytes]]
"""Gives the chunks of the n-th reply, counted from 0; the connection stays open afterwards."""


def http_reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def json_reply(value: Any, status: str = "200 OK") -> bytes:
    return http_reply(json.dumps(value).encode(), "Content-Type: application/json", status=status)


class RawServer:
    """Listens on a free loopback port; keeps the requests and counts the connections."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.connections = 0
        self.stopping = threading.Event()
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while (request := _read(connection)) is not None:
                with self._lock:
                    number = len(self.requests)
                    self.requests.append(request)
                for chunk in self._answer(number):
                    connection.sendall(chunk)


def _read(connection: socket.socket) -> bytes | None:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def make_calls(environment: dict[str, str], address: str) -> ZendeskCalls:
    """Return calls to accounts that live at `address`."""
    settings = Settings.from_env({**environment, "ZENDESK_URL_TEMPLATE": address + "/a/{subdomain}"})
    return ZendeskCalls(settings, ZendeskAdapter())


def make_client(environment: dict[str, str], address: str, deadline: Deadline | None = None) -> AccountClient:
    """Return a client of acme, which lives at `address`, with a token that somebody gave."""
    calls = make_calls(environment, address)
    return AccountClient(calls, Subdomain("acme"), deadline or soon(), GivenToken("the-token"))


def soon() -> Deadline:
    return Deadline.after(20)
