"""The document of desired state and the plan made of it, without Flask, Redis or HTTP."""

import json
import time
import tracemalloc
from typing import Any

import pytest

from service.ground.subdomains import Subdomain
from service.job_specs.desired_state import MOST_NAMES, FaultyDocument, Place, document_of, read_document
from service.job_specs.plans import Change, Listed, counts, make_plan

TEMPLATES = ("{subdomain}_orders", "{subdomain}_shipping")
ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
HERE = Place(ACME, TEMPLATES)
ANYWHERE = Place(None, TEMPLATES, is_promotion=True)
TO_GLOBEX = Place(GLOBEX, TEMPLATES, is_promotion=True)


def document(**integrations: Any) -> bytes:
    return json.dumps({"account": "acme", "integrations": integrations}).encode()


def faults(text: bytes | str | dict[str, Any], place: Place = HERE) -> list[tuple[str, str]]:
    """Return (pointer, detail) of every fault."""
    if isinstance(text, dict):
        text = json.dumps(text)
    with pytest.raises(FaultyDocument) as refused:
        read_document(text.encode() if isinstance(text, str) else text, place)
    assert refused.value.errors is not None
    return [(one["pointer"], one["detail"]) for one in refused.value.errors]


# --- the document ---


def test_a_document_says_by_name_what_should_be_installed() -> None:
    desired = read_document(document(acme_orders={"installed": ["a", "b / c"], "uninstalled": ["d"]}), HERE)
    assert desired.account == "acme"
    assert desired.integrations == {"acme_orders": {"a": True, "b / c": True, "d": False}}


def test_either_list_may_be_missing() -> None:
    desired = read_document(document(acme_orders={}, acme_shipping={"uninstalled": []}), HERE)
    assert desired.integrations == {"acme_orders": {}, "acme_shipping": {}}


def test_what_export_writes_is_read_back_the_same() -> None:
    rows = {"acme_shipping": {"b": True, "a": False}, "acme_orders": {"é:/~": True}}
    written = document_of(ACME, rows)
    assert list(written["integrations"]) == ["acme_orders", "acme_shipping"]
    assert read_document(json.dumps(written).encode(), ANYWHERE).integrations == rows


def test_a_document_of_many_members_takes_no_longer_where_one_is_repeated() -> None:
    """Anybody with a session may send a megabyte; to compare each member with each would take minutes."""
    members = [f'"k{number}": 0' for number in range(20_000)]

    def seconds(text: list[str]) -> float:
        began = time.process_time()
        with pytest.raises(FaultyDocument):
            read_document(f"{{{','.join(text)}}}".encode(), HERE)
        return time.process_time() - began

    assert seconds([*members, members[0]]) < 20 * seconds(members)


def test_no_document_names_more_job_specs_than_others_can_spare() -> None:
    names = [f"n{number}" for number in range(MOST_NAMES)]
    assert (
        len(read_document(document(acme_orders={"installed": names}), HERE).integrations["acme_orders"]) == MOST_NAMES
    )
    told = faults(document(acme_orders={"installed": names}, acme_shipping={"uninstalled": ["one"]}))
    assert told == [
        ("/integrations", f"names {MOST_NAMES + 1} job specs, and may name {MOST_NAMES}: send it in parts.")
    ]


@pytest.mark.parametrize(
    "section",
    [
        pytest.param({"installed": [1] * 15_000}, id="names"),
        pytest.param({f"m{number}": 0 for number in range(15_000)}, id="members"),
    ],
)
@pytest.mark.parametrize("length", [20, 20_000])
def test_a_refusal_takes_no_more_than_a_few_times_its_document(length: int, section: dict[str, Any]) -> None:
    """Anybody with a session may send a megabyte; a long name told with each fault would make gigabytes of it."""
    text = document(**{"n" * length: section})
    tracemalloc.start()
    found = faults(text)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found
    assert sum(len(pointer) + len(detail) for pointer, detail in found) < 256 * 1024
    # Reading it takes as much; whoever keeps each fault as a text takes more still.
    assert most < 8 * 1024 * 1024


