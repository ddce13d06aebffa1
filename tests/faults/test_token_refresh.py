"""The token endpoint fails while a pair is to be renewed: no grant is given up that Zendesk still honours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.zendesk_scene import DEAD, Answer, Scene, Stage, refreshes_allowed
from tests.faults.zendesk_stages import LONGER, PATIENT, Theatre, side_by_side

pytestmark = pytest.mark.faults
TOGETHER = 12


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault of the token endpoint, and what is to be seen of it."""

    fault: dict[str, Any]
    seen: str = "502 zendesk_unavailable"
    waits: tuple[int, int] = (LONGER, 2 * LONGER)
    """Least and most seconds that callers are told to wait."""


def case(kind: str, seen: str = "502 zendesk_unavailable", *, wait: int | None = None, **members: Any) -> Case:
    fault = {"kind": kind, **members}
    return Case(fault=fault, seen=seen) if wait is None else Case(fault=fault, seen=seen, waits=(wait - 1, wait))


# Zendesk has spent nothing: the grant is to be used again when the fault is over.
HONOURED = {
    "500-text": case("http_500_text"),
    "500-envelope": case("http_500_zis"),
    "502-html": case("http_502_html"),
    "503-html": case("http_503_html"),
    "503-wait": case("http_503_html", retry_after=47, wait=47),
    "504-html": case("http_502_html", status=504),
    "429-wait": case("http_429", "429 rate_limited", retry_after=47, wait=47),
    "429-hour": case("http_429", "429 rate_limited", retry_after=3600, wait=60),
    "429-unsaid": case("http_429", "429 rate_limited"),
    "200-html": case("html_200"),
    "200-empty": case("empty_200"),
    "200-list": case("list_200"),
    "200-no-token": case("no_json_error", status=200),
    "200-error": case("oauth_error", error="server_error", status=200),
    "200-error-object": case("error_object", status=200),
    "400-error-object": case("error_object"),
    "400-other-error": case("oauth_error", error="temporarily_unavailable"),
    "400-request": case("oauth_error", error="invalid_request"),
    "400-scope": case("oauth_error", "403 scope_insufficient", error="invalid_scope"),
    "400-client-kind": case("oauth_error", "500 client_misconfigured", error="unauthorized_client"),
    "401-client": case("oauth_error", "500 client_misconfigured", error="invalid_client"),
    "401-no-error": case("no_json_error"),
    "401-text": case("http_401_text"),
    "401-bearer": case("http_401_invalid_token"),
    "403-text": case("http_403_admin"),
    "403-html": case("http_403_html"),
    "404-json": case("http_404"),
    "404-gone": case("account_gone", "409 account_gone"),
    "redirect": case("redirect"),
    "reset": case("reset"),
    "too-large": case("big_body"),
}
# Zendesk has given a new pair that never arrived: the old one is spent.
SPENT = {
    "reset": case("reset", after_effect=True),
    "cut": case("cut"),
    "truncated": case("truncated_json"),
    "wrong-types": case("wrong_types"),
    "500-text": case("http_500_text", after_effect=True),
    "502-html": case("http_502_html", after_effect=True),
    "403-html": case("http_403_html", after_effect=True),
    "200-empty": case("empty_200", after_effect=True),
    "200-html": case("html_200", after_effect=True),
}


@dataclass(kw_only=True)
class Story:
    """What was seen of a case."""

    account: str
    first: Answer
    refreshes_at_first: int
    herd: list[Answer]
    refreshes_with_herd: int
    cool_down_seconds: float
    standing: tuple[str, str | None]
    kept_refresh_token: bool
    afterwards: Answer
    refreshes_afterwards: int
    standing_afterwards: tuple[str, str | None]
    reconnected: Answer | None = None


