"""The transport: every call within a total time and size, over kept connections, with nothing from outside."""

import contextlib
import gzip
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError

from service.zendesk import transport
from service.zendesk.transport import (
    LARGEST_REPLY_BYTES,
    NotConnected,
    ReplyTooLarge,
    TotalTimeout,
    ZendeskAdapter,
    prepare_session,
)
from service.zendesk.watchdog import Watch, Watchdog
from tests.raw_server import RawServer, http_reply
from tests.tls import make_certificate
from tests.workers import at_once

OPEN_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
# Enough to send what is to hang, on a busy machine, too.
SHORT_SECONDS = 0.8


@pytest.fixture
def session() -> requests.Session:
    return prepare_session(requests.Session(), ZendeskAdapter())


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set at the end of the test, so that what hangs may end."""
    event = threading.Event()
    yield event
    event.set()


def dribbled(body: bytes, over: threading.Event) -> Iterator[bytes]:
    """Send a reply byte by byte, each well within any time-out between two reads."""
    for byte in body:
        yield bytes([byte])
        if over.wait(0.02):
            return


def stopped(data: bytes, over: threading.Event) -> Iterator[bytes]:
    """Send the beginning of a reply, and a whole one only when it is too late."""
    yield data
    over.wait(30)
    yield http_reply(b"late")


HANGS = {
    "body dribbles": lambda over: dribbled(http_reply(b"x" * 1000), over),
    "headers dribble": lambda over: dribbled(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: y\r\n" * 100, over),
    "no headers": lambda over: stopped(b"", over),
    "body without length stops": lambda over: stopped(OPEN_END + b"{}", over),
    "body with length stops": lambda over: stopped(http_reply(b"xx")[:-1], over),
}


@pytest.mark.parametrize("how", HANGS)
def test_no_reply_outlives_the_total_time(how: str, session: requests.Session, over: threading.Event) -> None:
    # The socket has the same limit, and on a busy machine its own may end first.
    with RawServer(lambda _: HANGS[how](over)) as server, pytest.raises(requests.Timeout):
        session.get(server.address, timeout=SHORT_SECONDS)


@pytest.mark.parametrize("how", [how for how in HANGS if "dribble" not in how])
def test_the_sockets_own_limit_is_told_as_the_total_time(
    how: str, session: requests.Session, over: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watchdog.watch
    monkeypatch.setattr(Watchdog, "watch", lambda self, seconds: watch(self, seconds + 60))
    with RawServer(lambda _: HANGS[how](over)) as server, pytest.raises(requests.Timeout):
        session.get(server.address, timeout=SHORT_SECONDS)


def test_a_short_limit_is_kept_beside_a_long_one(session: requests.Session, over: threading.Event) -> None:
    with RawServer(lambda _: HANGS["no headers"](over)) as server:

        def call(number: int) -> bytes:
            try:
                return session.get(server.address, timeout=(SHORT_SECONDS, 20)[number]).content
            finally:
                over.set()

        results = at_once(2, call)
    assert isinstance(results[0], requests.Timeout)
    # Let go long before its own limit.
    assert results[1] == b"late"


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_call_whose_time_is_over_is_not_sent(seconds: float, session: requests.Session) -> None:
    with RawServer(lambda _: [http_reply(b"")]) as server:
        with pytest.raises(TotalTimeout):
            session.get(server.address, timeout=seconds)
        assert server.connections == 0


def test_a_call_without_a_time_limit_is_a_fault_of_ours(session: requests.Session) -> None:
    with RawServer(lambda _: [http_reply(b"")]) as server:
        with pytest.raises(ValueError, match="time limit"):
            session.get(server.address)
        assert server.connections == 0


def test_a_call_after_one_that_timed_out_is_well(session: requests.Session, over: threading.Event) -> None:
    replies: list[Iterator[bytes]] = [HANGS["no headers"](over), iter([http_reply(b"well")])]
    with RawServer(lambda number: replies[number]) as server:
        # On a busy machine the socket's own limit may end first.
        with pytest.raises(requests.Timeout):
            session.get(server.address, timeout=SHORT_SECONDS)
        assert session.get(server.address, timeout=5).content == b"well"


# --- size and shape ---


@pytest.mark.parametrize("how", ["plain", "without length", "compressed"])
def test_a_reply_over_5_mb_is_not_read(how: str, session: requests.Session) -> None:
    body = b"x" * 6_000_000
    replies = {
        "plain": http_reply(body),
        "without length": OPEN_END + body,
        "compressed": http_reply(gzip.compress(body), "Content-Encoding: gzip"),
    }
    with RawServer(lambda _: [replies[how]]) as server, pytest.raises(ReplyTooLarge):
        session.get(server.address, timeout=20)


def test_a_reply_of_5_mb_is_read(session: requests.Session) -> None:
    with RawServer(lambda _: [http_reply(b"x" * LARGEST_REPLY_BYTES)]) as server:
        assert len(session.get(server.address, timeout=20).content) == LARGEST_REPLY_BYTES


def broken(data: bytes) -> Iterator[bytes]:
    yield data
    raise ConnectionResetError


@pytest.mark.parametrize(
    "data",
    [http_reply(b"x" * 100)[:-50], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
     b"", http_reply(b"no gzip", "Content-Encoding: gzip")],
    ids=["half a body", "half a chunk", "nothing", "garbled"],
)  # fmt: skip
def test_half_a_reply_is_a_failure_of_the_network(data: bytes, session: requests.Session) -> None:
    with RawServer(lambda _: broken(data)) as server, pytest.raises(requests.ConnectionError):
        session.get(server.address, timeout=5)


# --- connections ---


def test_connections_are_kept(session: requests.Session) -> None:
    with RawServer(lambda _: [http_reply(b"{}")]) as server:
        for _ in range(5):
            session.get(server.address, timeout=5)
        assert (len(server.requests), server.connections) == (5, 1)


def test_an_account_whose_connections_were_given_up_is_called_on_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "POOLED_ACCOUNTS", 2)
    session = prepare_session(requests.Session(), ZendeskAdapter())
    with contextlib.ExitStack() as stack:
        one, two, three = (stack.enter_context(RawServer(lambda _: [http_reply(b"{}")])) for _ in range(3))
        for server in (one, two, one, three, two, two, one, three, two):
            assert session.get(server.address, timeout=5).content == b"{}"
        assert (len(two.requests), two.connections) == (4, 3)


def test_no_cookie_is_taken_or_sent(session: requests.Session) -> None:
    with RawServer(lambda _: [http_reply(b"{}", "Set-Cookie: _zendesk_session=x; Path=/")]) as server:
        session.get(server.address, timeout=5)
        session.get(server.address, timeout=5)
        assert b"cookie" not in server.requests[1].lower()
    assert list(session.cookies) == []


def test_nothing_is_taken_from_the_environment(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(lambda _: [http_reply(b"{}")]) as server:
        assert session.get(server.address, timeout=5).ok
        assert b"authorization" not in server.requests[0].lower()


def test_a_certificate_nobody_vouches_for_is_refused(session: requests.Session, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*make_certificate(tmp_path))
        seen: list[bytes] = []

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                try:
                    with context.wrap_socket(connection, server_side=True) as tls:
                        seen.append(tls.recv(100))
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        for verify in (True, False):
            with pytest.raises(NotConnected, match="CERTIFICATE_VERIFY_FAILED"):
                session.get(address, timeout=5, verify=verify)
        thread.join()
    assert seen == []


# --- a host of several addresses ---


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that lets nobody in: its queue is full, and Linux drops who comes then."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def has_addresses(patch: pytest.MonkeyPatch, count: int, port: int) -> None:
    """Give acme.test several addresses, all of this machine."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    real = socket.getaddrinfo

    def resolve(name: str, *arguments: Any, **options: Any) -> Any:
        return found * count if name == "acme.test" else real(name, *arguments, **options)

    patch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems answer where a queue is full")
