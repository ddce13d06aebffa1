"""Redis does not answer, or comes back with nothing: callers are told, and nobody concludes anything from it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.live_admin import LiveAdmin, refusal
from tests.faults.store_faults import AWAY, GONE, ZIS_CLIENT, Site, StoreFault, fault_cases, health
from tests.steps import wait_until
from tests.workers import LiveService, at_once

pytestmark = pytest.mark.faults

LIST_LEASE = "zis:{acme}:lease:list:acme_orders"
SPEC = "zis:acme_orders:job_spec:escalate_vip_order"
CALLS = [
    ("GET", "/status"),
    ("GET", "/job_specs"),
    ("POST", f"/job_specs/{SPEC}/install"),
    ("DELETE", f"/job_specs/{SPEC}/install"),
    ("DELETE", "/connection"),
]


def everybody_is_told(admin: LiveAdmin, services: tuple[LiveService, ...]) -> None:
    """Make every call at every service at the same time, and ask whether the processes live and are ready."""
    with ThreadPoolExecutor(40) as pool:
        calls = [pool.submit(admin.call, method, path, on=service) for service in services for method, path in CALLS]
        calls += [pool.submit(admin.list_fresh, service) for service in services]
        pages = [pool.submit(admin.authorize, service) for service in services]
        lives = [pool.submit(health, service, "/livez") for service in services for _ in range(3)]
        assert {refusal(call.result()) for call in calls} == {(503, "store_unavailable")}
        assert all("Retry-After" in call.result().headers for call in calls)
        assert {(page.result().status_code, "store_unavailable" in page.result().text) for page in pages} == {
            (503, True)
        }
        assert {live.result() for live in lives} == {200}
    # Not at the first failure: a process that had an answer a few seconds ago is not called unready.
    for service in services:
        wait_until(lambda service=service: health(service, "/readyz") == 503, 20)  # type: ignore[misc]  # bound per turn


def close_connections(site: Site) -> None:
    """Close every connection from the server's side, as hosted plans do with idle ones."""

    def are_closed() -> bool:
        # Whoever looks after the pair of a refresh may have opened another meanwhile.
        site.redis.client_kill_filter(_type="normal", skipme=True)
        return site.proxy.open_connections == 0

    wait_until(are_closed)


@fault_cases(AWAY)
def test_while_redis_is_away_callers_are_told_and_afterwards_everything_goes_on(fault: StoreFault, site: Site) -> None:
    admin = site.connected()
    before = site.expire()
    with fault(site.valkey):
        everybody_is_told(admin, site.groups)
        # What needs no store is given as ever.
        assert admin.call("POST", "/session").status_code == 200
        admin.open_sidebar()
    assert [health(service, "/readyz") for service in site.groups] == [200, 200]
    # Nothing was asked of Zendesk on the strength of a store that did not answer, and nothing was concluded.
    assert site.token_requests() == site.changes_sent() == 0
    assert site.grant() == before
    assert admin.connection() == admin.connection(site.two) == ("connected", None)
    assert [admin.list_fresh(service).status_code for service in site.groups] == [200, 200]
    assert site.refreshes() == 1
    wait_until(site.has_live_pair)


def test_connections_that_redis_has_closed_cost_nobody_an_answer(site: Site) -> None:
    admin = site.connected()
    for service in site.groups:
        for call in (
            admin.list_fresh,
            lambda on: admin.install(SPEC, on),
            lambda on: admin.call("GET", "/status", on=on),
        ):
            close_connections(site)
            assert call(service).status_code == 200
    site.expire()
    close_connections(site)
    assert admin.list_fresh().status_code == 200
    close_connections(site)
    assert admin.authorize().status_code == 302
    assert site.refreshes() == 1


@pytest.mark.parametrize("way", ["stopped", "flushed"])
def test_a_redis_that_lost_its_data_means_connecting_again_and_no_more(way: str, site: Site) -> None:
    admin = site.connected()
    if way == "stopped":
        site.valkey.stop()
        site.valkey.forget()
        site.valkey.start()
    else:
        site.redis.flushall()
    for service in site.groups:
        assert admin.connection(service) == ("not_connected", None)
        for reply in (admin.list_fresh(service), admin.install(SPEC, service)):
            assert refusal(reply) == (409, "authorization_required")
            assert reply.json()["authorize_url"] == f"{site.one.url}/oauth/authorize?subdomain=acme"
    assert site.token_requests() == site.changes_sent() == 0
    admin.connect()
    for service in site.groups:
        assert admin.connection(service) == ("connected", None)
        assert admin.list_fresh(service).status_code == 200


@fault_cases(AWAY)
def test_a_pair_that_redis_is_not_there_to_take_is_stored_once_it_is_back(fault: StoreFault, site: Site) -> None:
    admin = site.connected()
    site.expire()
    site.meets({"where": "token", "kind": "hold", "after_effect": True})
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(admin.list_fresh)
        site.simulator.world.wait_until_held(1)
        others = [pool.submit(admin.list_fresh, service) for service in site.groups for _ in range(3)]
        with fault(site.valkey):
            site.meets()
            site.simulator.release()
            assert refusal(first.result()) == (503, "store_unavailable")
            assert {refusal(other.result()) for other in others} == {(503, "store_unavailable")}
            assert health(site.one, "/livez") == 200
    # Nobody calls; the process that has the pair goes on by itself.
    wait_until(site.has_live_pair)
    assert admin.connection() == ("connected", None)
    assert {reply.status_code for reply in at_once(6, lambda number: admin.list_fresh(site.groups[number % 2]))} == {
        200
    }
    assert site.refreshes() == 1


