"""One call: what is repeated, and what a reply or a failure means."""

from typing import Any

import pytest
import requests

from service.ground.errors import AccountGone, RateLimited, ServiceError, ZendeskUnavailable
from service.zendesk.calls import ForeignReply, ReplyLost
from service.zendesk.replies import Reply
from tests.unit.zendesk import Said, Zendesk

OK: dict[str, Any] = {}
JSON = b'{"error": "Zendesk\'s words"}'
PAGE = b"<!DOCTYPE html><html><body>Only admin user is allowed: missing scope, integration mismatch</body></html>"
NO_ACCOUNT = b'{"error": {"title": "No help desk at acme.zendesk.com", "message": "There is no help desk"}}'


def status(code: int, *, body: bytes = b"Zendesk's words", **headers: str) -> Said:
    return Said(code, body, **headers)


def get(zendesk: Zendesk, seconds: float = 25) -> Reply:
    return zendesk.client(seconds=seconds).get("/api/v2/x", query={"page[size]": "100"})


def change(zendesk: Zendesk) -> Reply:
    return zendesk.client().change("DELETE", "/api/v2/x")


def ask(call: str, path: str, zendesk: Zendesk) -> Reply:
    """Make one call to a path, by either method."""
    return zendesk.client().get(path) if call == "get" else zendesk.client().change("DELETE", path)


# --- what is repeated ---

REPEATED = {
    "502": status(502), "503": status(503), "504": status(504), "broken": requests.ConnectionError("broken"),
    "429 for 0 s": status(429, Retry_After="0"),
}  # fmt: skip
NOT_REPEATED = {
    "400": status(400, body=JSON), "401": status(401, body=JSON), "404": status(404, body=JSON),
    "500": status(500), "302": status(302),
    "429": status(429), "429 for 3 s": status(429, Retry_After="3"), "429 until": status(429, Retry_After="soon"),
}  # fmt: skip


@pytest.mark.parametrize("case", REPEATED)
def test_a_get_is_repeated_once_after_what_may_pass(case: str) -> None:
    server = Zendesk([REPEATED[case], OK])
    assert get(server).is_success
    assert len(server.sent) == 2


@pytest.mark.parametrize("case", REPEATED)
def test_a_get_is_not_repeated_twice(case: str) -> None:
    server = Zendesk([REPEATED[case]])
    with pytest.raises((ZendeskUnavailable, RateLimited)):
        get(server)
    assert len(server.sent) == 2


@pytest.mark.parametrize("case", NOT_REPEATED)
def test_a_get_is_not_repeated_after_anything_else(case: str) -> None:
    server = Zendesk([NOT_REPEATED[case], OK])
    if case in {"400", "401", "404"}:
        assert get(server).status == int(case)
    else:
        with pytest.raises(ServiceError):
            get(server)
    assert len(server.sent) == 1


def test_a_short_limit_is_waited_out() -> None:
    server = Zendesk([status(429, Retry_After="1"), OK])
    assert get(server).is_success
    assert len(server.sent) == 2


def test_a_limit_is_not_waited_out_past_the_deadline() -> None:
    server = Zendesk([status(429, Retry_After="2"), OK])
    with pytest.raises(RateLimited) as raised:
        get(server, 1.9)
    assert (len(server.sent), raised.value.retry_after) == (1, 2)


@pytest.mark.parametrize("case", [*REPEATED, *NOT_REPEATED])
def test_a_change_is_not_repeated_after_any_reply(case: str) -> None:
    server = Zendesk([(REPEATED | NOT_REPEATED)[case], OK])
    if case in {"400", "401", "404"}:
        assert change(server).status == int(case)
    else:
        with pytest.raises(ServiceError) as raised:
            change(server)
        assert isinstance(raised.value, ReplyLost) == (case == "broken")
    assert len(server.sent) == 1


