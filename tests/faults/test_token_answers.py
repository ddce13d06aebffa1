"""Answers of the token endpoint that are odd but good, and access tokens that end before their time."""

import pytest

from tests.faults.zendesk_scene import DEAD, INTEGRATION, ZIS_CLIENT, Answer, Scene, Stage, refreshes_allowed

pytestmark = pytest.mark.faults
UNAVAILABLE = "502 zendesk_unavailable"


def seen(answers: list[Answer]) -> set[str]:
    assert all(answer.is_in_budget for answer in answers)
    return {answer.seen for answer in answers}


def end_at_zendesk(scene: Scene, *clients: str) -> None:
    """Let Zendesk end access tokens of which the service believes that they live."""
    with scene.stage.simulator.world.lock:
        for client in clients:
            scene.account.expire_access_tokens(client)


# --- odd but good ---


@pytest.mark.parametrize(
    "switches",
    [{"token_status": 201}, {"expires_in": "never"}, {"expires_in": "null"}, {"expires_in": "always"},
     {"scope_in_answers": "absent"}, {"refresh": "same_refresh_token"}, {"token_form": "jwt"},
     {"refresh": "same_refresh_token", "expires_in": "never"}],
    ids=lambda switches: "-".join(str(part) for pair in switches.items() for part in pair),
)  # fmt: skip
def test_a_herd_with_an_expired_token_refreshes_once_every_time(switches: dict[str, object], direct: Stage) -> None:
    scene = direct.connected(**switches)
    assert scene.status()["connection"]["access_token_expires_at"] is not None
    for times in (1, 2):
        scene.expire()
        assert seen(scene.herd()) == {"200"}
        assert scene.refreshes() == times
    status = scene.status()["connection"]
    assert (status["state"], status["reason"]) == ("connected", None)
    assert status["access_token_expires_at"] is not None
    assert status["scope"] == "read write"


def test_a_pair_without_a_new_refresh_token_serves_to_its_end(direct: Stage) -> None:
    scene = direct.connected(refresh="no_new_refresh_token")
    scene.expire()
    assert seen(scene.herd()) == {"200"}
    scene.expire()
    assert seen(scene.herd()) == {"409 authorization_required"}
    assert scene.refreshes() == 2
    assert scene.standing() == (DEAD, "grant_revoked")
    assert scene.connect().seen == "200"
    assert scene.job_specs().seen == "200"


def test_a_token_without_end_and_refresh_token_is_used_until_zendesk_ends_it(direct: Stage) -> None:
    scene = direct.connected(token_lifetime="never")
    assert seen(scene.herd()) == {"200"}
    assert scene.status()["connection"]["access_token_expires_at"] is None
    scene.account.revoke_grants()
    assert seen(scene.herd()) == {"409 authorization_required"}
    assert scene.standing() == (DEAD, "not_refreshable")
    assert scene.refreshes() == 0
    assert scene.connect().seen == "200"
    assert scene.job_specs().seen == "200"


# --- the end of a grant ---


def test_a_herd_finds_a_revoked_grant_dead_with_one_question(direct: Stage) -> None:
    scene = direct.connected()
    scene.expire()
    scene.account.revoke_grants()
    assert seen(scene.herd()) == {"409 authorization_required"}
    assert seen(scene.herd()) == {"409 authorization_required"}
    assert scene.refreshes() == 1
    assert scene.standing() == (DEAD, "grant_revoked")
    assert scene.connect().seen == "200"
    assert scene.job_specs().seen == "200"


# --- 401 in mid-life ---


def test_a_token_that_zendesk_ends_early_is_refreshed_once_for_everybody(direct: Stage) -> None:
    scene = direct.connected()
    end_at_zendesk(scene, ZIS_CLIENT)
    assert seen(scene.herd()) == {"200"}
    assert scene.refreshes() == 1
    assert scene.standing() == ("connected", None)


