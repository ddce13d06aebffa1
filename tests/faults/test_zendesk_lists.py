"""Zendesk fails while lists are asked for: what callers see, how often it is asked, and that it passes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import pytest

from tests.faults.zendesk_scene import ABSENT, INSTALLED, ZIS_CLIENT, Answer, Stage
from tests.faults.zendesk_stages import side_by_side
from tests.steps import wait_until

pytestmark = pytest.mark.faults
TOGETHER = 6


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault of the list, and what is to be seen of it."""

    fault: dict[str, Any]
    seen: str
    tries: int = 1
    """Requests for the list that one question costs."""
    retry_after: int | None = None
    words: str | None = None
    """A part of Zendesk's own words; None: it has none that help."""
    integration: str = "unavailable"
    mints: tuple[int, ...] = (0,)
    """How many new tokens it may cost."""
    connection: tuple[str, str | None] = ("connected", None)


def unavailable(kind: str, *, tries: int = 1, words: str | None = None, **members: Any) -> Case:
    return Case(fault={"kind": kind, **members}, seen="502 zendesk_unavailable", tries=tries, words=words)


def refused(kind: str) -> Case:
    # A second time if the wait was over meanwhile.
    return Case(fault={"kind": kind}, seen="502 zendesk_unavailable", tries=2, retry_after=2, mints=(1, 2))


LIMIT = "Number of allowed API requests"
ADMIN_LOST = ("reauthorization_required", "admin_lost")
CASES = {
    "500-envelope": unavailable("http_500_zis", words="Something went wrong"),
    "500-text": unavailable("http_500_text", words="Internal Server Error"),
    "502-html": unavailable("http_502_html", tries=2),
    "503-html": unavailable("http_503_html", tries=2),
    "503-wait": Case(
        fault={"kind": "http_503_html", "retry_after": 7}, seen="502 zendesk_unavailable", tries=2, retry_after=7
    ),
    "504-html": unavailable("http_502_html", status=504, tries=2),
    "200-html": unavailable("html_200"),
    "200-empty": unavailable("empty_200"),
    "200-list": unavailable("list_200"),
    "200-error": unavailable("error_object", status=200),
    "truncated": unavailable("truncated_json"),
    "wrong-types": unavailable("wrong_types"),
    "too-large": unavailable("big_body"),
    "redirect": unavailable("redirect"),
    "reset": unavailable("reset", tries=2),
    "cut": unavailable("cut", tries=2),
    "endless": unavailable("endless_pages", tries=100),
    "repeating-pages": unavailable("repeat_cursor", tries=2),
    "429-short": Case(
        fault={"kind": "http_429", "retry_after": 1}, seen="429 rate_limited", tries=2, retry_after=1, words=LIMIT
    ),
    "429-long": Case(
        fault={"kind": "http_429", "retry_after": 7}, seen="429 rate_limited", retry_after=7, words=LIMIT
    ),
    "429-unsaid": Case(fault={"kind": "http_429"}, seen="429 rate_limited", retry_after=1, words=LIMIT),
    "401-text": refused("http_401_text"),
    "401-envelope": refused("http_401_envelope"),
    "401-json": refused("no_json_error"),
    "mismatch": Case(
        fault={"kind": "mismatch"}, seen="409 integration_mismatch", words="mismatch", integration="mismatch"
    ),
    "404": Case(
        fault={"kind": "http_404"}, seen="409 integration_mismatch", words="Not found", integration="not_registered"
    ),
    "403-admin": Case(
        fault={"kind": "http_403_admin"}, seen="403 admin_required", words="Only admin", integration="forbidden",
        connection=ADMIN_LOST,
    ),
    "401-html": Case(fault={"kind": "http_401_html"}, seen="502 zendesk_unavailable"),
    "403-html": Case(fault={"kind": "http_403_html"}, seen="502 zendesk_unavailable"),
    "404-html": Case(fault={"kind": "http_404_html"}, seen="502 zendesk_unavailable"),
    "404-text": Case(fault={"kind": "http_404_text"}, seen="502 zendesk_unavailable"),
    "404-gone": Case(
        fault={"kind": "account_gone"},
        seen="409 account_gone",
        words="no help desk",
        connection=("reauthorization_required", "account_gone"),
    ),
    "403-scope": Case(
        fault={"kind": "http_403_scope"}, seen="403 scope_insufficient", words="scopes", integration="forbidden"
    ),
    "400-error-object": Case(
        fault={"kind": "error_object"}, seen="422 zis_rejected", words="A simulated refusal"
    ),
}  # fmt: skip


@dataclass(kw_only=True)
class Story:
    """What was seen of a case."""

    alone: Answer
    tries: int
    herd: list[Answer]
    herd_asked: int
    herd_seconds: float
    status: dict[str, Any]
    refreshes: int
    mints: int
    afterwards: Answer
    status_afterwards: dict[str, Any]
    is_same_grant: bool = field(default=False)


def play(stage: Stage, case: Case) -> Story:
    scene = stage.connected()
    assert scene.fresh_job_specs().seen == "200"
    scene.age_list()
    grant, mints, asked = scene.grant(), scene.mints(), scene.lists_asked()
    scene.meets({"where": "list", **case.fault})
    alone = scene.fresh_job_specs()
    tries = scene.lists_asked() - asked
    herd = scene.herd()
    herd_asked = scene.lists_asked() - asked - tries
    status = scene.status()
    scene.meets()
    afterwards = scene.fresh_job_specs()
    return Story(
        alone=alone,
        tries=tries,
        herd=herd,
        herd_asked=herd_asked,
        herd_seconds=max(answer.seconds for answer in herd),
        status=status,
        refreshes=scene.refreshes(),
        mints=scene.mints() - mints,
        afterwards=afterwards,
        status_afterwards=scene.status(),
        is_same_grant=scene.grant() == grant,
    )