def test_addresses_that_do_not_answer_share_the_time_of_the_call(
    session: requests.Session, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_addresses(monkeypatch, 40, silent_port)
    began = time.monotonic()
    with pytest.raises(requests.Timeout):
        session.get(f"http://acme.test:{silent_port}/", timeout=SHORT_SECONDS)
    # Each with the time of the call would take 40 times as long.
    assert time.monotonic() - began < 20 * SHORT_SECONDS


def test_the_next_address_is_tried_where_one_does_not_answer(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, tried = HTTPConnection._new_conn, list[str]()

    def connect_but_first(self: HTTPConnection) -> socket.socket:
        tried.append(self._dns_host)
        if len(tried) == 1:
            raise ConnectTimeoutError(self, "no answer")
        return connect(self)

    monkeypatch.setattr(HTTPConnection, "_new_conn", connect_but_first)
    with RawServer(lambda _: [http_reply(b"ok")]) as server:
        port = int(server.address.rpartition(":")[2])
        has_addresses(monkeypatch, 2, port)
        assert session.get(f"http://acme.test:{port}/", timeout=10).content == b"ok"
        assert f"Host: acme.test:{port}".encode() in server.requests[0]
    assert tried == ["127.0.0.1"] * 2


# --- a watch ---


def test_without_a_thread_for_the_watchdog_the_call_is_not_made_and_the_next_one_is(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, over: threading.Event
) -> None:
    def no_thread(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with RawServer(lambda _: HANGS["no headers"](over)) as server:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(NotConnected):
                session.get(server.address, timeout=5)
        assert server.connections == 0
        # On a busy machine the socket's own limit may end first.
        with pytest.raises(requests.Timeout):
            session.get(server.address, timeout=SHORT_SECONDS)


def test_a_connection_that_comes_too_late_is_not_used() -> None:
    watch = Watch()
    watch.expire()
    with pytest.raises(TimeoutError):
        watch.uses(HTTPConnection("127.0.0.1"))


def test_a_call_that_has_ended_is_left_alone() -> None:
    watch = Watch()
    watch.end()
    watch.expire()
    assert not watch.expired
