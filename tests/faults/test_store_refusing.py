"""Redis answers and does not take what it is given: full, nearly full, read-only, or unable to save."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.live_admin import refusal
from tests.faults.store_faults import REFUSING, Site, StoreFault, fault_cases, health, started
from tests.steps import wait_until
from tests.workers import at_once

pytestmark = pytest.mark.faults

REFRESH_LEASE = "zis:{acme}:lease:refresh"
SPEC = "zis:acme_orders:job_spec:escalate_vip_order"


@fault_cases(REFUSING)
def test_a_redis_that_takes_nothing_is_read_and_nothing_is_begun(fault: StoreFault, site: Site) -> None:
    admin = site.connected()
    before = site.grant()
    with fault(site.valkey):
        # New connections find it so, too.
        site.redis.client_kill_filter(_type="normal", skipme=True)
        for service in site.groups:
            assert health(service, "/readyz") == health(service, "/livez") == 200
            assert admin.connection(service) == ("connected", None)
            # Nothing is kept, so everybody asks.
            assert len(admin.list_fresh(service).json()["job_specs"]) == 6
            assert refusal(admin.install(SPEC, service)) == (503, "store_unavailable")
    assert site.token_requests() == site.changes_sent() == 0
    assert site.grant() == before
    assert admin.install(SPEC, site.two).json()["verified"] is True


@fault_cases(REFUSING)
def test_an_expired_token_is_not_refreshed_into_a_redis_that_takes_nothing(fault: StoreFault, site: Site) -> None:
    admin = site.connected()
    before = site.expire()
    with fault(site.valkey):
        for service in site.groups:
            assert refusal(admin.list_fresh(service)) == (503, "store_unavailable")
            assert admin.connection(service) == ("connected", None)
    assert site.grant() == before
    assert site.token_requests() == 0
    assert [admin.list_fresh(service).status_code for service in site.groups] == [200, 200]
    assert site.refreshes() == 1


@pytest.mark.parametrize("lease", ["held", "over"])
@fault_cases(REFUSING)
def test_a_pair_that_redis_refuses_is_stored_once_it_takes_it(fault: StoreFault, lease: str, site: Site) -> None:
    admin = site.connected()
    site.expire()
    site.meets({"where": "token", "kind": "hold", "after_effect": True})
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(admin.list_fresh)
        site.simulator.world.wait_until_held(1)
        with fault(site.valkey):
            site.meets()
            site.simulator.release()
            assert refusal(first.result()) == (503, "store_unavailable")
            others = at_once(4, lambda number: admin.list_fresh(site.groups[number % 2]))
            assert {refusal(other) for other in others} == {(503, "store_unavailable")}
        # Kept as long as it lasts, so that nobody asks with the pair that is spent.
        assert site.redis.exists(REFRESH_LEASE)
        if lease == "over":
            site.redis.delete(REFRESH_LEASE)
        # These come before the process that has the pair has tried again.
        afterwards = at_once(6, lambda _: admin.list_fresh(site.two))
    assert {reply.status_code for reply in afterwards} == {200}, [reply.text for reply in afterwards]
    wait_until(site.has_live_pair)
    # Where the lease is over another process may ask, too; it is refused, and concludes nothing from it.
    assert site.refreshes() in ({1} if lease == "held" else {1, 2})
    assert admin.connection() == ("connected", None)


def test_a_nearly_full_redis_takes_grants_and_not_what_can_be_done_without(site: Site) -> None:
    site.connected()
    reconnecting = site.admin(user_id=105)
    location = reconnecting.consented()
    with started(site.environment(RATE_LIMITS="off"), public_url=site.one.url) as service:
        admin = site.admin(on=service)
        admin.open_sidebar()
        with site.valkey.nearly_full():
            before = site.expire()
            for asked in (1, 2):
                assert len(admin.call("GET", "/job_specs").json()["job_specs"]) == 6
                assert len(site.lists_asked()) == asked, "the list is not kept"
            assert site.refreshes() == 1
            wait_until(site.has_live_pair)
            page = admin.authorize()
            assert (page.status_code, "store_unavailable" in page.text) == (503, True)
            assert reconnecting.come_back(location).status_code == 200
            wait_until(site.has_live_pair)
            grant = site.grant()
            assert grant is not None
            assert grant.id != before.id
        wait_until(lambda: admin.authorize().status_code == 302)
        assert admin.call("GET", "/job_specs").status_code == 200
        listed = len(site.lists_asked())
        assert admin.call("GET", "/job_specs").status_code == 200
        assert len(site.lists_asked()) == listed, "the list is kept again"