def play(stage: Stage, case: Case) -> Story:
    scene = stage.connected()
    scene.expire()
    refresh_token = scene.grant().refresh_token
    scene.meets({"where": "token", **case.fault})
    first = scene.job_specs()
    refreshes_at_first = scene.refreshes()
    cool_down_seconds = scene.cool_down_seconds()
    herd = scene.herd()
    refreshes_with_herd = scene.refreshes()
    standing = scene.standing()
    kept = scene.grant().refresh_token == refresh_token
    scene.meets()
    scene.end_cool_down()
    before = scene.refreshes()
    afterwards = scene.impatient_job_specs()
    refreshes_afterwards = scene.refreshes() - before
    standing_afterwards = scene.standing()
    scene.herd()
    assert scene.refreshes() - before == refreshes_afterwards, "nothing is asked any more"
    return Story(
        account=scene.name,
        first=first,
        refreshes_at_first=refreshes_at_first,
        herd=herd,
        refreshes_with_herd=refreshes_with_herd,
        cool_down_seconds=cool_down_seconds,
        standing=standing,
        kept_refresh_token=kept,
        afterwards=afterwards,
        refreshes_afterwards=refreshes_afterwards,
        standing_afterwards=standing_afterwards,
        reconnected=_reconnected(scene) if afterwards.status == 409 else None,
    )


def _reconnected(scene: Scene) -> Answer:
    assert scene.connect().seen == "200"
    return scene.job_specs()


CASES = {f"honoured-{name}": one for name, one in HONOURED.items()} | {
    f"spent-{name}": one for name, one in SPENT.items()
}
each_case = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def told(theatre: Theatre) -> Iterator[Callable[[str], Story]]:
    with theatre.stage(PATIENT) as stage, side_by_side(lambda case: play(stage, case), CASES, TOGETHER) as stories:
        yield stories


@each_case
def test_callers_are_told_and_how_long_to_wait(name: str, told: Callable[[str], Story]) -> None:
    story, (least, most) = told(name), CASES[name].waits
    for answer in (story.first, *story.herd):
        assert answer.seen == CASES[name].seen
        assert answer.retry_after is not None
        assert 1 <= answer.retry_after <= most
        assert answer.is_in_budget
    assert story.first.retry_after is not None
    assert least <= story.first.retry_after
    # Looked at after the answer, while other stories are played.
    assert least - 20 <= story.cool_down_seconds <= most


@each_case
def test_the_endpoint_is_asked_once_and_then_waited_for(name: str, told: Callable[[str], Story]) -> None:
    story = told(name)
    assert story.refreshes_at_first == 1
    assert story.refreshes_with_herd <= refreshes_allowed([story.first], story.herd)


@each_case
def test_no_verdict_is_passed_meanwhile(name: str, told: Callable[[str], Story]) -> None:
    story = told(name)
    assert story.kept_refresh_token
    # That there is no account is said of the address, and taken back by the next list.
    is_gone = CASES[name].seen == "409 account_gone"
    assert story.standing == ((DEAD, "account_gone") if is_gone else ("connected", None))


@pytest.mark.parametrize("name", HONOURED)
def test_an_honoured_grant_serves_again_by_itself(name: str, told: Callable[[str], Story]) -> None:
    story = told(f"honoured-{name}")
    assert story.afterwards.seen == "200"
    assert story.refreshes_afterwards == 1
    assert story.standing_afterwards == ("connected", None)


@pytest.mark.parametrize("name", SPENT)
def test_a_lost_pair_is_told_apart_from_a_revocation_after_one_further_ask(
    name: str, told: Callable[[str], Story]
) -> None:
    story = told(f"spent-{name}")
    assert story.afterwards.seen == "409 authorization_required"
    assert story.afterwards.body["authorize_url"].endswith(f"?subdomain={story.account}")
    assert story.refreshes_afterwards <= 1
    assert story.standing_afterwards == (DEAD, "refresh_outcome_unknown")
    assert story.reconnected is not None
    assert story.reconnected.seen == "200"
