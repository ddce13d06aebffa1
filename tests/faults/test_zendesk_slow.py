"""Zendesk is slow, hangs or dribbles: every caller is answered within his time, and nothing is lost meanwhile.

A call is given up after ten seconds. The stories are told side by side, so that all of them together take one budget.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from service.zendesk.calls import CALL_SECONDS
from tests.faults.zendesk_scene import AGENT, DEAD, OTHER_ADMIN, Answer, Scene, Stage
from tests.faults.zendesk_stages import side_by_side
from tests.steps import wait_until

pytestmark = pytest.mark.faults
GIVEN_UP = "504 zendesk_timeout"
# Slow, but sooner than a call is given up.
SLOW_SECONDS = 4.0
# Longer than the lease of a refresh (15 s), which outlasts a call.
BEYOND_THE_LEASE_SECONDS = 16.0
# A reply of some hundred bytes takes minutes then.
GAP_SECONDS = 0.4


def given_up(answer: Answer) -> None:
    assert answer.seen == GIVEN_UP
    assert answer.is_in_budget


# --- lists ---


def a_list_that_comes_late_is_served(mint: Stage, _: Stage) -> None:
    scene = mint.connected()
    asked = scene.lists_asked()
    scene.meets({"where": "list", "kind": "slow", "seconds": SLOW_SECONDS})
    assert scene.fresh_job_specs().seen == "200"
    assert scene.lists_asked() - asked == 1


def a_list_that_hangs_is_given_up_and_not_repeated(mint: Stage, _: Stage) -> None:
    _list_given_up(mint, "hang")


def a_list_that_dribbles_is_given_up_and_not_repeated(mint: Stage, _: Stage) -> None:
    _list_given_up(mint, "dribble")


def _list_given_up(stage: Stage, kind: str) -> None:
    scene = stage.connected()
    grant, asked = scene.grant(), scene.lists_asked()
    scene.meets({"where": "list", "kind": kind, "seconds": None if kind == "hang" else GAP_SECONDS})
    given_up(scene.fresh_job_specs())
    assert scene.lists_asked() - asked == 1
    status = scene.status()
    assert (status["connection"]["state"], status["integrations"][0]["state"]) == ("connected", "unavailable")
    scene.meets()
    assert scene.fresh_job_specs().seen == "200"
    assert scene.grant() == grant


def callers_of_a_hanging_list_get_the_last_one(mint: Stage, _: Stage) -> None:
    scene = mint.connected()
    scene.fresh_job_specs()
    scene.age_list()
    asked = scene.lists_asked()
    scene.meets({"where": "list", "kind": "hang"})
    for answer in scene.herd():
        assert answer.seen == "200"
        assert answer.is_in_budget
        assert answer.body["integrations"][0]["stale"]
        assert answer.body["integrations"][0]["error"]["code"] == "zendesk_timeout"
    assert scene.lists_asked() - asked <= 2
    scene.meets()


def an_account_where_everything_hangs_is_told_so_in_time(mint: Stage, _: Stage) -> None:
    scene = mint.connected()
    scene.open_sidebar(AGENT)
    scene.meets({"where": "all", "kind": "hang"})
    answer = scene.call("GET", "/status")
    assert answer.seconds < CALL_SECONDS, "it does not wait for the call to be given up"
    status = answer.body
    assert status["connection"]["state"] == "connected"
    assert status["user"]["reason"] == "zendesk_unavailable"
    given_up(scene.fresh_job_specs())
    scene.meets()
    assert scene.fresh_job_specs().seen == "200"
    wait_until(lambda: scene.status()["user"]["role"] == "agent")


def another_account_is_not_held_up(mint: Stage, _: Stage) -> None:
    hanging, neighbour = mint.connected(), mint.connected()
    hanging.meets({"where": "all", "kind": "hang"})
    with ThreadPoolExecutor(12) as pool:
        held = [pool.submit(hanging.fresh_job_specs) for _ in range(12)]
        wait_until(lambda: any(call.status is None for call in hanging.calls()))
        assert neighbour.fresh_job_specs().seen == "200"
        assert neighbour.install().seen == "200"
        assert neighbour.disconnect().body == {"revoked": True}
        assert neighbour.connect().seen == "200"
        assert requests.get(f"{mint.service.address}/livez", timeout=40).ok
        assert not any(future.done() for future in held)
        for future in held:
            given_up(future.result())
    hanging.meets()


# --- changes ---


def a_change_that_hangs_without_effect_is_an_error(mint: Stage, _: Stage) -> None:
    scene = mint.connected()
    scene.meets({"where": "change", "kind": "hang"})
    given_up(scene.install())
    assert (scene.changes_sent(), scene.has_installed()) == (1, False)
    scene.meets()
    assert scene.install().seen == "200"


def a_change_that_hangs_after_its_effect_is_found_out_by_looking(mint: Stage, _: Stage) -> None:
    scene = mint.connected()
    scene.meets({"where": "change", "kind": "hang", "after_effect": True})
    answer = scene.install()
    assert answer.seen == "200"
    assert answer.is_in_budget
    assert answer.body["verified"] is True
    assert (scene.changes_sent(), scene.has_installed()) == (1, True)
    scene.meets()


def a_registry_that_hangs_altogether_is_an_error_in_time(mint: Stage, _: Stage) -> None:
    scene = mint.connected()
    scene.meets({"where": "registry", "kind": "hang"})
    given_up(scene.install())
    assert scene.changes_sent() == 1
    scene.meets()
    assert scene.install().body["verified"] is True


def a_role_that_hangs_lets_nobody_change_and_everybody_look(mint: Stage, _: Stage) -> None:
    scene = mint.connected()
    scene.open_sidebar(OTHER_ADMIN)
    scene.meets({"where": "users", "kind": "hang"})
    looked = scene.fresh_job_specs()
    assert looked.seen == "200"
    assert looked.seconds < CALL_SECONDS, "it does not wait for the call to be given up"
    given_up(scene.install())
    assert scene.changes_sent() == 0
    scene.meets()
    assert scene.install().seen == "200"


# --- minting ---


def a_mint_that_hangs_is_given_up_and_tried_by_the_next(mint: Stage, _: Stage) -> None:
    _mint_given_up(mint, {"where": "mint", "kind": "hang"})


def a_list_of_clients_that_dribbles_is_given_up(mint: Stage, _: Stage) -> None:
    _mint_given_up(mint, {"where": "clients", "kind": "dribble", "seconds": GAP_SECONDS})


def _mint_given_up(stage: Stage, fault: dict[str, object]) -> None:
    scene = stage.connected()
    scene.drop_minted()
    scene.meets(fault)
    mints = scene.mints()
    given_up(scene.fresh_job_specs())
    assert scene.mints() - mints <= 1
    assert scene.standing() == ("connected", None)
    scene.meets()
    assert scene.fresh_job_specs().seen == "200"


# --- connecting and disconnecting ---


def a_revocation_that_hangs_forgets_nothing(mint: Stage, _: Stage) -> None:
    _disconnect_given_up(mint, "revoke")


def a_token_that_cannot_be_looked_up_is_not_forgotten(mint: Stage, _: Stage) -> None:
    _disconnect_given_up(mint, "tokens")


def _disconnect_given_up(stage: Stage, where: str) -> None:
    scene = stage.connected()
    scene.meets({"where": where, "kind": "hang"})
    given_up(scene.disconnect())
    assert scene.is_stored()
    assert scene.standing() == ("connected", None)
    scene.meets()
    assert scene.disconnect().body == {"revoked": True}
    wait_until(lambda: not scene.tokens_left())
    assert not scene.is_stored()


def an_exchange_that_hangs_connects_nobody(mint: Stage, _: Stage) -> None:
    _not_connected(mint, {"where": "token", "kind": "hang"})


def a_check_that_hangs_revokes_what_was_granted(mint: Stage, _: Stage) -> None:
    scene = _not_connected(mint, {"where": "users", "kind": "hang"})
    assert len(scene.calls(grant_type="authorization_code", status=200)) == 2


def _not_connected(stage: Stage, fault: dict[str, object]) -> Scene:
    scene = stage.scene()
    consented = scene.consent()
    scene.meets(fault)
    given_up(scene.come_back(consented))
    assert not scene.is_stored()
    wait_until(lambda: not scene.tokens_left())
    scene.meets()
    assert scene.connect().seen == "200"
    return scene


def a_browser_waits_no_longer_although_all_the_rest_hangs(mint: Stage, _: Stage) -> None:
    scene = mint.scene()
    consented = scene.consent()
    slow_exchange = {"where": "token", "kind": "slow", "seconds": 2 * SLOW_SECONDS}
    scene.meets(slow_exchange, *({"where": where, "kind": "hang"} for where in ("users", "tokens", "revoke")))
    given_up(scene.come_back(consented))
    assert not scene.is_stored()
    scene.meets()


# --- the token endpoint ---


def a_slow_refresh_serves_everybody_who_waited(_: Stage, direct: Stage) -> None:
    scene = direct.connected()
    scene.expire()
    scene.meets({"where": "token", "kind": "slow", "seconds": SLOW_SECONDS, "after_effect": True})
    assert {answer.seen for answer in scene.herd()} == {"200"}
    assert scene.refreshes() == 1


def a_refresh_that_hangs_costs_a_wait_and_no_grant(_: Stage, direct: Stage) -> None:
    scene = direct.connected()
    scene.expire()
    scene.meets({"where": "token", "kind": "hang"})
    for answer in scene.herd():
        given_up(answer)
        assert answer.retry_after is not None
    assert scene.refreshes() == 1
    assert scene.standing() == ("connected", None)
    scene.meets()
    assert scene.impatient_job_specs().seen == "200"
    assert scene.refreshes() == 2
    assert scene.standing() == ("connected", None)


def a_pair_that_comes_too_late_is_told_apart_from_a_revocation(_: Stage, direct: Stage) -> None:
    slow = {"where": "token", "kind": "slow", "seconds": BEYOND_THE_LEASE_SECONDS, "after_effect": True, "times": 1}
    _pair_lost(direct, slow)


def a_pair_that_dribbles_is_told_apart_from_a_revocation(_: Stage, direct: Stage) -> None:
    _pair_lost(direct, {"where": "token", "kind": "dribble", "seconds": GAP_SECONDS, "times": 1})


def _pair_lost(stage: Stage, fault: dict[str, object]) -> None:
    scene = stage.connected()
    scene.expire()
    scene.meets(fault)
    for answer in scene.herd():
        given_up(answer)
    assert scene.refreshes() == 1
    assert scene.standing() == ("connected", None)
    assert scene.impatient_job_specs().seen == "409 authorization_required"
    assert scene.standing() == (DEAD, "refresh_outcome_unknown")
    scene.herd()
    assert scene.refreshes() == 2
    assert scene.connect().seen == "200"
    assert scene.job_specs().seen == "200"


def a_refresh_that_takes_effect_late_harms_nobody(_: Stage, direct: Stage) -> None:
    scene = direct.connected()
    scene.expire()
    scene.meets({"where": "token", "kind": "hold", "times": 1})
    given_up(scene.job_specs())
    # The one further ask comes before the first has taken effect, and gets the pair.
    assert scene.impatient_job_specs().seen == "200"
    scene.meets()
    wait_until(lambda: scene.calls(grant_type="refresh_token")[0].status is not None)
    assert [call.status for call in scene.calls(grant_type="refresh_token")] == [400, 200]
    assert {answer.seen for answer in scene.herd()} == {"200"}
    assert scene.standing() == ("connected", None)
    assert scene.refreshes() == 2


def a_stale_token_serves_everybody_while_its_refresh_hangs(_: Stage, direct: Stage) -> None:
    scene = direct.connected()
    scene.make_stale()
    scene.meets({"where": "token", "kind": "hang"})
    for answer in scene.herd():
        assert answer.seen == "200"
        assert answer.is_in_budget
    assert scene.refreshes() == 1
    assert scene.standing() == ("connected", None)
    scene.meets()


TellStory = Callable[[Stage, Stage], None]
STORIES: dict[str, TellStory] = {
    story.__name__: story
    for story in (
        a_list_that_comes_late_is_served,
        a_list_that_hangs_is_given_up_and_not_repeated,
        a_list_that_dribbles_is_given_up_and_not_repeated,
        callers_of_a_hanging_list_get_the_last_one,
        an_account_where_everything_hangs_is_told_so_in_time,
        another_account_is_not_held_up,
        a_change_that_hangs_without_effect_is_an_error,
        a_change_that_hangs_after_its_effect_is_found_out_by_looking,
        a_registry_that_hangs_altogether_is_an_error_in_time,
        a_role_that_hangs_lets_nobody_change_and_everybody_look,
        a_mint_that_hangs_is_given_up_and_tried_by_the_next,
        a_list_of_clients_that_dribbles_is_given_up,
        a_revocation_that_hangs_forgets_nothing,
        a_token_that_cannot_be_looked_up_is_not_forgotten,
        an_exchange_that_hangs_connects_nobody,
        a_check_that_hangs_revokes_what_was_granted,
        a_browser_waits_no_longer_although_all_the_rest_hangs,
        a_slow_refresh_serves_everybody_who_waited,
        a_refresh_that_hangs_costs_a_wait_and_no_grant,
        a_pair_that_comes_too_late_is_told_apart_from_a_revocation,
        a_pair_that_dribbles_is_told_apart_from_a_revocation,
        a_refresh_that_takes_effect_late_harms_nobody,
        a_stale_token_serves_everybody_while_its_refresh_hangs,
    )
}


@pytest.fixture(scope="module")
def told(mint: Stage, direct: Stage) -> Iterator[Callable[[str], None]]:
    with side_by_side(lambda story: story(mint, direct), STORIES, len(STORIES)) as stories:
        yield stories


@pytest.mark.parametrize("name", STORIES)
def test_slow(name: str, told: Callable[[str], None]) -> None:
    told(name)
