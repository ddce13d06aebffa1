"""One call: what is repeated, what a failure means, and how many go at once."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from service.deadlines import Deadline
from service.errors import AccountGone, RateLimited, ServiceError, ZendeskTimeout, ZendeskUnavailable
from service.settings import Settings
from service.subdomains import Subdomain
from service.zendesk.calls import ForeignReply, NotReached, NotSent, ReplyLate, ReplyLost, ZendeskCalls
from service.zendesk.client import AccountClient, GivenToken
from service.zendesk.replies import Reply
from service.zendesk.transport import ZendeskAdapter
from tests.raw_server import RawServer, http_reply, make_calls, soon
from tests.steps import Admin, wait_until
from tests.workers import at_once, free_port, meanwhile

ACME = Subdomain("acme")
OK = http_reply(b"{}")
JSON = b'{"error": "Zendesk\'s words"}'
PAGE = b"<!DOCTYPE html><html><body>Only admin user is allowed: missing scope, integration mismatch</body></html>"
NO_ACCOUNT = b'{"error": {"title": "No help desk at acme.zendesk.com", "message": "There is no help desk"}}'


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


def ask(call: str, path: str, calls: ZendeskCalls) -> Reply:
    """Make one call to a path, by either method."""
    if call == "get":
        return client_of(calls).get(path)
    return client_of(calls).change("DELETE", path)


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


# --- what is repeated ---

REPEATED = {
    "502": status(502), "503": status(503), "504": status(504), "broken": None,
    "429 for 0 s": status(429, "Retry-After: 0"),
}  # fmt: skip
NOT_REPEATED = {
    "400": status(400, body=JSON), "401": status(401, body=JSON), "404": status(404, body=JSON),
    "500": status(500), "302": status(302),
    "429": status(429), "429 for 3 s": status(429, "Retry-After: 3"), "429 until": status(429, "Retry-After: soon"),
}  # fmt: skip


@pytest.mark.parametrize("case", REPEATED)
def test_a_get_is_repeated_once_after_what_may_pass(case: str, environment: dict[str, str]) -> None:
    with RawServer(scripted(REPEATED[case], OK)) as server:
        assert get(make_calls(environment, server.address)).is_success
        assert len(server.requests) == 2


@pytest.mark.parametrize("case", REPEATED)
def test_a_get_is_not_repeated_twice(case: str, environment: dict[str, str]) -> None:
    with RawServer(scripted(REPEATED[case])) as server:
        with pytest.raises((ZendeskUnavailable, RateLimited)):
            get(make_calls(environment, server.address))
        assert len(server.requests) == 2


@pytest.mark.parametrize("case", NOT_REPEATED)
def test_a_get_is_not_repeated_after_anything_else(case: str, environment: dict[str, str]) -> None:
    with RawServer(scripted(NOT_REPEATED[case], OK)) as server:
        calls = make_calls(environment, server.address)
        if case in {"400", "401", "404"}:
            assert get(calls).status == int(case)
        else:
            with pytest.raises(ServiceError):
                get(calls)
        assert len(server.requests) == 1


def test_a_short_limit_is_waited_out(environment: dict[str, str]) -> None:
    with RawServer(scripted(status(429, "Retry-After: 1"), OK)) as server:
        assert get(make_calls(environment, server.address)).is_success
        assert len(server.requests) == 2


def test_a_limit_is_not_waited_out_past_the_deadline(environment: dict[str, str]) -> None:
    with RawServer(scripted(status(429, "Retry-After: 2"), OK)) as server:
        with pytest.raises(RateLimited) as raised:
            get(make_calls(environment, server.address), Deadline.after(1.9))
        assert (len(server.requests), raised.value.retry_after) == (1, 2)


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


@pytest.mark.parametrize("case", [*REPEATED, *NOT_REPEATED])
def test_a_change_is_not_repeated_after_any_reply(case: str, environment: dict[str, str]) -> None:
    with RawServer(scripted((REPEATED | NOT_REPEATED)[case], OK)) as server:
        calls = make_calls(environment, server.address)
        if case in {"400", "401", "404"}:
            assert change(calls).status == int(case)
        else:
            with pytest.raises(ServiceError) as raised:
                change(calls)
            assert isinstance(raised.value, ReplyLost) == (case == "broken")
        assert len(server.requests) == 1


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


# --- what a failure means ---


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [(status(500), "zendesk_unavailable", "Zendesk's words"),
     (status(503, body=b"<!DOCTYPE html><HTML><body>Gateway</body>"), "zendesk_unavailable", None),
     (status(429), "rate_limited", "Zendesk's words"),
     (status(302, "Location: https://elsewhere.zendesk.com/"), "zendesk_unavailable", None),
     (status(500, body=b"refused the-token here"), "zendesk_unavailable", "refused … here"),
     (status(500, body=b"\xff\x00bad\r\nbytes"), "zendesk_unavailable", "\ufffd bad bytes")],
    ids=["500", "html", "429", "redirect", "echoed token", "no text"],
)  # fmt: skip
def test_a_failure_carries_status_and_words_without_secrets(
    reply: bytes, code: str, words: str | None, environment: dict[str, str]
) -> None:
    with RawServer(scripted(reply)) as server, pytest.raises(ServiceError) as raised:
        get(make_calls(environment, server.address))
    assert (raised.value.code, raised.value.upstream_status) == (code, int(reply[9:12]))
    assert raised.value.upstream_detail == words
    assert "the-token" not in str(raised.value.members())


@pytest.mark.parametrize(
    ("headers", "seconds"), [(["Retry-After: 7"], 7), (["Retry-After: 0"], None), ([], None)], ids=str
)
def test_a_maintenance_page_says_how_long_to_wait(
    headers: list[str], seconds: int | None, environment: dict[str, str]
) -> None:
    with RawServer(scripted(status(503, *headers))) as server, pytest.raises(ZendeskUnavailable) as raised:
        change(make_calls(environment, server.address))
    assert raised.value.retry_after == seconds


def test_a_redirect_is_not_followed(environment: dict[str, str]) -> None:
    with RawServer(scripted(OK)) as other:
        location = status(302, f"Location: {other.address}/")
        with RawServer(scripted(location)) as server, pytest.raises(ZendeskUnavailable, match="redirect"):
            get(make_calls(environment, server.address))
        assert other.connections == 0


@pytest.mark.parametrize("place", ["/api/v2/x", "/api/services/zis/registry/x/job_specs"])
@pytest.mark.parametrize("call", ["get", "change"])
def test_an_address_without_an_account_is_told_as_such_on_every_path(
    call: str, place: str, environment: dict[str, str]
) -> None:
    with RawServer(scripted(status(404, body=NO_ACCOUNT))) as server, pytest.raises(AccountGone) as raised:
        ask(call, place, make_calls(environment, server.address))
    assert (raised.value.upstream_status, raised.value.upstream_detail) == (404, "There is no help desk")
    assert raised.value.authorize_url is None


@pytest.mark.parametrize(
    "body",
    [b'{"error": {"title": "No such thing"}}', b'{"error": "No help desk at acme"}', b'{"error": {"title": 7}}',
     b'{"title": "No help desk at acme"}', b'["No help desk at acme"]'],
)  # fmt: skip
def test_another_404_is_no_missing_account(body: bytes) -> None:
    assert not Reply(404, {}, body).says_no_account
    assert not Reply(403, {}, NO_ACCOUNT).says_no_account


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
@pytest.mark.parametrize("place", ["/api/v2/x", "/api/services/zis/registry/x/job_specs"])
@pytest.mark.parametrize("call", ["get", "change"])
def test_a_gateways_page_is_nobodys_word_and_is_not_passed_on(
    call: str, place: str, code: int, environment: dict[str, str]
) -> None:
    with RawServer(scripted(status(code, body=PAGE))) as server, pytest.raises(ForeignReply) as raised:
        ask(call, place, make_calls(environment, server.address))
    assert (raised.value.code, raised.value.upstream_status) == ("zendesk_unavailable", code)
    assert raised.value.upstream_detail is None
    assert "html" not in str(raised.value.members())


@pytest.mark.parametrize("body", [b"", b"Access denied", b"[]", b"null", b'"text"'])
def test_where_json_is_due_only_an_object_is_zendesks_own_refusal(body: bytes, environment: dict[str, str]) -> None:
    with RawServer(scripted(status(403, body=body))) as server:
        calls = make_calls(environment, server.address)
        with pytest.raises(ForeignReply):
            ask("get", "/api/v2/x", calls)
        # ZIS refuses in plain sentences, too.
        assert ask("get", "/api/services/zis/registry/x/job_specs", calls).status == 403


@pytest.mark.parametrize(
    "body", [b"Only admin user is allowed. <a href='/x'>Why?</a>", b"integration mismatch<br>Ref 7", b"Oops <!-- x -->"]
)
def test_markup_that_does_not_begin_the_body_is_a_gateways_too_where_zis_refuses_in_sentences(
    body: bytes, environment: dict[str, str]
) -> None:
    with RawServer(scripted(status(403, body=body))) as server, pytest.raises(ForeignReply):
        ask("get", "/api/services/zis/registry/x/job_specs", make_calls(environment, server.address))


def test_a_page_in_the_place_of_a_changes_answer_leaves_open_whether_it_took_effect(
    environment: dict[str, str],
) -> None:
    with RawServer(scripted(http_reply(PAGE))) as server:
        calls = make_calls(environment, server.address)
        with pytest.raises(ReplyLost):
            ask("change", "/api/v2/x", calls)
        with pytest.raises(ForeignReply):
            ask("get", "/api/v2/x", calls)


@pytest.mark.parametrize(
    ("body", "words"),
    [(PAGE, None), (b"\xef\xbb\xbf\r\n" + PAGE, None), (b"<?xml version='1.0'?><Error>no</Error>", None),
     (b"Blocked. <a href='/x'>Why?</a>", None), (b'{"message": "<!doctype html><p>no"}', None),
     (b'"<html></html>"', None), (b'{"message": "1 < 2, <name>"}', "1 < 2, <name>"), (b"1 < 2", "1 < 2")],
)  # fmt: skip
def test_no_page_is_passed_on_as_words(body: bytes, words: str | None) -> None:
    assert Reply(403, {}, body).words() == words


def test_a_huge_reply_is_unavailable(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "big_body"})
    reply = admin.list_fresh("?integration=acme_orders")
    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), (" 7 ", 7), ("0", 0), ("86400", 86400), ("99999", 86400), ("100000", None), ("1.5", None), ("-1", None),
     ("", None), ("٣", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)  # fmt: skip
def test_a_wait_is_seconds_up_to_a_day(text: str, seconds: int | None) -> None:
    assert Reply(429, {"Retry-After": text}, b"").retry_after() == seconds


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(ZendeskUnavailable):
        Reply(200, {}, body).json_object()


def test_a_reply_shows_neither_body_nor_token() -> None:
    assert repr(Reply(200, {"X": "secret"}, b"secret", ("secret",))) == "Reply(status=200, kind='other')"


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
