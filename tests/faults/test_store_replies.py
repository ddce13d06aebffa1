"""A write to Redis is lost on the way, or takes effect and its reply is lost: whoever wrote looks before concluding."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.lock import Lock

from sandbox.simulator import CLIENT_ID
from service.grants import grants as grant_scripts
from service.job_specs import kept_lists
from tests.faults.live_admin import refusal
from tests.faults.store_faults import ZIS_CLIENT, Site, has_nothing_in_hand
from tests.faults.store_proxy import Matches, named, script
from tests.steps import wait_until

pytestmark = pytest.mark.faults

SPEC = "zis:acme_orders:job_spec:escalate_vip_order"
REFRESH_LEASE = "zis:{acme}:lease:refresh"
TAKING_THE_LEASE = named("SET", REFRESH_LEASE)
GIVING_IT_BACK = script(Lock.LUA_RELEASE_SCRIPT, REFRESH_LEASE)
WRITING_THE_GRANT = script(grant_scripts._UPDATE)
NOTE, PAIR = 1, 2
"""Which writing of the grant in a refresh it is."""


@pytest.mark.parametrize("after_effect", [False, True], ids=["request-lost", "reply-lost"])
@pytest.mark.parametrize(
    ("matches", "nth", "is_served", "refreshes_by_then"),
    [
        pytest.param(TAKING_THE_LEASE, 1, False, 0, id="lease"),
        pytest.param(WRITING_THE_GRANT, NOTE, False, 0, id="note"),
        pytest.param(WRITING_THE_GRANT, PAIR, False, 1, id="pair"),
        pytest.param(named("DEL", "zis:{acme}:cool_down"), 1, True, 1, id="clearing-the-cool-down"),
        pytest.param(GIVING_IT_BACK, 1, True, 1, id="giving-back-the-lease"),
    ],
)
def test_a_lost_write_of_a_refresh_costs_one_answer_at_most(
    matches: Matches, nth: int, is_served: bool, refreshes_by_then: int, after_effect: bool, site: Site
) -> None:
    admin = site.connected()
    site.expire()
    with site.proxy.cutting(matches, nth=nth, after_effect=after_effect) as cut:
        reply = admin.list_fresh()
    assert cut.has_come, reply.text
    assert reply.status_code == 200 if is_served else refusal(reply) == (503, "store_unavailable")
    assert site.refreshes() == refreshes_by_then
    assert admin.connection() == ("connected", None)
    # Another group has it at once, or when the lease that was taken without anybody's knowing is given back.
    assert admin.list_fresh(site.two).status_code == 200
    assert site.refreshes() == 1
    wait_until(site.has_live_pair)
    wait_until(lambda: site.live_tokens() == 1)


def test_a_reply_that_comes_later_than_anybody_waits_costs_one_answer(site: Site) -> None:
    admin = site.connected()
    site.expire()
    with site.proxy.holding(WRITING_THE_GRANT, nth=PAIR, after_effect=True):
        # Longer than the 2 s a process waits for Redis.
        assert refusal(admin.list_fresh()) == (503, "store_unavailable")
        assert admin.connection(site.two) == ("connected", None)
        assert admin.list_fresh(site.two).status_code == 200
    assert admin.list_fresh().status_code == 200
    assert site.refreshes() == 1


@pytest.mark.parametrize("after_effect", [False, True], ids=["request-lost", "reply-lost"])
def test_a_minted_token_whose_write_was_lost_serves_or_is_revoked(after_effect: bool, site: Site) -> None:
    admin = site.connected()
    site.expire()
    with site.proxy.cutting(script(grant_scripts._SAVE_MINTED), after_effect=after_effect) as cut:
        reply = admin.list_fresh()
    assert cut.has_come, reply.text
    assert reply.status_code == 200 if after_effect else refusal(reply) == (503, "store_unavailable")
    assert [admin.list_fresh(service).status_code for service in site.groups] == [200, 200]
    wait_until(lambda: site.live_tokens(ZIS_CLIENT) == 1)


@pytest.mark.parametrize("after_effect", [False, True], ids=["request-lost", "reply-lost"])
def test_a_minted_token_of_which_nobody_knows_is_settled_once_redis_is_back(after_effect: bool, site: Site) -> None:
    admin = site.connected()
    site.expire()
    with (
        ThreadPoolExecutor(1) as pool,
        site.proxy.holding(script(grant_scripts._SAVE_MINTED), after_effect=after_effect) as held,
    ):
        listing = pool.submit(admin.list_fresh)
        held.wait()
        with site.valkey.stopped():
            held.drop()
            assert refusal(listing.result()) == (503, "store_unavailable")
    wait_until(lambda: has_nothing_in_hand(site.one))
    wait_until(lambda: site.live_tokens(ZIS_CLIENT) == (1 if after_effect else 0))
    assert [admin.list_fresh(service).status_code for service in site.groups] == [200, 200]
    wait_until(lambda: site.live_tokens(ZIS_CLIENT) == 1)


def test_a_state_whose_reply_was_lost_is_spent_and_connecting_again_works(site: Site) -> None:
    admin = site.admin()
    location = admin.consented()
    with site.proxy.cutting(named("GETDEL"), after_effect=True):
        page = admin.come_back(location)
    assert (page.status_code, "store_unavailable" in page.text) == (503, True)
    page = admin.come_back(location, on=site.two)
    assert (page.status_code, "invalid_state" in page.text) == (400, True)
    assert site.token_requests() == 0
    admin.connect()
    assert admin.connection(site.two) == ("connected", None)


@pytest.mark.parametrize("after_effect", [False, True], ids=["request-lost", "reply-lost"])
def test_a_new_grant_whose_write_was_lost_is_stored_or_revoked(after_effect: bool, site: Site) -> None:
    admin = site.connected()
    before = site.grant()
    again = site.admin(user_id=105)
    location = again.consented()
    with site.proxy.cutting(script(grant_scripts._REPLACE), after_effect=after_effect):
        page = again.come_back(location)
    assert page.status_code == (200 if after_effect else 503), page.text
    assert (site.grant() == before) is not after_effect
    for service in site.groups:
        assert admin.connection(service) == ("connected", None)
        assert admin.list_fresh(service).status_code == 200
    wait_until(lambda: site.live_tokens(CLIENT_ID) == site.live_tokens(ZIS_CLIENT) == 1)


@pytest.mark.parametrize("after_effect", [False, True], ids=["request-lost", "reply-lost"])
def test_a_new_grant_of_which_nobody_knows_is_settled_once_redis_is_back(after_effect: bool, site: Site) -> None:
    admin = site.connected()
    before = site.grant()
    again = site.admin(user_id=105)
    location = again.consented()
    with (
        ThreadPoolExecutor(1) as pool,
        site.proxy.holding(script(grant_scripts._REPLACE), after_effect=after_effect) as held,
    ):
        page = pool.submit(again.come_back, location)
        held.wait()
        with site.valkey.stopped():
            held.drop()
            assert page.result().status_code == 503
            assert "store_unavailable" in page.result().text
    wait_until(lambda: has_nothing_in_hand(site.one))
    assert (site.grant() != before) is after_effect
    wait_until(site.has_live_pair)
    # The one that is not stored is revoked.
    wait_until(lambda: site.live_tokens() == 1)
    assert [admin.connection(service) for service in site.groups] == [("connected", None)] * 2
    assert [admin.list_fresh(service).status_code for service in site.groups] == [200, 200]


def test_a_forgotten_grant_whose_reply_was_lost_is_forgotten(site: Site) -> None:
    admin = site.connected()
    with site.proxy.cutting(script(grant_scripts._FORGET), after_effect=True):
        assert refusal(admin.disconnect()) == (503, "store_unavailable")
    assert admin.connection(site.two) == ("not_connected", None)
    assert admin.disconnect(site.two).json() == {"revoked": False}
    wait_until(lambda: site.live_tokens(CLIENT_ID) == site.live_tokens(ZIS_CLIENT) == 0)


def test_a_change_that_could_not_be_announced_is_not_sent(site: Site) -> None:
    admin = site.connected()
    with site.proxy.cutting(script(kept_lists._MARK), after_effect=True):
        assert refusal(admin.install(SPEC)) == (503, "store_unavailable")
    assert site.changes_sent() == 0
    with site.proxy.cutting(script(kept_lists._MARK), nth=2, after_effect=True):
        assert admin.install(SPEC).json()["verified"] is True
    assert site.changes_sent() == 1
