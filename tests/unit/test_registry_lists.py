"""An integration's job specs as the registry lists them: how pages add up, and when they are refused."""

import itertools
import json
from typing import Any

import pytest

from service.ground.errors import ZendeskTimeout, ZendeskUnavailable
from service.zendesk.zis_registry import MOST_PAGES, JobSpec, list_job_specs
from tests.unit.zendesk import Zendesk


def make_row(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": "ship", "description": "d", "event_source": "support", "event_type": "t", "flow_name": "ship_flow",
        "installed": True, "uuid": "u1",
    }  # fmt: skip
    return row | changes


def listed_by(pages: list[Any], seconds: float = 25) -> tuple[JobSpec, ...]:
    """Return what is read from pages, all of which are asked for."""
    zendesk = Zendesk(pages)
    found = list_job_specs(zendesk.client(seconds=seconds), "acme_orders")
    assert len(zendesk.sent) == len(pages)
    return found


def test_a_cursor_may_be_a_number() -> None:
    first = {"job_specs": [make_row()], "meta": {"has_more": True, "after": 2}}
    second = {"job_specs": [make_row(name="bill", uuid="u2")], "meta": {"has_more": False, "after": 3}}
    assert [spec.name for spec in listed_by([first, second])] == ["bill", "ship"]


def test_rows_that_share_a_uuid_are_told_apart_by_name() -> None:
    rows = [make_row(), make_row(name="bill"), make_row(name="bill", uuid="u2"), make_row()]
    found = [(spec.name, spec.uuid) for spec in listed_by([{"job_specs": rows}])]
    assert found == [("bill", "u1"), ("bill", "u2"), ("ship", "u1")]


def test_a_row_that_comes_again_on_a_later_page_is_as_new_as_that_page() -> None:
    pages = [
        {"job_specs": [make_row(installed=False)], "meta": {"has_more": True, "after": "u1"}},
        {"job_specs": [make_row(installed=True)], "meta": {"has_more": False}},
    ]
    assert [spec.installed for spec in listed_by(pages)] == [True]


def test_rows_as_public_bundles_have_them_are_read() -> None:
    """Without a description, with a qualified flow, or one of another integration; names with placeholders and dots."""
    bare = {"name": "{{name}}.Copy-1", "installed": False, "flow_name": "zis:acme_orders:flow:copy"}
    common = make_row(name="b", description=None, flow_name="zis:common:flow:copy")
    first, second = listed_by([{"job_specs": [common, bare]}])
    assert (first.name, first.description, first.flow_name) == ("b", None, "zis:common:flow:copy")
    assert (second.name, second.description, second.flow_name, second.uuid) == ("{{name}}.Copy-1", None, "copy", None)


def test_rows_without_uuid_are_told_apart_by_name() -> None:
    rows = [make_row(uuid=None), make_row(uuid=None), make_row(name="Ship", uuid=None)]
    assert [spec.name for spec in listed_by([{"job_specs": rows}])] == ["Ship", "ship"]


@pytest.mark.parametrize("meta", [None, [], {}, {"has_more": None}, {"has_more": False, "after": "u1"}])
def test_a_list_that_does_not_say_that_it_goes_on_ends(meta: Any) -> None:
    assert len(listed_by([{"job_specs": [make_row()], "meta": meta}])) == 1


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
def test_a_list_that_goes_on_and_does_not_say_where_is_an_error(meta: Any) -> None:
    """The first page was shown as the whole list."""
    with pytest.raises(ZendeskUnavailable):
        listed_by([{"job_specs": [make_row()], "meta": meta}])


@pytest.mark.parametrize(
    "members",
    [
        {"has_more": True},
        {"next_page": "https://acme.zendesk.com/x?page=2"},
        {"meta": {}, "links": {"next": "https://acme.zendesk.com/x?page[after]=u1"}},
    ],
    ids=json.dumps,
)
def test_a_list_that_goes_on_as_other_lists_of_zendesks_do_is_an_error(members: dict[str, Any]) -> None:
    with pytest.raises(ZendeskUnavailable):
        listed_by([{"job_specs": [make_row()], **members}])
    whole = {"job_specs": [make_row()], **members, "meta": {"has_more": False}}
    assert len(listed_by([whole])) == 1


