"""What reaches the application through a real gunicorn, and what must not; under the platform's own environment."""

import re
import resource
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import requests
from gunicorn.workers import gthread
from redis import Redis

from service.server.gunicorn_config import connections_within, threads, threads_within
from service.server.gunicorn_worker import ThreadPool
from service.web.answers import LARGEST_BODY_BYTES
from service.web.bodies import BODIES_AT_ONCE
from tests.attacks.attackers import bearer, keys_of, request_of, send, status_of
from tests.conftest import MakeAdmin
from tests.steps import wait_until
from tests.workers import LiveService

pytestmark = pytest.mark.attacks

CANARY = "canary-0123456789-of-the-tests"
# On Linux every 127.x.x.x is this machine, so that a stranger's address can be played.
STRANGER = "127.0.0.2" if sys.platform == "linux" else None
# Of Linux: both ends are done with a connection, or it was reset.
TCP_CLOSE = 7
# Requests that two readers would cut in different places (RFC 9112, section 11.2).
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLED = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 41\r\n\r\n",
    "a list of lengths": b"Content-Length: 0, 41\r\n\r\n",
    "a length with a sign": b"Content-Length: +0\r\n\r\n",
    "chunked not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no number": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a chunk that is too short": b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
    "two hosts": b"Host: evil.example\r\n\r\n",
    "a bare CR": b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a NUL": b"X: \0\r\n\r\n",
}
# Requests that cannot be read at all, each with a piece that must not come back or into the log.
UNREADABLE = {
    "no version": f"GET /oauth/callback?code={CANARY}",
    "another version": f"GET /oauth/callback?code={CANARY} HTTP/9.9",
    "a space in the address": f"GET /oauth/callback?code=x {CANARY} HTTP/1.1",
    "raw bytes in the address": f"GET /oauth/callback?code={CANARY}\xff HTTP/1.1",
    "a small verb": f"get /oauth/callback?code={CANARY} HTTP/1.1",
    "a header without a colon": f"GET / HTTP/1.1\r\nAuthorization Bearer {CANARY}",
    "a header of another name": f"GET / HTTP/1.1\r\nX-{CANARY}\xe9: x",
    "an expectation": f"GET / HTTP/1.1\r\nExpect: {CANARY}",
    "a TLS greeting": "\x16\x03\x01\x02" + CANARY,
}


@pytest.fixture
def service(platform_service: LiveService, redis: Redis) -> LiveService:
    """The service, with nothing in its store."""
    assert redis.ping()
    return platform_service


@pytest.mark.parametrize("source", [None, STRANGER], ids=["from this machine", "from a stranger"])
def test_no_forwarded_header_moves_the_application(service: LiveService, source: str | None) -> None:
    """SCRIPT_NAME and PATH_INFO are a front end's way to place an application; ours has none (CVE-2026-40575)."""
    names = {"SCRIPT_NAME": "/evil", "PATH_INFO": "/readyz", "X-Script-Name": "/evil", "X-Forwarded-Prefix": "/evil",
             "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "REMOTE_USER": "101",
             "HTTP_HOST": "evil.example"}  # fmt: skip
    lines = {
        f"{one}: {value}"
        for name, value in names.items()
        for one in (name, name.replace("_", "-"), name.replace("-", "_"))
    }
    for told in [*([line] for line in lines), sorted(lines)]:
        page = send(service, request_of("GET / HTTP/1.1", *told), source=source)
        alive = send(service, request_of("GET /livez HTTP/1.1", *told), source=source)
        assert (status_of(page), status_of(alive)) == (200, 200), told
        assert b'/pages.bundle.css"' in page
        assert b"evil" not in page
        assert b'"version"' in alive
        assert status_of(send(service, request_of("GET /evil/livez HTTP/1.1", *told), source=source)) == 404


def counted(redis: Redis) -> set[str]:
    """Return the addresses under which refused requests were counted; this machine's own may be another test's."""
    return {key.split("/")[1] for key in keys_of(redis, "zis:limit*")}


