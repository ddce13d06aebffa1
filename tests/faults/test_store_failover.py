"""Redis fails over: to a server reached by new connections only, one that lacks the last writes, or another clock.

A clock that differs is simulated by moving what is stored, instants and lives, by the difference; what a running
script sees of the clock itself is not.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from service.grants.granted import grant_key
from tests.faults.live_admin import LiveAdmin, refusal
from tests.faults.own_valkey import OwnValkey
from tests.faults.store_faults import ACME, Site, kill_worker
from tests.faults.store_kinds import skip_unless_demoted_by_hand
from tests.steps import wait_until
from tests.workers import LiveService

pytestmark = pytest.mark.faults

SPEC = "zis:acme_orders:job_spec:escalate_vip_order"
REFRESH_LEASE = "zis:{acme}:lease:refresh"
MINUTE = 60_000_000
"""Microseconds."""


def has_installed(admin: LiveAdmin, on: LiveService | None = None, *, fresh: bool = False) -> bool:
    """Return what a list says of SPEC."""
    reply = admin.call("GET", "/job_specs", on=on, fresh=fresh)
    assert reply.status_code == 200, reply.text
    return next(row["installed"] for row in reply.json()["job_specs"] if row["qualified_name"] == SPEC) is True


def follow(replica: Redis, port: int) -> None:
    """Make a server the replica of another, and wait until it has everything."""
    replica.replicaof("127.0.0.1", str(port))
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up")


def test_connections_that_stay_with_a_demoted_redis_are_given_up(site: Site) -> None:
    skip_unless_demoted_by_hand(site.valkey)
    admin = site.connected()
    assert [admin.list_fresh(service).status_code for service in site.groups] == [200, 200]
    with OwnValkey() as successor:
        follow(successor.redis, site.valkey.port)
        successor.redis.replicaof("NO", "ONE")
        site.proxy.target = successor.port
        try:
            with site.valkey.replica():
                for service in site.groups:
                    wait_until(lambda service=service: admin.install(SPEC, service).status_code == 200)  # type: ignore[misc]
                assert successor.redis.exists(grant_key(ACME))
        finally:
            site.proxy.target = site.valkey.port
            successor.stop()


def test_a_replica_without_the_note_of_a_refresh_takes_the_pair(site: Site) -> None:
    admin = site.connected()
    site.expire()
    before = site.record()
    site.meets({"where": "token", "kind": "hold", "after_effect": True})
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(admin.list_fresh)
        site.simulator.world.wait_until_held(1)
        site.put_back(before)
        site.meets()
        site.simulator.release()
        assert listing.result().status_code == 200
    wait_until(site.has_live_pair)
    assert site.refreshes() == 1


def refreshed(admin: LiveAdmin, site: Site) -> bytes:
    """Have the first group refresh; return the record as it was before the pair was stored."""
    site.expire()
    site.meets({"where": "token", "kind": "hold"})
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(admin.list_fresh)
        site.simulator.world.wait_until_held(1)
        before = site.record()
        site.meets()
        site.simulator.release()
        assert listing.result().status_code == 200
    return before


def test_a_replica_without_the_last_pair_is_given_it_by_the_process_that_stored_it(site: Site) -> None:
    admin = site.connected()
    site.put_back(refreshed(admin, site))
    # Nobody calls.
    wait_until(site.has_live_pair)
    assert site.refreshes() == 1
    for service in site.groups:
        assert admin.list_fresh(service).status_code == 200
        assert admin.connection(service) == ("connected", None)
    assert site.refreshes() == 1


def test_a_replica_without_the_last_pair_whose_process_has_gone_says_that_the_answer_is_lost(site: Site) -> None:
    admin = site.connected()
    before = refreshed(admin, site)
    kill_worker(site.one)
    site.one.wait_until_ready()
    site.put_back(before)
    for service in site.groups:
        assert refusal(admin.list_fresh(service)) == (409, "authorization_required")
        assert admin.connection(service) == ("reauthorization_required", "refresh_outcome_unknown")
    assert site.refreshes() == 2
    admin.connect()
    assert admin.list_fresh(site.two).status_code == 200


def move(redis: Redis, difference: int) -> None:
    """Let what is kept of acme's list have been written by a clock that is `difference` microseconds ahead of ours."""
    key = "zis:{acme}:list:acme_orders"
    for name in ("asked_at", "floor"):
        if redis.hexists(key, name):
            redis.hincrby(key, name, difference)
    redis.pexpire(key, redis.pttl(key) + difference // 1000)


@pytest.mark.parametrize("difference", [-MINUTE, MINUTE], ids=["now-ahead", "now-behind"])
def test_lists_tell_the_truth_although_the_clock_of_redis_has_jumped(difference: int, site: Site) -> None:
    admin = site.connected()
    assert has_installed(admin) is False
    move(site.redis, difference)
    reply = admin.install(SPEC, site.two)
    assert (reply.status_code, reply.json().get("verified")) == (200, True), reply.text
    assert has_installed(admin) is True
    assert has_installed(admin, site.two, fresh=True) is True
    # And again, with a mark of the other clock in the store.
    move(site.redis, difference)
    reply = admin.call("DELETE", f"/job_specs/{SPEC}/install")
    assert (reply.status_code, reply.json().get("verified")) == (200, True), reply.text
    assert has_installed(admin) is False


def test_a_list_of_the_future_is_not_young(site: Site) -> None:
    admin = site.connected()
    assert has_installed(admin) is False
    move(site.redis, MINUTE)
    with site.simulator.world.lock:
        spec = site.simulator.world.account("acme").integrations["acme_orders"].find("escalate_vip_order")
        assert spec is not None
        spec.installed = True
    assert has_installed(admin) is True
    asked = len(site.lists_asked())
    # It is kept again, in the place of the one of the future.
    assert has_installed(admin, site.two) is True
    assert len(site.lists_asked()) == asked


def test_a_lease_that_lives_a_minute_longer_holds_nobody_beyond_the_budget(site: Site) -> None:
    admin = site.connected()
    site.expire()
    site.redis.set(REFRESH_LEASE, "somebody who has died", px=75_000)
    # 24 of the 25 seconds have passed on the way here.
    assert refusal(admin.list_fresh(waited=24)) == (504, "zendesk_timeout")
    assert admin.connection() == ("connected", None)
    assert site.token_requests() == 0
    site.redis.pexpire(REFRESH_LEASE, 100)
    assert admin.list_fresh().status_code == 200
    assert site.refreshes() == 1
