"""Zendesk fails while job specs are changed, people are looked up or an account is connected anew."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.zendesk_scene import OTHER_ADMIN, Answer, Stage
from tests.faults.zendesk_stages import side_by_side
from tests.steps import wait_until

pytestmark = pytest.mark.faults
TOGETHER = 10


@dataclass(frozen=True, kw_only=True)
class Case:
    """What Zendesk does with an installation, and what is to be seen of it."""

    faults: tuple[dict[str, Any], ...]
    seen: str
    installed: bool
    """At Zendesk, afterwards."""
    verified: bool | None = None
    """None: the answer is an error."""
    retry_after: int | None = None
    sent: int = 1


def refused(kind: str, seen: str, *, told: int | None = None, **members: Any) -> Case:
    """Return a change that has no effect and is answered by an error; `told`: the seconds of its Retry-After."""
    fault = {"where": "change", "kind": kind, **members}
    return Case(faults=(fault,), seen=seen, installed=False, retry_after=told)


def settled(kind: str, **members: Any) -> Case:
    """Return a change that takes effect, whose reply does not say so, and that is found out by looking."""
    fault = {"where": "change", "kind": kind, "after_effect": True, **members}
    return Case(faults=(fault,), seen="200", installed=True, verified=True)


LIST_FAILS = {"where": "list", "kind": "http_500_zis"}
UNAVAILABLE = "502 zendesk_unavailable"
CASES = {
    "500-envelope": refused("http_500_zis", UNAVAILABLE),
    "500-text": refused("http_500_text", UNAVAILABLE),
    "502-html": refused("http_502_html", UNAVAILABLE),
    "503-wait": refused("http_503_html", UNAVAILABLE, retry_after=7, told=7),
    "504-html": refused("http_502_html", UNAVAILABLE, status=504),
    "429-wait": refused("http_429", "429 rate_limited", retry_after=7, told=7),
    "429-unsaid": refused("http_429", "429 rate_limited", told=1),
    "redirect": refused("redirect", UNAVAILABLE),
    "reset": refused("reset", UNAVAILABLE),
    "200-html": refused("html_200", UNAVAILABLE),
    "200-empty": refused("empty_200", UNAVAILABLE),
    "reset-after": settled("reset"),
    "502-after": settled("http_502_html"),
    "504-after": settled("http_502_html", status=504),
    "200-html-after": settled("html_200"),
    "200-list-after": settled("list_200"),
    "not-read-back": Case(faults=(LIST_FAILS,), seen="200", installed=True, verified=False),
    "nothing-known": Case(
        faults=({"where": "change", "kind": "reset", "after_effect": True}, LIST_FAILS),
        seen=UNAVAILABLE, installed=True,
    ),
    "role-unknown": Case(
        faults=({"where": "users", "kind": "http_500_text"},), seen=UNAVAILABLE, installed=False, sent=0
    ),
    "role-limited": Case(
        faults=({"where": "users", "kind": "http_429", "retry_after": 7},),
        seen="429 rate_limited", installed=False, sent=0, retry_after=7,
    ),
}  # fmt: skip


@dataclass(kw_only=True)
class Story:
    """What was seen of a case."""

    answer: Answer
    installed: bool
    sent: int
    again: Answer
    standing: tuple[str, str | None]


def play(stage: Stage, case: Case) -> Story:
    scene = stage.connected()
    # Somebody of whom Zendesk has not been asked yet.
    scene.open_sidebar(OTHER_ADMIN)
    scene.meets(*case.faults)
    answer = scene.install()
    installed, sent = scene.has_installed(), scene.changes_sent()
    scene.meets()
    again = scene.install()
    return Story(answer=answer, installed=installed, sent=sent, again=again, standing=scene.standing())


@pytest.fixture(scope="module")
def told(mint: Stage) -> Iterator[Callable[[str], Story]]:
    with side_by_side(lambda case: play(mint, case), CASES, TOGETHER) as stories:
        yield stories


each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_the_answer_is_true_or_an_error(name: str, told: Callable[[str], Story]) -> None:
    case, story = CASES[name], told(name)
    assert story.answer.seen == case.seen
    assert story.answer.retry_after == case.retry_after
    assert story.answer.is_in_budget
    assert story.installed is case.installed
    if case.verified is not None:
        assert story.answer.body["verified"] is case.verified
        assert story.answer.body["job_spec"]["installed"] is story.installed


@each_case
def test_a_change_is_sent_once(name: str, told: Callable[[str], Story]) -> None:
    assert told(name).sent == CASES[name].sent


@each_case
def test_it_can_be_done_when_the_fault_is_over(name: str, told: Callable[[str], Story]) -> None:
    story = told(name)
    assert story.again.seen == "200"
    assert story.again.body["verified"] is True
    assert story.standing == ("connected", None)


# --- connecting anew over a grant that serves ---

ATTEMPTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "500": ({"where": "token", "kind": "http_500_zis"}, UNAVAILABLE, 0),
    "429": ({"where": "token", "kind": "http_429", "retry_after": 7}, "429 rate_limited", 0),
    "503-wait": ({"where": "token", "kind": "http_503_html", "retry_after": 7}, UNAVAILABLE, 0),
    "200-error": ({"where": "token", "kind": "oauth_error", "error": "server_error", "status": 200}, UNAVAILABLE, 0),
    "200-list": ({"where": "token", "kind": "list_200"}, UNAVAILABLE, 0),
    "400-error-object": ({"where": "token", "kind": "error_object"}, UNAVAILABLE, 0),
    "401-no-error": ({"where": "token", "kind": "no_json_error"}, UNAVAILABLE, 0),
    "users-500": ({"where": "users", "kind": "http_500_text"}, UNAVAILABLE, 0),
    "users-reset": ({"where": "users", "kind": "reset"}, UNAVAILABLE, 0),
    # A pair that was given and never arrived: nobody can revoke what nobody knows.
    "lost": ({"where": "token", "kind": "reset", "after_effect": True}, UNAVAILABLE, 1),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_to_connect_anew_that_fails_costs_nothing(name: str, mint: Stage) -> None:
    fault, seen, unknown = ATTEMPTS[name]
    scene = mint.connected()
    grant, tokens = scene.grant(), len(scene.tokens_left())
    consented = scene.consent(OTHER_ADMIN)
    scene.meets(fault)
    page = scene.come_back(consented)
    assert page.seen == seen
    assert page.is_in_budget
    assert page.headers.get("Retry-After") == (str(fault["retry_after"]) if "retry_after" in fault else None)
    assert len(scene.calls(grant_type="authorization_code")) == 2, "the first connection, and this attempt"
    wait_until(lambda: len(scene.tokens_left()) == tokens + unknown)
    assert scene.grant() == grant
    scene.meets()
    assert scene.fresh_job_specs().seen == "200"
    assert scene.standing() == ("connected", None)
    assert scene.connect(OTHER_ADMIN).seen == "200"
    assert scene.status()["connection"]["authorized_by"]["id"] == OTHER_ADMIN