def test_an_address_written_with_an_underscore_is_not_the_forwarded_one(service: LiveService, redis: Redis) -> None:
    """WSGI has one name for `-` and `_`; gunicorn drops the second, so nobody chooses what he is counted under."""
    spoofs = ["X_Forwarded_For: 192.0.2.1", "X-Forwarded_For: 192.0.2.1", "x_forwarded-for: 192.0.2.1"]
    for spoof in spoofs:
        for honest in ([], ["X-Forwarded-For: 203.0.113.9"]):
            send(service, request_of("GET /api/v1/status HTTP/1.1", spoof, *honest))
            send(service, request_of("GET /api/v1/status HTTP/1.1", *honest, spoof))

    assert counted(redis) == {"127.0.0.1", "203.0.113.9"}


def test_two_lines_of_a_forwarded_address_are_one_list(service: LiveService, redis: Redis) -> None:
    """The router's own line comes last, whatever the caller sent before."""
    send(
        service, request_of("GET /api/v1/status HTTP/1.1", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 203.0.113.9")
    )

    assert counted(redis) & {"203.0.113.9", "192.0.2.1"} == {"203.0.113.9"}


def test_a_request_is_cut_in_one_place_or_refused(service: LiveService) -> None:
    """The connection ends with it, and what hides behind it is never a request of its own."""
    for kind, rest in SMUGGLED.items():
        reply = send(service, b"POST /sidebar HTTP/1.1\r\nHost: localhost\r\n" + rest + HIDDEN)
        assert status_of(reply) in {400, 501}, kind
        assert reply.count(b"HTTP/1.1 ") == 1, kind
    assert "/hidden" not in service.log()
    assert "Traceback" not in service.log()


def test_what_cannot_be_read_is_neither_logged_nor_answered_with_somebody_elses_words(service: LiveService) -> None:
    for kind, start in UNREADABLE.items():
        reply = send(service, start.encode("latin-1") + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 4" in reply or reply == b"", kind
        assert b"<script" not in reply
    assert CANARY not in service.log()
    assert "Invalid request from ip=127.0.0.1: Invalid HTTP Version" in service.log()


def test_addresses_in_odd_forms_are_routed_by_their_path_alone(service: LiveService) -> None:
    forms = {
        "GET http://evil.example/livez HTTP/1.1": 200,
        "GET http://user:password@evil.example/livez HTTP/1.1": 200,
        "GET http://evil.example HTTP/1.1": 200,
        "GET //evil.example/livez HTTP/1.1": 404,
        "GET /%2e%2e/livez HTTP/1.1": 404,
        "GET /livez/%2e%2e/api/v1/status HTTP/1.1": 404,
        "GET /api%2fv1%2fstatus HTTP/1.1": 401,
        "GET /static/%2e%2e%2fsettings.py HTTP/1.1": 404,
        "GET /static/..%5csettings.py HTTP/1.1": 404,
        "GET /livez%00 HTTP/1.1": 404,
        "GET /livez%0d%0aX-Evil:%201 HTTP/1.1": 404,
        "GET /oauth/authorize?subdomain=acme%0d%0aX-Evil:%201 HTTP/1.1": 400,
        "OPTIONS * HTTP/1.1": 404,
        "CONNECT evil.example:443 HTTP/1.1": 404,
        "TRACE / HTTP/1.1": 405,
    }
    replies = {line: send(service, request_of(line)) for line in forms}

    assert {line: status_of(reply) for line, reply in replies.items()} == forms
    heads = [reply.partition(b"\r\n\r\n")[0] for reply in replies.values()]
    assert not any(b"X-Evil" in head or b"Location: " in head for head in heads)
    assert all(b"X-Request-Id: " in head for head in heads)


def test_what_is_no_request_is_answered_like_the_rest(service: LiveService) -> None:
    """gunicorn's own page had no id and none of our headers, and quoted what was sent."""
    unreadable = {
        "version": b"GET / HTTP/9.9\r\n\r\n",
        "line": b"canary\r\n\r\n",
        "long address": request_of(f"GET /api/v1/status?canary={'x' * 8200} HTTP/1.1"),
        "long header": request_of("GET /livez HTTP/1.1", f"X-Canary: {'x' * 20_000}"),
        "header": request_of("GET /livez HTTP/1.1", "X-Canary\x00: canary"),
        "length": request_of("POST /sidebar HTTP/1.1", "Content-Length: -1"),
        "coding": request_of("POST /sidebar HTTP/1.1", "Transfer-Encoding: canary"),
    }
    for kind, sent in unreadable.items():
        head, _, body = send(service, sent).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n"), kind
        assert re.search(rb"\r\nX-Request-Id: [0-9a-f]{32}\r\n", head), kind
        for header in (b"Content-Type: application/problem+json", b"X-Content-Type-Options: nosniff", b"no-store"):
            assert header in head, kind
        assert b'"code": "invalid_request"' in body, kind
        assert b"anary" not in body, kind


def test_nobody_inherits_a_session_from_the_connection(service: LiveService, make_admin: MakeAdmin) -> None:
    """Two people behind one router come on one connection; and two credentials in one request are none."""
    person = make_admin(PUBLIC_URL=service.url)
    person.open_sidebar("acme", 101)
    token = bearer(person)["Authorization"]
    first = f"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\r\n".encode()
    reply = send(service, first, request_of("GET /api/v1/status HTTP/1.1"))
    assert re.findall(rb"HTTP/1\.1 (\d+)", reply) == [b"200", b"401"]

    for doubled in ([f"Authorization: {token}"] * 2, [f"Authorization: {token}", "Authorization: Bearer x"]):
        assert status_of(send(service, request_of("GET /api/v1/status HTTP/1.1", *doubled))) in {400, 401}
    assert status_of(send(service, request_of("GET /api/v1/status HTTP/1.1", f"Authorization_: {token}"))) == 401


def test_a_chunked_body_is_read_up_to_its_limit(service: LiveService) -> None:
    head = b"POST /sidebar HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    reply = send(service, head + chunk * (LARGEST_BODY_BYTES // 0x4000 + 2) + b"0\r\n\r\n")
    assert status_of(reply) == 413
    assert b"frame-ancestors http://127.0.0.1" in reply
    # A length without end, announced first and never sent: refused at once.
    announced = send(
        service, request_of("POST /sidebar HTTP/1.1", "Content-Length: 99999999999", "Expect: 100-continue")
    )
    assert b"HTTP/1.1 413" in announced
    trailer = head + b"0\r\nAuthorization: Bearer x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert status_of(send(service, trailer)) == 400


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the state of a connection")
def test_who_goes_on_sending_after_a_refusal_is_not_cut_off(service: LiveService) -> None:
    """Closed on a body that is still coming, a connection is reset, and a proxy in front answers 502."""
    body = "x" * 1_500_000
    request = request_of("POST /sidebar HTTP/1.1", f"Content-Length: {len(body)}", body=body)
    with socket.create_connection(("127.0.0.1", int(service.address.rpartition(":")[2])), timeout=60) as wire:
        wire.sendall(request[:100_000])
        answer = b""
        while chunk := wire.recv(65536):
            answer += chunk
        wire.sendall(request[100_000:])
        wire.shutdown(socket.SHUT_WR)
        wait_until(lambda: wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE)
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0, "it was reset"
    assert status_of(answer) == 413


# --- slow clients ---


@contextmanager
def stalled(service: LiveService, starts: list[bytes]) -> Iterator[list[socket.socket]]:
    """Hold a connection for each start of a request; nothing more is sent."""
    where = ("127.0.0.1", int(service.address.rpartition(":")[2]))
    wires: list[socket.socket] = []
    try:
        for start in starts:
            wires.append(socket.create_connection(where, timeout=60))
            wires[-1].sendall(start)
        yield wires
    finally:
        for wire in wires:
            # At once, and not by a handshake of its own for each.
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """Let this process open so many files while the block runs, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def few_open_files(count: int) -> Iterator[None]:
    """Let what is started in the block have a soft limit of so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def at_hand(wire: socket.socket) -> bytes:
    """Return what has come; nothing: nothing has."""
    wire.setblocking(False)
    try:
        return wire.recv(65536)
    except BlockingIOError:
        return b""


def is_closed(wire: socket.socket) -> bool:
    """Return whether the server has closed the connection; what it said before is passed over."""
    wire.setblocking(False)
    try:
        while wire.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


SLOW_HEAD = b"GET /livez HTTP/1.1\r\nHost: local"
SLOW_BODY = (
    b"POST /sidebar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken="
)
SLOW_CHUNK = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nx"


def are_held(wires: list[socket.socket]) -> int:
    """Return how many connections are open and have had no answer."""
    held = 0
    for wire in wires:
        wire.setblocking(False)
        try:
            wire.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            held += 1
        wire.setblocking(True)
    return held


def from_address(start: bytes, address: str) -> bytes:
    return start.replace(b"localhost\r\n", b"localhost\r\nX-Forwarded-For: " + address.encode() + b"\r\n")


def test_callers_who_stop_in_the_middle_hold_nobody_up(service: LiveService) -> None:
    """As many as come one by one keep a thread each; the rest serve on meanwhile."""
    with stalled(service, [SLOW_HEAD] * 30 + [SLOW_BODY, SLOW_CHUNK] * 8) as wires:
        for path in ("/livez", "/readyz"):
            assert requests.get(f"{service.address}{path}", timeout=60).ok
        # Nobody had to be let go for these answers.
        assert are_held(wires) == len(wires)


def test_a_thousand_silent_sockets_keep_nobody_out(service: LiveService) -> None:
    with open_files(2_000), stalled(service, [b""] * 1_000) as wires:
        for path in ("/livez", "/readyz"):
            assert requests.get(f"{service.address}{path}", timeout=60).ok
        # Of those that came last, since on a busy machine the time of the first may be over.
        assert are_held(wires[500:]) == 500
        # One that speaks at last is served.
        wires[-1].sendall(request_of("GET /livez HTTP/1.1"))
        assert status_of(wires[-1].recv(100)) == 200


def test_slow_bodies_of_one_address_keep_nobody_out(environment: dict[str, str]) -> None:
    """Sixteen of them hold a thread each; the others are told to come again, and nobody else notices."""
    # Of its own: what is left of the flood is counted when it ends.
    flooded = LiveService({**environment, "TRUSTED_PROXIES": "1"}, 1)
    try:
        flooded.wait_until_ready()
        starts = [from_address(start, "198.51.100.7") for start in (SLOW_BODY, SLOW_CHUNK) * 210]
        with stalled(flooded, starts) as wires:
            wait_until(lambda: are_held(wires) == BODIES_AT_ONCE)
            body = "token=x"
            lines = ["X-Forwarded-For: 198.51.100.8", f"Content-Length: {len(body)}",
                     "Content-Type: application/x-www-form-urlencoded"]  # fmt: skip
            assert status_of(send(flooded, request_of("POST /sidebar HTTP/1.1", *lines, body=body))) == 401
            assert requests.get(f"{flooded.address}/readyz", timeout=60).ok
            assert are_held(wires) == BODIES_AT_ONCE
            refused = next(reply for wire in wires if (reply := at_hand(wire)))
            assert status_of(refused) == 429
            assert b"Retry-After: 1\r\n" in refused
    finally:
        flooded.stop()


def test_more_callers_who_stop_in_the_middle_than_threads_are_let_go(service: LiveService) -> None:
    """All threads are taken; when the time of a request is over they are free again, and the callers know it."""
    with stalled(service, [SLOW_BODY, SLOW_CHUNK] + [SLOW_HEAD] * threads) as wires:
        assert requests.get(f"{service.address}/livez", timeout=60).ok
        first_body, first_chunk, first_head = (wire.recv(100) for wire in wires[:3])
    assert first_head == b""
    assert [status_of(reply) for reply in (first_body, first_chunk)] == [400, 400]
    assert "event=connection_given_up" in service.log()
    assert "Traceback" not in service.log()


def test_who_sends_byte_by_byte_has_as_long_as_who_stops(service: LiveService) -> None:
    with stalled(service, [SLOW_HEAD, SLOW_HEAD]) as (dribbling, silent):
        finished: list[socket.socket] = []
        while not finished:
            finished, _, _ = select.select([dribbling, silent], [], [], 0.25)
            with suppress(OSError):
                dribbling.sendall(b"x")
        # Its next byte meets a connection that is closed.
        wait_until(lambda: is_closed(dribbling))
        wait_until(lambda: is_closed(silent))


def test_a_body_that_nobody_reads_is_not_waited_for(service: LiveService) -> None:
    """The answer is there, and the connection ends instead of keeping a thread for the rest."""
    announced = b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\nx"
    with stalled(service, [announced] * (threads + 2)) as wires:
        began = time.monotonic()
        assert requests.get(f"{service.address}/livez", timeout=60).ok
        assert time.monotonic() - began < gthread.DEFAULT_WORKER_DATA_TIMEOUT, "as long as gunicorn would wait"
        assert status_of(wires[0].recv(100)) == 413
        wait_until(lambda: is_closed(wires[0]))


@pytest.mark.parametrize(("files", "connections"), [(-1, 8192), (1_048_576, 8192), (4096, 2560), (1024, 512)])
def test_connections_stay_within_the_files_that_a_process_may_open(files: int, connections: int) -> None:
    assert connections_within(files) == connections


def test_a_worker_may_open_as_many_files_as_it_needs(environment: dict[str, str]) -> None:
    """The usual soft limit is below what a worker's connections need."""
    with few_open_files(256):
        started = LiveService(environment, 1, is_forked=False)
    try:
        started.wait_until_ready()
        with open_files(2_000), stalled(started, [b""] * 400):
            assert requests.get(f"{started.address}/readyz", timeout=60).ok
        assert "Traceback" not in started.log()
    finally:
        started.stop()


def test_where_there_is_no_room_for_a_new_connection_a_silent_one_goes(environment: dict[str, str]) -> None:
    command = f"--worker-connections {threads + 20}"
    started = LiveService({**environment, "GUNICORN_CMD_ARGS": command}, 1)
    try:
        started.wait_until_ready()
        with stalled(started, [b""] * (threads + 40)) as wires:
            assert requests.get(f"{started.address}/livez", timeout=60).ok
            assert are_held(wires) > 0
    finally:
        started.stop()


@pytest.mark.parametrize(
    ("limit", "concurrency", "count"),
    [(-1, "2", 128), (63_000, "2", 128), (256, "2", 89), (256, "1", 128), (256, "9", 16), (256, "many", 128)],
)
def test_threads_stay_within_what_the_machine_allows(limit: int, concurrency: str, count: int) -> None:
    assert threads_within(limit, concurrency) == count


def test_work_for_which_no_thread_can_be_started_waits_for_one_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn's worker would end, with all requests it is about."""
    start, room = threading.Thread.start, 2

    def start_within_limits(thread: threading.Thread) -> None:
        nonlocal room
        if room == 0:
            raise RuntimeError("can't start new thread")
        room -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_within_limits)
    gate = threading.Event()
    told: list[int] = []
    with ThreadPool(8, told.append) as pool:
        tasks = [pool.submit(gate.wait, 10) for _ in range(6)]
        gate.set()
        assert all(task.result() for task in tasks)
    assert told == [2]
    room = 0
    with ThreadPool(8, told.append) as pool, pytest.raises(RuntimeError):
        pool.submit(gate.wait)


def test_callers_who_do_not_leave_keep_nobody_out(service: LiveService) -> None:
    """Their answer is sent and their connection ends with it, but they leave their end open."""
    finished = request_of("GET /livez HTTP/1.1")
    with stalled(service, [finished] * 60):
        # Waited for one after another, these alone would take two minutes.
        assert requests.get(f"{service.address}/livez", timeout=60).ok
