"""SECRET_KEYS change while processes with the old ones still run."""

import pytest

from service.grants.granted import grant_key
from tests.faults.live_admin import refusal
from tests.faults.store_faults import ACME, Site, started
from tests.steps import SECRET_KEYS
from tests.workers import at_once

pytestmark = pytest.mark.faults

SPEC = "zis:acme_orders:job_spec:escalate_vip_order"
# The site's own processes have both, and seal under the old one.
OLD, NEW = SECRET_KEYS.split(",")


def test_processes_that_seal_under_different_keys_serve_each_other(site: Site) -> None:
    with started(site.environment(SECRET_KEYS=f"{NEW},{OLD}"), public_url=site.one.url) as new_first:
        both = (site.one, new_first)
        admin = site.admin()
        # State, grant and session of one are read by the other.
        page = admin.come_back(admin.consented(), on=new_first)
        assert page.status_code == 200, page.text
        admin.open_sidebar()
        assert [admin.connection(service) for service in both] == [("connected", None)] * 2
        for refresher in both:
            site.expire()
            site.simulator.world.clear_calls()
            assert admin.list_fresh(refresher).status_code == 200
            replies = at_once(12, lambda number: admin.call("GET", "/job_specs", on=both[number % 2]))
            assert {reply.status_code for reply in replies} == {200}
            site.expire()
            replies = at_once(12, lambda number: admin.list_fresh(both[number % 2]))
            assert {reply.status_code for reply in replies} == {200}
            assert site.refreshes() == 2


def test_a_process_without_the_new_key_says_so_and_deletes_nothing(site: Site) -> None:
    with (
        started(site.environment(SECRET_KEYS=f"{NEW},{OLD}"), public_url=site.one.url) as ahead,
        started(site.environment(SECRET_KEYS=OLD), public_url=site.one.url) as behind,
    ):
        admin, at_the_new = site.admin(on=behind), site.admin(on=ahead)
        admin.connect()
        at_the_new.open_sidebar()
        assert admin.list_fresh().status_code == at_the_new.list_fresh().status_code == 200
        site.expire()
        assert at_the_new.list_fresh().status_code == 200
        kept = site.redis.hgetall(grant_key(ACME))
        site.simulator.world.clear_calls()
        assert admin.connection() == ("reauthorization_required", "key_missing")
        for reply in (admin.list_fresh(), admin.install(SPEC)):
            assert refusal(reply) == (409, "authorization_required")
        assert site.simulator.world.calls(account="acme") == []
        assert site.redis.hgetall(grant_key(ACME)) == kept
        # With the new key, wherever it stands in the list, nothing was ever amiss.
        for service in (ahead, site.one):
            assert at_the_new.connection(service) == ("connected", None)
            assert at_the_new.list_fresh(service).status_code == 200
        assert site.redis.hgetall(grant_key(ACME)) == kept
        assert site.refreshes() == 0
