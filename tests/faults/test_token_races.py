"""Somebody disconnects or connects anew while a pair is renewed: what stands then, and what is left at Zendesk."""

import threading
from collections.abc import Iterator

import pytest

from tests.faults.zendesk_scene import DEAD, OTHER_ADMIN, ZIS_CLIENT, Answer, Scene, Stage
from tests.steps import wait_until
from tests.workers import at_once, meanwhile

pytestmark = pytest.mark.faults
OPEN = {"200", "409 authorization_required"}


@pytest.fixture(params=["mint", "direct"])
def stage(request: pytest.FixtureRequest) -> Stage:
    found: Stage = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["expired", "stale"])
def scene(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Scene]:
    """An account whose access token is due, and whose next list needs it."""
    scene = stage.connected()
    if stage.client != ZIS_CLIENT:
        scene.drop_minted()
    if request.param == "expired":
        scene.expire()
    else:
        scene.make_stale()
    yield scene
    scene.meets()


before_or_after = pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])


def hold_a_refresh(scene: Scene, *, after_effect: bool) -> None:
    """Let the next refresh be held by Zendesk, before or after it takes effect."""
    scene.meets({"where": "token", "kind": "hold", "times": 1, "after_effect": after_effect})


def wait_for_refresh(scene: Scene) -> None:
    wait_until(lambda: any(call.status is None for call in scene.calls(grant_type="refresh_token")))


def give_it_time() -> None:
    """Let a request come as far as it gets; whichever comes first, the end must be the same."""
    threading.Event().wait(0.3)


def assert_gone(scene: Scene) -> None:
    assert not scene.is_stored()
    assert scene.tokens_left() == []
    assert scene.standing() == ("not_connected", None)
    assert scene.refreshes() <= 2


@before_or_after
def test_a_disconnect_during_a_refresh_leaves_nothing(after_effect: bool, scene: Scene) -> None:
    hold_a_refresh(scene, after_effect=after_effect)
    with meanwhile(scene.fresh_job_specs) as listed:
        wait_for_refresh(scene)
        with meanwhile(scene.disconnect) as disconnected:
            give_it_time()
            scene.account.release()
    assert disconnected[0].seen == "200"
    assert listed[0].seen in OPEN
    assert disconnected[0].is_in_budget
    assert listed[0].is_in_budget
    assert_gone(scene)


@before_or_after
def test_a_reconnect_during_a_refresh_stands_alone(after_effect: bool, scene: Scene, stage: Stage) -> None:
    hold_a_refresh(scene, after_effect=after_effect)
    with meanwhile(scene.fresh_job_specs) as listed:
        wait_for_refresh(scene)
        assert scene.connect(OTHER_ADMIN).seen == "200"
        grant = scene.grant()
        scene.account.release()
    assert listed[0].seen == "200"
    assert scene.grant() == grant
    assert scene.status()["connection"]["authorized_by"]["id"] == OTHER_ADMIN
    assert scene.fresh_job_specs().seen == "200"
    # The grant's own token, and in mint mode the integration's.
    assert len(scene.tokens_left()) == (1 if stage.client == ZIS_CLIENT else 2)
    assert {token.user_id for token in scene.tokens_left()} == {OTHER_ADMIN}


def test_a_crowd_that_lists_and_disconnects_leaves_nothing(scene: Scene) -> None:
    def act(number: int) -> Answer:
        return scene.disconnect() if number % 2 else scene.fresh_job_specs()

    answers: list[Answer] = at_once(8, act)
    assert {answer.seen for answer in answers} <= OPEN
    assert all(answer.is_in_budget for answer in answers)
    assert_gone(scene)


def test_a_disconnect_whose_refresh_fails_forgets_nothing_and_can_be_repeated(stage: Stage) -> None:
    scene = stage.connected()
    scene.status()
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
    scene.status()
    scene.expire()
    scene.account.revoke_grants(mint.client)
    assert len(scene.tokens_left()) == 1
    assert scene.disconnect().body == {"revoked": False}
    assert_gone(scene)


def test_after_a_lost_answer_only_the_pair_nobody_knows_is_left(mint: Stage) -> None:
    scene = mint.connected()
    scene.status()
    scene.expire()
    scene.meets({"where": "token", "kind": "reset", "after_effect": True})
    assert scene.disconnect().seen == "502 zendesk_unavailable"
    assert scene.is_stored()
    scene.meets()
    wait_until(lambda: scene.cool_down_seconds() == 0)
    assert scene.disconnect().body == {"revoked": False}
    assert not scene.is_stored()
    assert [token.client for token in scene.tokens_left()] == [mint.client]
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