def test_texts_of_other_types_are_unknown() -> None:
    row = make_row(description=7, event_source=None, event_type=[], flow_name={}, uuid=1)
    spec = listed_by([{"job_specs": [row]}])[0]
    assert (spec.description, spec.event_source, spec.event_type, spec.flow_name, spec.uuid) == (None,) * 5


@pytest.mark.parametrize(
    "page",
    [{}, [], None, "text", {"job_specs": {}}, {"job_specs": [7]}, {"job_specs": [make_row(name=None)]},
     {"job_specs": [make_row(name="")]}, {"job_specs": [make_row(installed="yes")]},
     {"job_specs": [make_row(installed=None)]}],
    ids=["empty", "array", "null", "text", "rows-object", "row-number", "no-name", "empty-name", "installed-text",
         "installed-null"],
)  # fmt: skip
def test_what_is_no_list_is_an_error(page: Any) -> None:
    with pytest.raises(ZendeskUnavailable):
        listed_by([page])


def test_a_row_of_a_list_has_the_members_of_its_document() -> None:
    spec = JobSpec("rule", "acme_orders", None, "support", "ticket.TicketCreated", "flow", True, "0-1")
    assert spec.to_members() == spec.to_document().model_dump()


def test_no_page_is_begun_when_time_is_nearly_over() -> None:
    with pytest.raises(ZendeskTimeout):
        listed_by([], seconds=1.5)


# --- how pages add up ---


def page(*names: str, after: Any = None, **meta: Any) -> dict[str, Any]:
    rows = [make_row(name=name, uuid=f"of {name}") for name in names]
    return {"job_specs": rows, "meta": {"has_more": after is not None, "after": after, **meta}}


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([page("b", "a")], ["a", "b"]),
        ([page("b", after="x"), page("a", after="y"), page("c")], ["a", "b", "c"]),
        # A cursor is whatever Zendesk says, in no order.
        ([page("b", after="9"), page("a", after="1"), page("c")], ["a", "b", "c"]),
        ([page("b", after="of b"), page("b", "a")], ["a", "b"]),
        # Large letters come before small ones.
        ([page("a", "B", "\u00e9", "Z")], ["B", "Z", "a", "\u00e9"]),
        ([page(after="x"), page("a")], ["a"]),
        # Each of the ways in which an empty list was seen.
        ([page()], []),
        ([{"job_specs": [], "meta": {"has_more": False, "after": "", "before": ""}}], []),
        ([{"job_specs": []}], []),
        ([{"job_specs": None, "meta": None}], []),
    ],
)
def test_pages_add_up_to_one_list_sorted_by_name(pages: list[Any], expected: list[str]) -> None:
    assert [spec.name for spec in listed_by(pages)] == expected


def test_a_page_is_asked_for_with_the_cursor_of_the_one_before_and_the_largest_size() -> None:
    zendesk = Zendesk([page("a", after="x+/= &"), page("b", after=2), page("c")])
    list_job_specs(zendesk.client(), "acme_orders")
    size = {"page[size]": "100"}
    assert zendesk.queries() == [size, {**size, "page[after]": "x+/= &"}, {**size, "page[after]": "2"}]


def test_a_cursor_that_repeats_is_an_error() -> None:
    with pytest.raises(ZendeskUnavailable):
        listed_by([page("a", after="x"), page("b", after="y"), page("c", after="x")])


def test_a_list_that_never_ends_is_an_error() -> None:
    pages = [page(f"n{number}", after=number) for number in itertools.islice(itertools.count(), MOST_PAGES)]
    with pytest.raises(ZendeskUnavailable, match="does not end"):
        listed_by(pages)


@pytest.mark.parametrize("is_long", [True, False])
def test_names_are_short_whichever_way_zendesk_lists_them(is_long: bool) -> None:
    kinds = {"job_spec": "ship", "flow": "ship_flow"}
    named = {kind: f"zis:acme_orders:{kind}:{name}" if is_long else name for kind, name in kinds.items()}
    row = make_row(name=named["job_spec"], flow_name=named["flow"])
    (spec,) = listed_by([{"job_specs": [row]}])
    assert (spec.name, spec.flow_name, spec.qualified_name) == ("ship", "ship_flow", "zis:acme_orders:job_spec:ship")