# --- what a failure means ---


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [(status(500), "zendesk_unavailable", "Zendesk's words"),
     (status(503, body=b"<!DOCTYPE html><HTML><body>Gateway</body>"), "zendesk_unavailable", None),
     (status(429), "rate_limited", "Zendesk's words"),
     (status(302, Location="https://elsewhere.zendesk.com/"), "zendesk_unavailable", None),
     (status(500, body=b"refused the-token here"), "zendesk_unavailable", "refused … here"),
     (status(500, body=b"\xff\x00bad\r\nbytes"), "zendesk_unavailable", "\ufffd bad bytes")],
    ids=["500", "html", "429", "redirect", "echoed token", "no text"],
)  # fmt: skip
def test_a_failure_carries_status_and_words_without_secrets(reply: Said, code: str, words: str | None) -> None:
    server = Zendesk([reply])
    with pytest.raises(ServiceError) as raised:
        get(server)
    assert (raised.value.code, raised.value.upstream_status) == (code, reply.status)
    assert raised.value.upstream_detail == words
    assert "the-token" not in str(raised.value.members())


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"Retry_After": "7"}, 7), ({"Retry_After": "0"}, None), ({}, None)], ids=str
)
def test_a_maintenance_page_says_how_long_to_wait(headers: dict[str, str], seconds: int | None) -> None:
    server = Zendesk([Said(503, **headers)])
    with pytest.raises(ZendeskUnavailable) as raised:
        change(server)
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize("place", ["/api/v2/x", "/api/services/zis/registry/x/job_specs"])
@pytest.mark.parametrize("call", ["get", "change"])
def test_an_address_without_an_account_is_told_as_such_on_every_path(call: str, place: str) -> None:
    server = Zendesk([status(404, body=NO_ACCOUNT)])
    with pytest.raises(AccountGone) as raised:
        ask(call, place, server)
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
def test_a_gateways_page_is_nobodys_word_and_is_not_passed_on(call: str, place: str, code: int) -> None:
    server = Zendesk([status(code, body=PAGE)])
    with pytest.raises(ForeignReply) as raised:
        ask(call, place, server)
    assert (raised.value.code, raised.value.upstream_status) == ("zendesk_unavailable", code)
    assert raised.value.upstream_detail is None
    assert "html" not in str(raised.value.members())


@pytest.mark.parametrize("body", [b"", b"Access denied", b"[]", b"null", b'"text"'])
def test_where_json_is_due_only_an_object_is_zendesks_own_refusal(body: bytes) -> None:
    server = Zendesk([status(403, body=body)])
    with pytest.raises(ForeignReply):
        ask("get", "/api/v2/x", server)
    # ZIS refuses in plain sentences, too.
    assert ask("get", "/api/services/zis/registry/x/job_specs", server).status == 403


@pytest.mark.parametrize(
    "body", [b"Only admin user is allowed. <a href='/x'>Why?</a>", b"integration mismatch<br>Ref 7", b"Oops <!-- x -->"]
)
def test_markup_that_does_not_begin_the_body_is_a_gateways_too_where_zis_refuses_in_sentences(body: bytes) -> None:
    server = Zendesk([status(403, body=body)])
    with pytest.raises(ForeignReply):
        ask("get", "/api/services/zis/registry/x/job_specs", server)


def test_a_page_in_the_place_of_a_changes_answer_leaves_open_whether_it_took_effect() -> None:
    server = Zendesk([Said(200, PAGE)])
    with pytest.raises(ReplyLost):
        ask("change", "/api/v2/x", server)
    with pytest.raises(ForeignReply):
        ask("get", "/api/v2/x", server)


@pytest.mark.parametrize(
    ("body", "words"),
    [(PAGE, None), (b"\xef\xbb\xbf\r\n" + PAGE, None), (b"<?xml version='1.0'?><Error>no</Error>", None),
     (b"Blocked. <a href='/x'>Why?</a>", None), (b'{"message": "<!doctype html><p>no"}', None),
     (b'"<html></html>"', None), (b'{"message": "1 < 2, <name>"}', "1 < 2, <name>"), (b"1 < 2", "1 < 2")],
)  # fmt: skip
def test_no_page_is_passed_on_as_words(body: bytes, words: str | None) -> None:
    assert Reply(403, {}, body).words() == words


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
