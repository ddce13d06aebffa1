"""Processes are told to end while something is in progress: it is finished and answered."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.store_faults import Site, started
from tests.steps import wait_until

pytestmark = pytest.mark.faults


def test_sigterm_lets_a_refresh_a_change_and_a_callback_finish(site: Site) -> None:
    site.connected()
    with started(site.environment(), 2, public_url=site.one.url) as service:
        acme = site.admin(on=service)
        globex = site.admin("globex", 201, on=service)
        initech = site.admin("initech", 301, on=service)
        acme.open_sidebar()
        globex.connect()
        location = initech.consented()
        site.expire()
        for account, where in (("acme", "token"), ("globex", "change"), ("initech", "token")):
            site.meets({"where": where, "kind": "hold", "after_effect": True}, account=account)
        with ThreadPoolExecutor(4) as pool:
            calls = [
                pool.submit(acme.list_fresh),
                pool.submit(acme.list_fresh),
                pool.submit(globex.install, "zis:globex_orders:job_spec:refund_record_created"),
                pool.submit(initech.come_back, location),
            ]
            site.simulator.world.wait_until_held(3)
            service.process.terminate()
            wait_until(lambda: "Handling signal: term" in service.log())
            for account in ("acme", "globex", "initech"):
                site.meets(account=account)
            site.simulator.release()
            assert [call.result().status_code for call in calls] == [200] * 4
            assert calls[2].result().json()["verified"] is True
        assert service.process.wait(40) == 0
    wait_until(site.has_live_pair)
    assert site.refreshes() == 1
    initech.service = globex.service = site.one
    initech.open_sidebar()
    assert initech.connection() == globex.connection() == ("connected", None)


def test_a_refresh_nobody_waits_for_any_more_is_stored_through_sigterm(site: Site) -> None:
    site.connected()
    with started(site.environment(), public_url=site.one.url) as service:
        admin = site.admin(on=service)
        admin.open_sidebar()
        site.expire()
        site.redis.delete("zis:{acme}:role:101")
        site.meets({"where": "token", "kind": "hold", "after_effect": True})
        # The status waits 3 s for the role and then does without; the refresh that began for it goes on.
        assert admin.call("GET", "/status").json()["user"]["reason"] == "zendesk_unavailable"
        service.process.terminate()
        wait_until(lambda: "Worker exiting" in service.log())
        with site.valkey.stopped():
            site.meets()
            site.simulator.release()
            wait_until(lambda: "event=not_stored" in service.log())
        assert service.process.wait(40) == 0
    wait_until(site.has_live_pair)
    assert site.refreshes() == 1