def test_many_sections_that_mean_nothing_are_told_as_far_as_it_helps() -> None:
    found = faults(document(**{f"n{number}": {} for number in range(2000)}))
    assert found[-1] == ("", "has 1000 faults more.")


def test_a_name_that_no_integration_can_have_is_quoted_in_part() -> None:
    ((pointer, detail),) = faults(document(**{"n" * 300: {"installed": [None]}}))
    assert pointer == "/integrations"
    assert detail == f"has a name that no integration has, of 300 characters: '{'n' * 100}…'."


def test_every_fault_is_named_at_once_with_its_place() -> None:
    text = """{"acount": "acme", "account": "ac me", "integrations": {
        "acme_orders": {"installed": ["a", 7, "", "a", "zis:acme_orders:job_spec:b"], "uninstalled": ["a"], "on": []},
        "acme_shipping": [], "of/none~": {"installed": "a"}, "acme_orders": {}}}"""
    found = faults(text)
    assert [pointer for pointer, _ in found] == ["/acount", "/account", "/integrations/acme_orders",
        "/integrations/acme_shipping", "/integrations/of~1none~0", "/integrations/of~1none~0/installed"]  # fmt: skip


def test_faults_within_a_list_point_to_the_very_name() -> None:
    found = faults(
        document(
            acme_orders={"installed": ["a", 7, "", "a", "zis:acme_orders:job_spec:b"], "uninstalled": ["a"], "on": 1}
        )
    )
    assert [pointer for pointer, _ in found] == [
        "/integrations/acme_orders/on",
        "/integrations/acme_orders/installed/1",
        "/integrations/acme_orders/installed/2",
        "/integrations/acme_orders/installed/3",
        "/integrations/acme_orders/installed/4",
        "/integrations/acme_orders/uninstalled/0",
    ]
    assert found[-1][1] == "'a' is named already at /integrations/acme_orders/installed/0."
    assert "short name" in found[4][1]


@pytest.mark.parametrize(
    ("text", "pointer", "words"),
    [
        ("", "", "no JSON"),
        ("{", "", "line 1, column 2"),
        (b"\xff\xfe\xff", "", "is no JSON: it is no text in UTF-8"),
        ("[" * 100_000, "", "nested too deeply"),
        ("9" * 5_000, "", "a number in it has too many digits"),
        ("null", "", "must be an object, and is null"),
        ("[]", "", "and is an array"),
        ({}, "/integrations", "is missing"),
        ({"integrations": None}, "/integrations", "and is null"),
        ({"integrations": []}, "/integrations", "and is an array"),
        ({"account": 7, "integrations": {}}, "/account", "must be a text, and is a number"),
        ({"account": "acme.evil", "integrations": {}}, "/account", "is no account"),
        ({"account": "globex", "integrations": {}}, "/account", "you are asking for acme"),
        ({"integrations": {"globex_orders": {}}}, "/integrations/globex_orders", "acme_orders, acme_shipping"),
        ({"integrations": {"acme_orders": {"installed": {}}}}, "/integrations/acme_orders/installed", "an object"),
        ('{"integrations": {}, "integrations": {}}', "/integrations", "more than once"),
        ('{"integrations": {"acme_orders": {"installed": ["\\ud800"]}}}',
         "/integrations/acme_orders/installed/0", "surrogate"),
        ({"integrations": {"acme_orders": {}, "{subdomain}_orders": {}}},
         "/integrations/{subdomain}_orders", "so does"),
    ],
)  # fmt: skip
def test_a_fault_says_what_is_wrong_and_where(text: Any, pointer: str, words: str) -> None:
    ((place, detail),) = faults(text)
    assert place == pointer
    assert words in detail


def test_without_an_account_anywhere_that_is_the_fault() -> None:
    assert faults({"integrations": {}}, ANYWHERE) == [
        ("/account", "is missing: name the account here or with --account.")
    ]
    assert read_document(b'{"integrations": {"acme_orders": {}}}', HERE).account == ACME


def test_a_thousand_faults_are_enough() -> None:
    found = faults({"integrations": {"acme_orders": {"installed": [None] * 1500}}})
    assert len(found) == 1001
    assert found[-1] == ("", "has 500 faults more.")


