"""The registry's pages, names and refusals, as documented and as observed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.deadlines import Deadline
from service.errors import InvalidRequest, ServiceError, ZendeskTimeout, ZendeskUnavailable
from service.subdomains import Subdomain
from service.zendesk.replies import Reply
from service.zis_registry import JobSpec, SpecName, list_job_specs, list_refusal, parse_name, registry_refusal
from tests.conftest import MakeAdmin
from tests.raw_server import RawServer, json_reply, make_client
from tests.steps import Admin

ACME = Subdomain("acme")
ARCHIVE = "?integration=acme_archive"


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, on a service that keeps no lists."""
    person = make_admin(LIST_CACHE_SECONDS="0")
    person.connect("acme")
    person.simulator.world.clear_calls()
    return person


def names(body: dict[str, Any]) -> list[str]:
    return [spec["name"] for spec in body["job_specs"]]


def make_row(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": "ship", "description": "d", "event_source": "support", "event_type": "t", "flow_name": "ship_flow",
        "installed": True, "uuid": "u1",
    }  # fmt: skip
    return row | changes


def make_reply(status: int, body: Any) -> Reply:
    return Reply(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


# --- pages ---


def test_every_page_is_read_with_the_largest_size(admin: Admin) -> None:
    listed = names(admin.job_specs(ARCHIVE))
    assert listed == [f"archive_form_{number:03}" for number in range(1, 251)]
    calls = admin.calls("/registry/acme_archive/job_specs")
    assert [call.query for call in calls] == [("page[size]",), *[("page[size]", "page[after]")] * 2]
    assert {call.token_client for call in calls} == {"zis_acme_archive"}


@pytest.mark.parametrize("order", ["last_row", "swapped"])
@pytest.mark.parametrize("form", ["uuid", "name"])
def test_cursors_are_opaque(order: str, form: str, admin: Admin) -> None:
    admin.switch(cursor_order=order, cursor_form=form)
    assert len(set(names(admin.job_specs(ARCHIVE)))) == 250


def test_a_row_that_comes_twice_is_shown_once(admin: Admin) -> None:
    admin.switch(paging="repeat_row")
    listed = names(admin.job_specs(ARCHIVE))
    assert len(listed) == len(set(listed)) == 250


def test_a_cursor_that_repeats_is_an_error(admin: Admin) -> None:
    admin.switch(paging="repeat_cursor")
    reply = admin.call("GET", "/job_specs?integration=acme_orders")
    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")
    assert admin.lists_asked() == 2


def test_a_list_that_never_ends_is_an_error(admin: Admin) -> None:
    admin.switch(paging="endless_pages")
    reply = admin.call("GET", "/job_specs?integration=acme_orders")
    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")
    assert admin.lists_asked() == 100


@pytest.mark.parametrize("form", ["empty_strings", "nulls", "no_meta", "null_list"])
def test_an_empty_list_is_a_list(form: str, admin: Admin) -> None:
    admin.switch(empty_list=form)
    admin.simulator.world.account("acme").integrations["acme_orders"].job_specs.clear()
    body = admin.job_specs("?integration=acme_orders")
    assert body["job_specs"] == []
    assert body["integrations"][0]["error"] is None


@pytest.mark.parametrize("form", ["short", "fqn"])
def test_names_are_short_in_our_answers_whichever_way_zendesk_lists_them(form: str, admin: Admin) -> None:
    admin.switch(list_names=form)
    spec = admin.job_specs("?integration=acme_orders")["job_specs"][0]
    assert spec["name"] == "copy_public_comment"
    assert spec["qualified_name"] == "zis:acme_orders:job_spec:copy_public_comment"
    assert spec["flow_name"] == "copy_public_comment_flow"


def listed_by(pages: list[Any], environment: dict[str, str], deadline: Deadline | None = None) -> tuple[JobSpec, ...]:
    """Return what is read from raw pages; the last one is sent again if more are asked for."""

    def answer(number: int) -> Iterator[bytes]:
        yield json_reply(pages[min(number, len(pages) - 1)])

    with RawServer(answer) as server:
        found = list_job_specs(make_client(environment, server.address, deadline), "acme_orders")
        assert len(server.requests) == len(pages)
    return found


def test_a_cursor_may_be_a_number(environment: dict[str, str]) -> None:
    first = {"job_specs": [make_row()], "meta": {"has_more": True, "after": 2}}
    second = {"job_specs": [make_row(name="bill", uuid="u2")], "meta": {"has_more": False, "after": 3}}
    assert [spec.name for spec in listed_by([first, second], environment)] == ["bill", "ship"]


def test_rows_that_share_a_uuid_are_told_apart_by_name(environment: dict[str, str]) -> None:
    rows = [make_row(), make_row(name="bill"), make_row(name="bill", uuid="u2"), make_row()]
    found = [(spec.name, spec.uuid) for spec in listed_by([{"job_specs": rows}], environment)]
    assert found == [("bill", "u1"), ("bill", "u2"), ("ship", "u1")]


def test_a_row_that_comes_again_on_a_later_page_is_as_new_as_that_page(environment: dict[str, str]) -> None:
    pages = [
        {"job_specs": [make_row(installed=False)], "meta": {"has_more": True, "after": "u1"}},
        {"job_specs": [make_row(installed=True)], "meta": {"has_more": False}},
    ]
    assert [spec.installed for spec in listed_by(pages, environment)] == [True]


def test_rows_as_public_bundles_have_them_are_read(environment: dict[str, str]) -> None:
    """Without a description, with a qualified flow, or one of another integration; names with placeholders and dots."""
    bare = {"name": "{{name}}.Copy-1", "installed": False, "flow_name": "zis:acme_orders:flow:copy"}
    common = make_row(name="b", description=None, flow_name="zis:common:flow:copy")
    first, second = listed_by([{"job_specs": [common, bare]}], environment)
    assert (first.name, first.description, first.flow_name) == ("b", None, "zis:common:flow:copy")
    assert (second.name, second.description, second.flow_name, second.uuid) == ("{{name}}.Copy-1", None, "copy", None)


def test_rows_without_uuid_are_told_apart_by_name(environment: dict[str, str]) -> None:
    rows = [make_row(uuid=None), make_row(uuid=None), make_row(name="Ship", uuid=None)]
    assert [spec.name for spec in listed_by([{"job_specs": rows}], environment)] == ["Ship", "ship"]


@pytest.mark.parametrize("meta", [None, [], {}, {"has_more": None}, {"has_more": False, "after": "u1"}])
def test_a_list_that_does_not_say_that_it_goes_on_ends(meta: Any, environment: dict[str, str]) -> None:
    assert len(listed_by([{"job_specs": [make_row()], "meta": meta}], environment)) == 1


GOES_NOWHERE: list[Any] = [
    {"has_more": True},
    {"has_more": True, "after": None},
    {"has_more": True, "after": ""},
    {"has_more": True, "after": True},
    {"has_more": True, "after": ["u1"]},
    {"has_more": True, "after_cursor": "u1"},
    {"has_more": True, "before": "u1"},
    {"has_more": "true", "after": "u1"},
    {"has_more": "false"},
    {"has_more": 1, "after": "u1"},
    {"has_more": 0, "after": "u1"},
    {"has_more": ""},
    "u1",
]


@pytest.mark.parametrize("meta", GOES_NOWHERE, ids=json.dumps)
def test_a_list_that_goes_on_and_does_not_say_where_is_an_error(meta: Any, environment: dict[str, str]) -> None:
    """The first page was shown as the whole list."""
    with pytest.raises(ZendeskUnavailable):
        listed_by([{"job_specs": [make_row()], "meta": meta}], environment)


@pytest.mark.parametrize(
    "members",
    [
        {"has_more": True},
        {"next_page": "https://acme.zendesk.com/x?page=2"},
        {"meta": {}, "links": {"next": "https://acme.zendesk.com/x?page[after]=u1"}},
    ],
    ids=json.dumps,
)
def test_a_list_that_goes_on_as_other_lists_of_zendesks_do_is_an_error(
    members: dict[str, Any], environment: dict[str, str]
) -> None:
    with pytest.raises(ZendeskUnavailable):
        listed_by([{"job_specs": [make_row()], **members}], environment)
    whole = {"job_specs": [make_row()], **members, "meta": {"has_more": False}}
    assert len(listed_by([whole], environment)) == 1


def test_texts_of_other_types_are_unknown(environment: dict[str, str]) -> None:
    row = make_row(description=7, event_source=None, event_type=[], flow_name={}, uuid=1)
    spec = listed_by([{"job_specs": [row]}], environment)[0]
    assert (spec.description, spec.event_source, spec.event_type, spec.flow_name, spec.uuid) == (None,) * 5


@pytest.mark.parametrize(
    "page",
    [{}, [], None, "text", {"job_specs": {}}, {"job_specs": [7]}, {"job_specs": [make_row(name=None)]},
     {"job_specs": [make_row(name="")]}, {"job_specs": [make_row(installed="yes")]},
     {"job_specs": [make_row(installed=None)]}],
    ids=["empty", "array", "null", "text", "rows-object", "row-number", "no-name", "empty-name", "installed-text",
         "installed-null"],
)  # fmt: skip
def test_what_is_no_list_is_an_error(page: Any, environment: dict[str, str]) -> None:
    with pytest.raises(ZendeskUnavailable):
        listed_by([page], environment)


def test_a_row_of_a_list_has_the_members_of_its_document() -> None:
    spec = JobSpec("rule", "acme_orders", None, "support", "ticket.TicketCreated", "flow", True, "0-1")
    assert spec.to_members() == spec.to_document().model_dump()


def test_no_page_is_begun_when_time_is_nearly_over(environment: dict[str, str]) -> None:
    with pytest.raises(ZendeskTimeout):
        listed_by([], environment, Deadline.after(1.5))


# --- names ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ship", SpecName("ship", None)),
     ("Ship it, now!", SpecName("Ship it, now!", None)),
     ("größe", SpecName("größe", None)),
     ("x" * 5000, SpecName("x" * 5000, None)),
     ("a/b\\c?d#e%2Ff&g", SpecName("a/b\\c?d#e%2Ff&g", None)),
     (" \t\r\n\0\x85\u2028\ufffd", SpecName(" \t\r\n\0\x85\u2028\ufffd", None)),
     ("a:b", SpecName("a:b", None)),
     ("zis:acme_orders", SpecName("zis:acme_orders", None)),
     ("zis::job_spec:a", SpecName("zis::job_spec:a", None)),
     ("ZIS:acme_orders:job_spec:a", SpecName("ZIS:acme_orders:job_spec:a", None)),
     ("zis:acme_orders:job_spec:Ship", SpecName("Ship", "acme_orders")),
     ("zis:acme_orders:job_spec:a:b/c", SpecName("a:b/c", "acme_orders")),
     ("zis:acme_orders:job_spec:zis:globex:flow:x", SpecName("zis:globex:flow:x", "acme_orders"))],
    ids=["short", "punctuation", "unicode", "long", "addresses", "control", "colon", "no name", "no integration",
         "upper case", "qualified", "qualified with a colon", "qualified twice"],
)  # fmt: skip
def test_a_name_is_short_or_qualified(text: str, expected: SpecName) -> None:
    assert parse_name(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "zis:acme_orders:flow:ship", "zis:acme_orders:action:a:b", "\ud800", "zis:acme_orders:job_spec:\udcff"],
    ids=["nothing", "flow", "action", "half a pair", "half a pair, qualified"],
)
def test_anything_else_is_no_name(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_name(text)


# --- refusals ---

ENVELOPE = {"errors": [{"code": "1001", "detail": "The detail", "status": "403"}], "message": "The message"}


@pytest.mark.parametrize(
    ("body", "words"),
    [(ENVELOPE, "The detail"),
     ({"errors": [], "message": "The message"}, "The message"),
     ({"errors": [{"detail": ""}], "message": "The message"}, "The message"),
     ({"errors": ["text"], "error": "The error"}, "The error"),
     ({"error": {"title": "Forbidden", "message": "The message"}}, "The message"),
     ({"error": {"title": "Forbidden"}}, "Forbidden"),
     ({"error": "invalid", "description": "The description"}, "The description"),
     ({"error": "invalid_token", "error_description": "Expired"}, "Expired"),
     ({"error": {"title": 7}}, '{"error": {"title": 7}}'),
     ({"message": 7}, '{"message": 7}'),
     (b"Plain text\r\nof two\x00 lines", "Plain text of two lines"),
     (b"", None),
     (b"null", "null"),
     (b"x" * 600, "x" * 500)],
    ids=["envelope", "message", "empty-detail", "error-text", "error-object", "error-title", "description",
         "oauth", "odd-title", "odd-message", "plain", "empty", "null", "long"],
)  # fmt: skip
def test_zendesks_words_are_found_wherever_it_puts_them(body: Any, words: str | None) -> None:
    refusal = registry_refusal(make_reply(403, body), "acme_orders")
    assert refusal.upstream_detail == words
    assert refusal.upstream_status == 403


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [(401, "Authorization failed due to integration mismatch", "integration_mismatch"),
     (403, "Only admin user is allowed", "admin_required"),
     (403, "Missing the following required scopes: read", "scope_insufficient"),
     (403, "Something else", "zis_rejected"),
     (400, "one or more requested job specs is invalid: x", "job_spec_not_found"),
     (400, "Something else", "zis_rejected"),
     (401, "Authorization failed due to OAuth being disabled for this API request", "zis_rejected"),
     (422, "no", "zis_rejected")],
)  # fmt: skip
@pytest.mark.parametrize("style", ["text", "message", "envelope"])
def test_a_refusal_is_known_by_its_words_in_every_style(status: int, text: str, code: str, style: str) -> None:
    bodies = {"text": text.encode(), "message": {"message": text}, "envelope": {"errors": [{"detail": text}]}}
    assert registry_refusal(make_reply(status, bodies[style]), "acme_orders").code == code


def test_a_list_of_an_integration_nobody_knows_is_a_mismatch() -> None:
    refusal: ServiceError = list_refusal(make_reply(404, b"no rows found"), "acme_orders")
    assert refusal.code == "integration_mismatch"
    assert refusal.members()["upstream_detail"] == "no rows found"


@pytest.mark.parametrize("body", [b"404 page not found", b"Not Found", b"", b"[]", b'"no route"'])
def test_a_404_in_words_that_are_not_zendesks_says_nothing_of_an_integration(body: bytes) -> None:
    refusal = list_refusal(make_reply(404, body), "acme_orders")
    assert refusal.code == "zendesk_unavailable"
    assert "upstream_detail" not in refusal.members()
