"""Somebody disconnects or connects anew while a pair is renewed: what stands then, and what is left at Zendesk."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.faults.zendesk_scene import DEAD, OTHER_ADMIN, ZIS_CLIENT, Answer, Scene, Stage
from tests.faults.zendesk_stages import side_by_side
from tests.steps import wait_until
from tests.workers import at_once, meanwhile

pytestmark = pytest.mark.faults
TOGETHER = 8
OPEN = {"200", "409 authorization_required"}


@dataclass(frozen=True)
class Race:
    """Something that happens while a refresh is under way."""

    play: Callable[["Race", Stage], None]
    mode: str
    age: str
    """Of the access token when it is to be refreshed: expired, or stale."""
    after_effect: bool
    """Whether the refresh has taken effect at Zendesk by then."""

    def scene(self, stage: Stage) -> Scene:
        """Return an account whose access token is due, and whose next list needs it."""
        scene = stage.connected()
        if self.mode == "mint":
            scene.drop_minted()
        if self.age == "expired":
            scene.expire()
        else:
            scene.make_stale()
        return scene

    def held_scene(self, stage: Stage) -> Scene:
        """Return such an account, whose next refresh is held."""
        scene = self.scene(stage)
        scene.meets({"where": "token", "kind": "hold", "times": 1, "after_effect": self.after_effect})
        return scene


def wait_for_refresh(scene: Scene) -> None:
    wait_until(lambda: any(call.status is None for call in scene.calls(grant_type="refresh_token")))


def assert_gone(scene: Scene) -> None:
    assert not scene.is_stored()
    wait_until(lambda: not scene.tokens_left())
    assert scene.standing() == ("not_connected", None)
    assert scene.refreshes() <= 2


def a_disconnect_leaves_nothing(race: Race, stage: Stage) -> None:
    scene = race.held_scene(stage)
    with meanwhile(scene.fresh_job_specs) as listed:
        wait_for_refresh(scene)
        with meanwhile(scene.disconnect) as disconnected:
            # Time to come as far as it gets; whichever comes first, the end must be the same.
            threading.Event().wait(0.3)
            scene.meets()
    assert disconnected[0].seen == "200"
    # 502: its token was revoked, and the account not yet forgotten, so that a new token seems to be refused.
    assert listed[0].seen in OPEN | {"502 zendesk_unavailable"}
    assert disconnected[0].is_in_budget
    assert listed[0].is_in_budget
    assert_gone(scene)


def a_reconnect_stands_alone(race: Race, stage: Stage) -> None:
    scene = race.held_scene(stage)
    with meanwhile(scene.fresh_job_specs) as listed:
        wait_for_refresh(scene)
        assert scene.connect(OTHER_ADMIN).seen == "200"
        grant = scene.grant()
        scene.meets()
    assert listed[0].seen == "200"
    assert scene.grant() == grant
    assert scene.status()["connection"]["authorized_by"]["id"] == OTHER_ADMIN
    assert scene.fresh_job_specs().seen == "200"
    wait_until(lambda: {token.user_id for token in scene.tokens_left()} == {OTHER_ADMIN})
    # The grant's own token, and in mint mode the integration's.
    wait_until(lambda: len(scene.tokens_left()) == (2 if race.mode == "mint" else 1))


def a_crowd_that_lists_and_disconnects_leaves_nothing(race: Race, stage: Stage) -> None:
    scene = race.scene(stage)

    def act(number: int) -> Answer:
        return scene.disconnect() if number % 2 else scene.fresh_job_specs()

    answers: list[Answer] = at_once(8, act)
    # Who comes between another's revocation and its forgetting is told that Zendesk refuses a new token.
    refused = "502 zendesk_unavailable"
    assert {"200"} <= {answer.seen for answer in answers[1::2]} <= {"200", refused}
    assert {answer.seen for answer in answers[::2]} <= OPEN | {refused}
    assert all(answer.is_in_budget for answer in answers)
    assert_gone(scene)


RACES = {
    f"{play.__name__}-{mode}-{age}-{'after' if after_effect else 'before'}": Race(play, mode, age, after_effect)
    for play in (
        a_disconnect_leaves_nothing,
        a_reconnect_stands_alone,
        a_crowd_that_lists_and_disconnects_leaves_nothing,
    )
    for mode in ("mint", "direct")
    for age in ("expired", "stale")
    for after_effect in (False, True)
    if after_effect or play is not a_crowd_that_lists_and_disconnects_leaves_nothing
}


@pytest.fixture(scope="module")
def told(mint: Stage, direct: Stage) -> Iterator[Callable[[str], None]]:
    def play(race: Race) -> None:
        race.play(race, mint if race.mode == "mint" else direct)

    with side_by_side(play, RACES, TOGETHER) as races:
        yield races


@pytest.mark.parametrize("name", RACES)
def test_during_a_refresh(name: str, told: Callable[[str], None]) -> None:
    told(name)


@pytest.fixture(params=["mint", "direct"])
def stage(request: pytest.FixtureRequest) -> Stage:
    found: Stage = request.getfixturevalue(request.param)
    return found


def test_a_disconnect_whose_refresh_fails_forgets_nothing_and_can_be_repeated(stage: Stage) -> None:
    scene = stage.connected()
    scene.expire()
    grant = scene.grant()
    scene.meets({"where": "token", "kind": "http_503_html", "retry_after": 1})
    answer = scene.disconnect()
    assert answer.seen == "502 zendesk_unavailable"
    assert answer.retry_after is not None
    assert scene.grant().refresh_token == grant.refresh_token
    assert scene.standing() == ("connected", None)
    scene.meets()
    wait_until(lambda: scene.cool_down_seconds() == 0)
    assert scene.disconnect().body == {"revoked": True}
    assert_gone(scene)


def test_a_grant_that_zendesk_revoked_takes_its_minted_tokens_along(mint: Stage) -> None:
    scene = mint.connected()
    scene.expire()
    scene.account.revoke_grants(mint.client)
    wait_until(lambda: len(scene.tokens_left()) == 1)
    assert scene.disconnect().body == {"revoked": False}
    assert_gone(scene)


def test_after_a_lost_answer_only_the_pair_nobody_knows_is_left(mint: Stage) -> None:
    scene = mint.connected()
    scene.expire()
    scene.meets({"where": "token", "kind": "reset", "after_effect": True})
    assert scene.disconnect().seen == "502 zendesk_unavailable"
    assert scene.is_stored()
    scene.meets()
    wait_until(lambda: scene.cool_down_seconds() == 0)
    assert scene.disconnect().body == {"revoked": False}
    assert not scene.is_stored()
    wait_until(lambda: [token.client for token in scene.tokens_left()] == [mint.client])
    assert scene.refreshes() == 2


def test_a_dead_grant_is_replaced_by_connecting_anew(stage: Stage) -> None:
    scene = stage.connected()
    scene.expire()
    scene.account.revoke_grants()
    if stage.client != ZIS_CLIENT:
        scene.drop_minted()
    assert scene.fresh_job_specs().seen == "409 authorization_required"
    assert scene.standing() == (DEAD, "grant_revoked")
    assert scene.connect().seen == "200"
    assert scene.fresh_job_specs().seen == "200"
    assert scene.standing() == ("connected", None)