# --- another account ---


def test_names_are_matched_through_the_templates() -> None:
    text = document(acme_orders={"installed": ["a"]}, **{"{subdomain}_shipping": {"uninstalled": ["b"]}})
    desired = read_document(text, TO_GLOBEX)
    assert desired.account == "globex"
    assert desired.integrations == {"globex_orders": {"a": True}, "globex_shipping": {"b": False}}


def test_the_accounts_own_names_are_no_names_elsewhere() -> None:
    ((pointer, detail),) = faults(document(globex_orders={}), TO_GLOBEX)
    assert pointer == "/integrations/globex_orders"
    assert "no integration of globex" in detail


def test_a_name_that_may_be_two_is_refused() -> None:
    place = Place(GLOBEX, ("{subdomain}_orders", "acme_orders"), is_promotion=True)
    ((pointer, detail),) = faults(document(acme_orders={}), place)
    assert pointer == "/integrations/acme_orders"
    assert "acme_orders or globex_orders" in detail
    # Written with the placeholder it is one.
    assert set(read_document(document(**{"{subdomain}_orders": {}}), place).integrations) == {"globex_orders"}


# --- the plan ---


def planned(wanted: dict[str, bool], *listed: Listed, rearm: bool = False) -> list[tuple[str, str]]:
    changes = make_plan({"o": wanted}, {"o": listed}, rearm=rearm)
    return [(one.name, one.change) for one in changes]


ON, OFF = Listed("on", installed=True), Listed("off", installed=False)


def test_only_what_differs_changes() -> None:
    assert planned({"on": True, "off": False}, ON, OFF) == [("off", "none"), ("on", "none")]
    assert planned({"on": False, "off": True}, ON, OFF) == [("off", "install"), ("on", "uninstall")]
    assert planned({}, ON, OFF) == [("off", "not_named"), ("on", "not_named")]


def test_rearming_repeats_what_is_installed_and_should_be() -> None:
    assert planned({"on": True, "off": True}, ON, OFF, rearm=True) == [("off", "install"), ("on", "rearm")]
    assert planned({"on": False, "off": False}, ON, OFF, rearm=True) == [("off", "none"), ("on", "uninstall")]
    assert planned({}, ON, rearm=True) == [("on", "not_named")]


def test_what_is_not_listed_is_said_and_only_missed_where_it_should_be_there() -> None:
    there, gone = make_plan({"o": {"there": True, "gone": False}}, {"o": []}, rearm=False)[::-1]
    assert (there.change, there.is_missed) == ("not_listed", True)
    assert (gone.change, gone.is_missed) == ("not_listed", False)
    assert gone.detail is not None
    assert "take it out of the document" in gone.detail


def test_a_name_listed_twice_is_installed_where_one_of_its_rows_is() -> None:
    twice = (Listed("a", installed=True), Listed("a", installed=False))
    for rows in (twice, twice[::-1]):
        assert planned({"a": True}, *rows) == [("a", "none")]
        assert planned({"a": False}, *rows) == [("a", "uninstall")]


def test_a_plan_is_sorted_by_integration_and_name() -> None:
    changes = make_plan({"b": {"z": True, "Z": True}}, {"c": [OFF], "b": [], "a": [ON]}, rearm=False)
    assert [(one.integration, one.name) for one in changes] == [("a", "on"), ("b", "Z"), ("b", "z"), ("c", "off")]
    assert counts(changes) == {"not_named": 2, "not_listed": 2}


def test_what_an_older_bundle_left_behind_is_pointed_out() -> None:
    row = Listed("old", installed=True, left_over=True)
    (change,) = make_plan({}, {"o": [row]}, rearm=False)
    assert change.detail is not None
    assert "older bundle" in change.detail
    assert make_plan({}, {"o": [Listed("old", installed=False, left_over=True)]}, rearm=False)[0].detail is None


@pytest.mark.parametrize(("result", "failed"), [(None, False), ("ok", False), ("zis_rejected", True)])
def test_a_change_has_failed_by_its_result(result: str | None, failed: bool) -> None:
    assert Change("o", "a", "install", result=result).is_failed is failed
