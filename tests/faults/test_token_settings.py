"""The service starts with other settings over grants that are stored, or Zendesk thinks otherwise of who granted."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.faults.zendesk_scene import (
    ADMIN,
    AGENT,
    DEAD,
    OTHER_ADMIN,
    OTHER_CLIENT,
    ZIS_CLIENT,
    Answer,
    Scene,
    Stage,
    refreshes_allowed,
)
from tests.faults.zendesk_stages import MINT, Theatre
from tests.steps import SECRET_KEYS, wait_until

pytestmark = pytest.mark.faults
NEW_KEY = "third-key-of-the-tests-0123456789abcdef"
ASKS_TO_CONNECT = {"409 authorization_required"}
OTHER_SETTINGS = {
    "client": {"ZENDESK_CLIENT_ID": OTHER_CLIENT},
    "scope": {"ZENDESK_SCOPE": "read write impersonate"},
    "key-gone": {"SECRET_KEYS": NEW_KEY},
    "key-rotated": {"SECRET_KEYS": f"{NEW_KEY},{SECRET_KEYS}"},
}


@pytest.fixture(scope="module")
def others(theatre: Theatre) -> Iterator[dict[str, Stage]]:
    """Services over the same store, each with one setting changed; one process each, started together."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        stages = {name: theatre.stage(MINT | changes, processes=1) for name, changes in OTHER_SETTINGS.items()}
        started = dict(zip(stages, pool.map(stack.enter_context, stages.values()), strict=True))
        yield started
        for stage in started.values():
            # All at once; the stack waits for each.
            stage.service.process.terminate()


def seen(answers: list[Answer]) -> set[str]:
    assert all(answer.is_in_budget for answer in answers)
    return {answer.seen for answer in answers}


def asked(scene: Scene) -> int:
    return len(scene.calls())


# --- other settings ---


@pytest.mark.parametrize(("other", "reason"), [("client", "client_changed"), ("key-gone", "key_missing")])
@pytest.mark.parametrize("is_expired", [False, True], ids=["fresh", "expired"])
def test_a_grant_that_cannot_be_used_under_other_settings_is_kept_and_zendesk_not_asked(
    is_expired: bool, other: str, reason: str, mint: Stage, others: dict[str, Stage]
) -> None:
    scene = mint.connected()
    if is_expired:
        scene.expire()
    grant = scene.grant()
    elsewhere = scene.on(others[other])
    before = asked(scene)
    answers = elsewhere.herd(fresh=True)
    assert seen(answers) == ASKS_TO_CONNECT
    assert all(f"subdomain={scene.name}" in answer.body["authorize_url"] for answer in answers)
    assert elsewhere.standing() == (DEAD, reason)
    assert asked(scene) == before
    # Back under the settings it was granted to, it serves as if nothing had been.
    assert scene.grant() == grant
    assert scene.fresh_job_specs().seen == "200"
    assert scene.standing() == ("connected", None)
    assert scene.refreshes() <= is_expired


def test_a_wider_scope_is_said_and_the_grant_used_as_far_as_it_goes(mint: Stage, others: dict[str, Stage]) -> None:
    scene = mint.connected()
    elsewhere = scene.on(others["scope"])
    assert seen(elsewhere.herd(fresh=True)) == {"200"}
    assert elsewhere.standing() == ("connected", "scope_changed")
    assert elsewhere.connect().seen == "200"
    assert elsewhere.standing() == ("connected", None)


def test_a_key_in_front_of_the_old_ones_seals_what_is_written_from_now_on(
    mint: Stage, others: dict[str, Stage]
) -> None:
    scene = mint.connected()
    scene.expire()
    rotated = scene.on(others["key-rotated"])
    rotated.drop_minted()
    assert seen(rotated.herd(fresh=True)) == {"200"}
    assert rotated.refreshes() == 1
    # A service that has only the new key opens it now.
    assert scene.on(others["key-gone"]).standing() == ("connected", None)


