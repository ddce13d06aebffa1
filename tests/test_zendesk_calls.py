"""One call over the network: what is sent, when it is given up, how many go at once. Its rules are in `tests/unit`."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from service.ground.deadlines import Deadline
from service.ground.errors import ZendeskTimeout, ZendeskUnavailable
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.zendesk.calls import NotReached, NotSent, ReplyLate, ReplyLost, ZendeskCalls
from service.zendesk.client import AccountClient, GivenToken
from service.zendesk.replies import Reply
from service.zendesk.transport import ZendeskAdapter
from tests.raw_server import RawServer, http_reply, make_calls, soon
from tests.steps import Admin, wait_until
from tests.workers import at_once, free_port, meanwhile

ACME = Subdomain("acme")
OK = http_reply(b"{}")


def status(code: int, *headers: str, body: bytes = b"Zendesk's words") -> bytes:
    return http_reply(body, *headers, status=f"{code} Status")


def scripted(*replies: bytes | None) -> Callable[[int], Iterator[bytes]]:
    """Send these, None breaks the connection; the last one is repeated."""

    def answer(number: int) -> Iterator[bytes]:
        reply = replies[min(number, len(replies) - 1)]
        if reply is None:
            raise ConnectionResetError
        yield reply

    return answer


def client_of(calls: ZendeskCalls, deadline: Deadline | None = None) -> AccountClient:
    return AccountClient(calls, ACME, deadline or soon(), GivenToken("the-token"))


def get(calls: ZendeskCalls, deadline: Deadline | None = None) -> Reply:
    return client_of(calls, deadline).get("/api/v2/x", query={"page[size]": "100"})


def change(calls: ZendeskCalls, deadline: Deadline | None = None) -> Reply:
    return client_of(calls, deadline).change("DELETE", "/api/v2/x")


# --- what is sent ---


def test_a_call_goes_to_the_account_with_its_token(environment: dict[str, str]) -> None:
    with RawServer(scripted(OK)) as server:
        get(make_calls(environment, server.address))
        change(make_calls(environment, server.address))
        first, second = (request.decode() for request in server.requests)
    assert first.startswith("GET /a/acme/api/v2/x?page%5Bsize%5D=100 HTTP/1.1\r\n")
    assert "Authorization: Bearer the-token\r\n" in first
    assert "Accept: application/json\r\n" in first
    assert second.startswith("DELETE /a/acme/api/v2/x HTTP/1.1\r\n")


def test_a_call_without_a_token_has_none(environment: dict[str, str]) -> None:
    with RawServer(scripted(OK)) as server:
        AccountClient(make_calls(environment, server.address), ACME, soon()).get("/x")
        assert b"Authorization" not in server.requests[0]


@pytest.mark.parametrize(
    ("method", "document", "length"),
    [("DELETE", None, b"0"), ("POST", None, b"0"), ("PUT", {"a": 1}, b"8"), ("POST", {"a": 1}, b"8")],
)
def test_a_change_says_how_long_its_body_is(
    method: str, document: dict[str, int] | None, length: bytes, environment: dict[str, str]
) -> None:
    with RawServer(lambda _: [http_reply(b"{}")]) as server:
        calls = make_calls(environment, server.address)
        client_of(calls).change(method, "/x", json=document)
        head = server.requests[0].partition(b"\r\n\r\n")[0].lower()
    assert head.count(b"content-length") == 1
    assert b"content-length: " + length in head.split(b"\r\n")


@pytest.mark.parametrize("call", [get, change])
def test_a_call_that_takes_too_long_is_not_repeated(
    call: Callable[[ZendeskCalls, Deadline], Reply], environment: dict[str, str]
) -> None:
    over = threading.Event()

    def answer(_: int) -> Iterator[bytes]:
        over.wait(30)
        yield OK

    with RawServer(answer) as server:
        with pytest.raises(ReplyLate):
            call(make_calls(environment, server.address), Deadline.after(1))
        wait_until(lambda: len(server.requests) == 1)
        over.set()


class CountingAdapter(ZendeskAdapter):
    """Counts what is tried."""

    tried = 0

    def send(self, *args: Any, **options: Any) -> requests.Response:
        self.tried += 1
        return super().send(*args, **options)


@pytest.mark.parametrize("call", [get, change])
def test_a_refused_connection_is_tried_once_more(
    call: Callable[[ZendeskCalls], Reply], environment: dict[str, str]
) -> None:
    adapter = CountingAdapter()
    settings = Settings.from_env(
        {**environment, "ZENDESK_URL_TEMPLATE": f"http://127.0.0.1:{free_port()}/{{subdomain}}"}
    )
    with pytest.raises(NotSent):
        call(ZendeskCalls(settings, adapter))
    assert adapter.tried == 2


class OddAdapter(ZendeskAdapter):
    """Fails as requests may, but neither by a connection nor by time."""

    def send(self, *_args: Any, **_options: Any) -> requests.Response:
        raise requests.exceptions.InvalidHeader("odd")


def test_any_other_failure_of_the_transport_is_unavailable(environment: dict[str, str]) -> None:
    with pytest.raises(ReplyLost):
        change(ZendeskCalls(Settings.from_env(environment), OddAdapter()))


def test_a_redirect_is_not_followed(environment: dict[str, str]) -> None:
    with RawServer(scripted(OK)) as other:
        location = status(302, f"Location: {other.address}/")
        with RawServer(scripted(location)) as server, pytest.raises(ZendeskUnavailable, match="redirect"):
            get(make_calls(environment, server.address))
        assert other.connections == 0


def test_a_huge_reply_is_unavailable(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "big_body"})
    reply = admin.list_fresh("?integration=acme_orders")
    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")


# --- how many at once ---


def test_four_calls_go_at_once_for_an_account(admin: Admin, environment: dict[str, str]) -> None:
    calls = make_calls(environment, admin.simulator.address)
    admin.meets({"where": "users", "kind": "hold"})
    admin.simulator.world.clear_calls()

    def ask(_: int) -> Reply:
        return client_of(calls).get("/api/v2/users/me")

    with meanwhile(lambda: at_once(10, ask)) as replies:
        admin.simulator.world.wait_until_held(4)
        with pytest.raises(ZendeskTimeout):
            client_of(calls, Deadline.after(0.3)).get("/api/v2/users/me")
        assert len(admin.calls("/api/v2/users")) == 4
        # Another account's are not in the way.
        globex = AccountClient(calls, Subdomain("globex"), soon(), GivenToken("x"))
        assert globex.get("/api/v2/users/me").status == 401
        admin.meets()
    assert {reply.status for reply in replies[0]} == {401}
    assert len(admin.calls("/api/v2/users", account="acme")) == 10


# --- what was not sent ---


class HangingAccount:
    """Lets connections in and never speaks TLS with them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("call", [get, change])
def test_a_connection_that_does_not_come_about_in_time_has_had_no_effect(
    call: Callable[[ZendeskCalls, Deadline], Reply], environment: dict[str, str]
) -> None:
    with contextlib.closing(HangingAccount()) as account, pytest.raises(NotReached):
        call(make_calls(environment, account.address), Deadline.after(1))


def test_a_call_without_a_thread_that_would_keep_its_time_is_not_sent(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with RawServer(scripted(OK)) as server:
        calls = make_calls(environment, server.address)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(NotSent):
                change(calls)
        assert server.connections == 0
        assert change(calls).status == 200