def test_a_token_that_zendesk_ends_again_and_again_costs_nobody_an_error(direct: Stage) -> None:
    scene = direct.connected()
    for times in range(1, 6):
        end_at_zendesk(scene, ZIS_CLIENT)
        assert seen(scene.herd()) == {"200"}
        assert scene.refreshes() == times


def test_a_401_that_stays_costs_one_refresh_a_wait_and_no_grant(direct: Stage) -> None:
    scene = direct.connected()
    scene.meets({"where": "registry", "kind": "http_401_envelope"})
    herds = [scene.herd(), scene.herd()]
    answers = [*herds[0], *herds[1]]
    assert seen(answers) == {UNAVAILABLE}
    assert {answer.retry_after for answer in answers} <= {1, 2, 3, 4}
    assert 1 <= scene.refreshes() <= refreshes_allowed(*herds)
    refreshes = scene.refreshes()
    assert scene.standing() == ("connected", None)
    scene.meets()
    assert seen(scene.herd()) == {"200"}
    assert scene.refreshes() == refreshes


def test_a_minted_token_that_zendesk_ends_early_is_minted_once_for_everybody(mint: Stage) -> None:
    scene = mint.connected()
    scene.account.revoke_grants(ZIS_CLIENT)
    mints = scene.mints()
    assert seen(scene.herd(fresh=True)) == {"200"}
    assert (scene.mints() - mints, scene.refreshes()) == (1, 0)


def test_tokens_that_end_early_together_cost_one_refresh_and_one_mint(mint: Stage) -> None:
    scene = mint.connected()
    end_at_zendesk(scene, mint.client, ZIS_CLIENT)
    mints = len(scene.calls("/api/v2/oauth/tokens", method="POST", status=201))
    assert seen(scene.herd(fresh=True)) == {"200"}
    assert len(scene.calls("/api/v2/oauth/tokens", method="POST", status=201)) - mints == 1
    assert scene.refreshes() == 1


def test_a_mismatch_is_never_answered_by_new_tokens(mint: Stage) -> None:
    scene = mint.connected()
    mints = scene.mints()
    scene.account.unregister_integration(INTEGRATION)
    assert seen(scene.herd(fresh=True)) == {"409 integration_mismatch"}
    assert (scene.mints() - mints, scene.refreshes()) == (0, 0)
    assert scene.status()["integrations"][0]["state"] == "mismatch"
    assert scene.standing() == ("connected", None)
    scene.account.add_integration(INTEGRATION)
    assert seen(scene.herd(fresh=True)) == {"200"}
    assert scene.status()["integrations"][0]["state"] == "ready"


# --- the token endpoint fails while something else still serves ---


def test_a_stale_token_serves_on_while_the_token_endpoint_fails(direct: Stage) -> None:
    scene = direct.connected()
    scene.make_stale()
    scene.meets({"where": "token", "kind": "http_500_zis"})
    herds = [scene.herd(), scene.herd()]
    assert seen([*herds[0], *herds[1]]) == {"200"}
    assert 1 <= scene.refreshes() <= refreshes_allowed(*herds)
    assert scene.standing() == ("connected", None)


def test_a_minted_token_serves_on_while_the_token_endpoint_fails(mint: Stage) -> None:
    scene = mint.connected()
    scene.expire()
    scene.meets({"where": "token", "kind": "http_500_zis"})
    assert seen(scene.herd(fresh=True)) == {"200"}
    assert scene.standing() == ("connected", None)


def test_an_answer_lost_while_the_old_token_still_served_is_told_apart_too(direct: Stage) -> None:
    scene = direct.connected()
    scene.make_stale()
    scene.meets({"where": "token", "kind": "reset", "after_effect": True})
    assert seen(scene.herd()) <= {"200", UNAVAILABLE}
    scene.meets()
    assert scene.impatient_job_specs().seen == "409 authorization_required"
    assert scene.standing() == (DEAD, "refresh_outcome_unknown")
    assert scene.refreshes() == 2