def test_a_pair_that_comes_after_the_data_was_lost_is_given_up(site: Site) -> None:
    admin = site.connected()
    site.expire()
    site.meets({"where": "token", "kind": "hold", "after_effect": True})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(admin.list_fresh)
        site.simulator.world.wait_until_held(1)
        site.redis.flushall()
        site.meets()
        site.simulator.release()
        assert refusal(waiting.result()) == (409, "authorization_required")
    assert admin.connection() == ("not_connected", None)
    wait_until(lambda: site.live_tokens() == 0)
    assert site.token_requests() == 1


@fault_cases(GONE)
def test_connecting_anew_into_a_redis_that_is_away_leaves_the_old_grant_and_no_loose_token(
    fault: StoreFault, site: Site
) -> None:
    admin = site.connected()
    before = site.grant()
    again = site.admin(user_id=105)
    location = again.consented()
    site.meets({"where": "token", "kind": "hold", "after_effect": True})
    with ThreadPoolExecutor(1) as pool:
        page = pool.submit(again.come_back, location)
        site.simulator.world.wait_until_held(1)
        with fault(site.valkey):
            site.meets()
            site.simulator.release()
            assert page.result().status_code == 503
            assert "store_unavailable" in page.result().text
    wait_until(lambda: site.live_tokens() == 1)
    assert site.grant() == before
    assert admin.connection() == ("connected", None)
    assert admin.list_fresh().status_code == 200
    assert site.token_requests() == 1


def test_a_change_that_zendesk_has_made_is_told_although_redis_has_gone(site: Site) -> None:
    admin = site.connected()
    site.meets({"where": "change", "kind": "hold", "after_effect": True})
    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(admin.install, SPEC)
        site.simulator.world.wait_until_held(1)
        with site.valkey.stopped():
            site.meets()
            site.simulator.release()
            reply = changing.result()
    assert reply.status_code == 200, reply.text
    assert (reply.json()["verified"], reply.json()["job_spec"]["installed"]) == (False, True)
    assert site.changes_sent() == 1
    rows = admin.list_fresh(site.two).json()["job_specs"]
    assert [row["installed"] for row in rows if row["qualified_name"] == SPEC] == [True]


@fault_cases(GONE)
def test_a_lease_that_could_not_be_given_back_is_given_back_once_redis_is_there(fault: StoreFault, site: Site) -> None:
    admin = site.connected()
    site.meets({"where": "list", "kind": "hold"})
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(admin.list_fresh)
        site.simulator.world.wait_until_held(1)
        # Longer than is waited for its end below, so that it does not come by itself.
        assert site.redis.expire(LIST_LEASE, 600)
        with fault(site.valkey):
            site.meets()
            site.simulator.release()
            assert listing.result().status_code == 200
    wait_until(lambda: not site.redis.exists(LIST_LEASE))


def test_a_list_that_zendesk_has_given_is_served_although_redis_has_gone(site: Site) -> None:
    admin = site.connected()
    site.meets({"where": "list", "kind": "hold"})
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(admin.list_fresh)
        site.simulator.world.wait_until_held(1)
        with site.valkey.stopped():
            site.meets()
            site.simulator.release()
            body = listing.result().json()
    assert len(body["job_specs"]) == 6
    assert [(part["stale"], part["error"]) for part in body["integrations"]] == [(False, None)]


def test_a_token_minted_while_redis_goes_is_not_left_behind(site: Site) -> None:
    admin = site.connected()
    site.expire()
    site.meets({"where": "mint", "kind": "hold", "after_effect": True})
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(admin.list_fresh)
        site.simulator.world.wait_until_held(1)
        with site.valkey.stopped():
            site.meets()
            site.simulator.release()
            assert refusal(listing.result()) == (503, "store_unavailable")
    assert admin.list_fresh(site.two).status_code == 200
    assert admin.list_fresh().status_code == 200
    wait_until(lambda: site.live_tokens(ZIS_CLIENT) == 1)
    assert site.refreshes() == 1


def test_a_disconnect_during_which_redis_goes_is_finished_by_repeating_it(site: Site) -> None:
    admin = site.connected()
    site.meets({"where": "revoke", "kind": "hold", "after_effect": True})
    with ThreadPoolExecutor(1) as pool:
        leaving = pool.submit(admin.disconnect)
        site.simulator.world.wait_until_held(1)
        with site.valkey.stopped():
            site.meets()
            site.simulator.release()
            assert refusal(leaving.result()) == (503, "store_unavailable")
    assert admin.disconnect(site.two).status_code == 200
    assert site.token_requests() <= 1
    assert admin.connection() == ("not_connected", None)
    wait_until(lambda: site.live_tokens() == site.live_tokens(ZIS_CLIENT) == 0)