@pytest.fixture(scope="module")
def told(mint: Stage) -> Iterator[Callable[[str], Story]]:
    with side_by_side(lambda case: play(mint, case), CASES, TOGETHER) as stories:
        yield stories


each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_callers_are_told_what_zendesk_said(name: str, told: Callable[[str], Story]) -> None:
    case, alone = CASES[name], told(name).alone
    assert alone.seen == case.seen
    assert alone.retry_after == case.retry_after
    assert alone.is_in_budget
    words = str(alone.body.get("upstream_detail"))
    assert words == "None" if case.words is None else case.words in words


@each_case
def test_one_question_costs_a_known_number_of_tries(name: str, told: Callable[[str], Story]) -> None:
    assert told(name).tries == CASES[name].tries


@each_case
def test_callers_who_do_not_insist_get_the_last_list_with_the_error(name: str, told: Callable[[str], Story]) -> None:
    story = told(name)
    for answer in story.herd:
        assert answer.seen == "200"
        assert len(answer.body["job_specs"]) == 2
        (part,) = answer.body["integrations"]
        assert part["stale"]
        assert f"{story.alone.status} {part['error']['code']}" == CASES[name].seen


@each_case
def test_a_herd_asks_at_most_once_a_second(name: str, told: Callable[[str], Story]) -> None:
    story = told(name)
    assert story.herd_asked <= CASES[name].tries * (1 + ceil(story.herd_seconds))


@each_case
def test_the_status_tells_the_truth(name: str, told: Callable[[str], Story]) -> None:
    status = told(name).status
    assert (status["connection"]["state"], status["connection"]["reason"]) == CASES[name].connection
    assert [one["state"] for one in status["integrations"]] == [CASES[name].integration]


@each_case
def test_it_is_over_when_the_fault_is_over(name: str, told: Callable[[str], Story]) -> None:
    story = told(name)
    assert story.afterwards.seen == "200"
    assert not story.afterwards.body["integrations"][0]["stale"]
    assert story.status_afterwards["connection"]["state"] == "connected"
    assert story.status_afterwards["integrations"][0]["state"] == "ready"


@each_case
def test_no_token_is_given_up_for_it(name: str, told: Callable[[str], Story]) -> None:
    story = told(name)
    assert story.is_same_grant
    assert story.refreshes == 0
    assert story.mints in CASES[name].mints


# --- what passes unnoticed ---


@pytest.mark.parametrize(
    ("fault", "tries"),
    [({"kind": "repeat_row"}, 1), ({"kind": "http_502_html", "times": 1}, 2),
     ({"kind": "http_503_html", "times": 1}, 2), ({"kind": "reset", "times": 1}, 2), ({"kind": "cut", "times": 1}, 2),
     ({"kind": "http_429", "retry_after": 0, "times": 1}, 2), ({"kind": "dribble", "seconds": 0}, 1)],
    ids=["repeating-rows", "502-once", "503-once", "reset-once", "cut-once", "429-once", "dribble"],
)  # fmt: skip
def test_what_can_be_made_good_is_not_seen(fault: dict[str, Any], tries: int, mint: Stage) -> None:
    scene = mint.connected()
    asked = scene.lists_asked()
    scene.meets({"where": "list", **fault})
    answer = scene.fresh_job_specs()
    assert answer.seen == "200"
    assert answer.is_in_budget
    assert [row["name"] for row in answer.body["job_specs"]] == [ABSENT, INSTALLED]
    assert answer.body["integrations"][0]["error"] is None
    assert scene.lists_asked() - asked == tries


# --- minting ---


@pytest.mark.parametrize(
    ("fault", "expected"),
    [({"kind": "http_500_zis"}, "502 zendesk_unavailable"), ({"kind": "reset"}, "502 zendesk_unavailable"),
     ({"kind": "html_200"}, "502 zendesk_unavailable"), ({"kind": "redirect"}, "502 zendesk_unavailable"),
     ({"kind": "http_429"}, "429 rate_limited"), ({"kind": "http_429", "retry_after": 7}, "429 rate_limited"),
     ({"kind": "http_404"}, "422 zis_rejected"), ({"kind": "http_401_invalid_token"}, "502 zendesk_unavailable")],
    ids=["500", "reset", "200-html", "redirect", "429-unsaid", "429-wait", "404", "401"],
)  # fmt: skip
def test_a_mint_that_fails_is_tried_once_a_second_and_made_good(
    fault: dict[str, Any], expected: str, mint: Stage
) -> None:
    scene = mint.connected()
    scene.drop_minted()
    grant, mints = scene.grant(), scene.mints()
    scene.meets({"where": "mint", **fault})
    answers = scene.herd()
    assert {answer.seen for answer in answers} == {expected}
    assert all(answer.is_in_budget for answer in answers)
    assert scene.mints() - mints <= 1 + ceil(max(answer.seconds for answer in answers))
    assert scene.standing() == ("connected", None)
    scene.meets()
    assert {answer.seen for answer in scene.herd(fresh=True)} == {"200"}
    # A refused token is replaced once; the grant is the same.
    is_refused = fault["kind"] == "http_401_invalid_token"
    assert (scene.grant() == grant) is not is_refused
    assert scene.grant().id == grant.id
    wait_until(lambda: [token.client for token in scene.tokens_left()] == [mint.client, ZIS_CLIENT])