def test_connecting_under_another_client_revokes_what_the_first_one_was_granted(
    mint: Stage, others: dict[str, Stage]
) -> None:
    scene = mint.connected()
    elsewhere = scene.on(others["client"])
    assert elsewhere.connect(OTHER_ADMIN).seen == "200"
    assert elsewhere.fresh_job_specs().seen == "200"
    wait_until(lambda: {token.user_id for token in scene.tokens_left()} == {OTHER_ADMIN})
    wait_until(lambda: sorted(token.client for token in scene.tokens_left()) == [OTHER_CLIENT, ZIS_CLIENT])
    assert scene.standing() == (DEAD, "client_changed")


def test_disconnecting_under_another_client_revokes_what_still_lives(mint: Stage, others: dict[str, Stage]) -> None:
    scene = mint.connected()
    assert scene.on(others["client"]).disconnect().body == {"revoked": False}
    assert not scene.is_stored()
    wait_until(lambda: not scene.tokens_left())


def test_a_secret_that_zendesk_no_longer_takes_costs_no_grant(direct: Stage) -> None:
    scene = direct.connected()
    client = scene.account.clients[ZIS_CLIENT]
    secret, client.secret = client.secret, "a secret the service does not know"
    scene.expire()
    grant = scene.grant()
    answers = scene.herd()
    assert seen(answers) == {"500 client_misconfigured"}
    assert all(answer.retry_after for answer in answers)
    assert scene.refreshes() <= refreshes_allowed(answers)
    assert scene.standing() == ("connected", None)
    assert scene.grant().refresh_token == grant.refresh_token
    client.secret = secret
    assert scene.impatient_job_specs().seen == "200"
    assert scene.standing() == ("connected", None)


# --- who granted ---


def _demote(scene: Scene) -> None:
    scene.account.set_user(ADMIN, role="agent")


def _suspend(scene: Scene) -> None:
    scene.account.set_user(ADMIN, suspended=True)


def _restore(scene: Scene) -> None:
    scene.account.set_user(ADMIN, role="admin", suspended=False)


@pytest.mark.parametrize("change", [_demote, _suspend], ids=["demoted", "suspended"])
@pytest.mark.parametrize("mode", ["mint", "direct", "mint-anew"])
def test_an_admin_who_is_none_any_more_is_named_until_he_is_one_again(
    mode: str, change: Callable[[Scene], None], request: pytest.FixtureRequest
) -> None:
    stage: Stage = request.getfixturevalue(mode.removesuffix("-anew"))
    scene = stage.connected()
    scene.open_sidebar(AGENT)
    if mode == "mint-anew":
        scene.drop_minted()
    grant = scene.grant()
    change(scene)
    answers = scene.herd(fresh=True)
    assert seen(answers) == {"403 admin_required"}
    assert {answer.body["upstream_status"] for answer in answers} == {403}
    assert scene.standing() == (DEAD, "admin_lost")
    assert scene.status()["integrations"][0]["state"] == "forbidden"
    assert scene.refreshes() == 0
    assert scene.grant() == grant
    _restore(scene)
    assert scene.fresh_job_specs().seen == "200"
    assert scene.standing() == ("connected", None)


@pytest.mark.parametrize("mode", ["mint", "direct"])
def test_an_admin_who_is_none_any_more_can_be_replaced_and_leaves_nothing(
    mode: str, request: pytest.FixtureRequest
) -> None:
    stage: Stage = request.getfixturevalue(mode)
    scene = stage.connected()
    _demote(scene)
    assert scene.fresh_job_specs().seen == "403 admin_required"
    assert scene.connect(OTHER_ADMIN).seen == "200"
    assert scene.fresh_job_specs().seen == "200"
    assert scene.standing() == ("connected", None)
    wait_until(lambda: {token.user_id for token in scene.tokens_left()} == {OTHER_ADMIN})


@pytest.mark.parametrize("mode", ["mint", "direct"])
def test_the_grant_of_an_admin_who_was_deleted_is_dead(mode: str, request: pytest.FixtureRequest) -> None:
    stage: Stage = request.getfixturevalue(mode)
    scene = stage.connected()
    scene.open_sidebar(AGENT)
    scene.account.delete_user(ADMIN)
    assert seen(scene.herd(fresh=True)) == ASKS_TO_CONNECT
    assert scene.standing() == (DEAD, "grant_revoked")
    assert scene.refreshes() == 1
    assert scene.connect(OTHER_ADMIN).seen == "200"
    assert scene.fresh_job_specs().seen == "200"
