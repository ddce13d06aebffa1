"""A worker is killed in the middle of something: the others go on, and what is said afterwards is true."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from service.grants import grants as grant_scripts
from service.grants.leases import LEASE_SECONDS
from tests.faults.live_admin import refusal
from tests.faults.store_faults import ZIS_CLIENT, Site, kill_worker
from tests.faults.store_proxy import Matches, named, script
from tests.steps import wait_until

pytestmark = pytest.mark.faults

SPEC = "zis:acme_orders:job_spec:escalate_vip_order"
REFRESH_LEASE = "zis:{acme}:lease:refresh"
WRITING_THE_GRANT = script(grant_scripts._UPDATE)


@contextmanager
def killed_at_zendesk(site: Site, call: Callable[[], requests.Response], **fault: object) -> Iterator[None]:
    """Kill the worker while Zendesk holds what it was asked; the block runs when it is dead."""
    site.meets(fault)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(call)
        site.simulator.world.wait_until_held(1)
        kill_worker(site.one)
        with pytest.raises(requests.ConnectionError):
            asking.result()
        site.meets()
        site.simulator.release()
        yield


@contextmanager
def killed_at_the_store(
    site: Site, call: Callable[[], requests.Response], matches: Matches, nth: int = 1, *, after_effect: bool
) -> Iterator[None]:
    """Kill the worker while a command of its, or the reply, is on its way; the block runs when it is dead."""
    with (
        ThreadPoolExecutor(1) as pool,
        site.proxy.holding(matches, nth=nth, after_effect=after_effect) as held,
    ):
        asking = pool.submit(call)
        held.wait()
        kill_worker(site.one)
        with pytest.raises(requests.ConnectionError):
            asking.result()
        held.drop()
        yield


def end_lease(site: Site, key: str) -> None:
    """Let a dead worker's lease, which ends by itself, be over in a moment."""
    # One of those who live may have been given back meanwhile (-2); one that never ends is -1.
    left = site.redis.pttl(key)
    assert left != -1
    assert left <= LEASE_SECONDS * 1000
    site.redis.pexpire(key, 100)


def end_leases(site: Site) -> None:
    for key in site.redis.scan_iter(match="zis:{acme}:lease:*"):
        end_lease(site, key.decode())


REFRESH_STEPS = {
    # Where the worker dies, whether Zendesk has made a new pair by then, whether that is stored.
    "before-the-note": (WRITING_THE_GRANT, 1, False, False, False),
    "after-the-note": (WRITING_THE_GRANT, 1, True, False, False),
    "before-storing": (WRITING_THE_GRANT, 2, False, True, False),
    "after-storing": (WRITING_THE_GRANT, 2, True, True, True),
    "before-giving-back-the-lease": (named("DEL", "zis:{acme}:cool_down"), 1, False, True, True),
}


@pytest.mark.parametrize(
    ("matches", "nth", "after_effect", "is_made", "is_stored"), REFRESH_STEPS.values(), ids=REFRESH_STEPS.keys()
)
def test_a_refresher_killed_at_the_store_costs_the_grant_only_with_the_pair_in_its_hands(
    matches: Matches, nth: int, after_effect: bool, is_made: bool, is_stored: bool, site: Site
) -> None:
    admin = site.connected()
    site.expire()
    with killed_at_the_store(site, admin.list_fresh, matches, nth, after_effect=after_effect):
        assert admin.connection(site.two) == ("connected", None)
        with ThreadPoolExecutor(1) as pool:
            # Whoever waits for the dead worker's lease goes on when it is over.
            waiting = pool.submit(admin.list_fresh, site.two)
            end_leases(site)
            reply = waiting.result()
    if is_made and not is_stored:
        assert refusal(reply) == (409, "authorization_required")
        assert admin.connection(site.two) == ("reauthorization_required", "refresh_outcome_unknown")
        assert site.refreshes() == 2
        assert refusal(admin.list_fresh(site.two)) == (409, "authorization_required")
        assert site.refreshes() == 2, "a dead grant is not asked for again"
        admin.connect()
    else:
        assert reply.status_code == 200, reply.text
        assert site.refreshes() == 1
        wait_until(site.has_live_pair)
    assert admin.list_fresh(site.two).status_code == 200
    assert admin.connection() == ("connected", None)


@pytest.mark.parametrize("kind", ["lost", "committed"])
def test_a_refresher_killed_while_zendesk_is_asked_leaves_the_truth_to_the_next(kind: str, site: Site) -> None:
    admin = site.connected()
    site.expire()
    fault = {"kind": "hang"} if kind == "lost" else {"kind": "hold", "after_effect": True}
    with killed_at_zendesk(site, admin.list_fresh, where="token", **fault):
        assert admin.connection(site.two) == ("connected", None)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(admin.list_fresh, site.two)
            end_leases(site)
            reply = waiting.result()
    assert site.refreshes() == 2
    if kind == "lost":
        assert reply.status_code == 200
        wait_until(site.has_live_pair)
    else:
        assert refusal(reply) == (409, "authorization_required")
        assert admin.connection() == ("reauthorization_required", "refresh_outcome_unknown")
        admin.connect()
        assert admin.connection(site.two) == ("connected", None)
    assert admin.list_fresh().status_code == 200


def test_a_worker_killed_while_minting_delays_the_next_by_its_lease_at_most(site: Site) -> None:
    admin = site.connected()
    site.expire()
    with killed_at_zendesk(site, admin.list_fresh, where="mint", kind="hang"), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(admin.list_fresh, site.two)
        end_leases(site)
        assert waiting.result().status_code == 200
    assert site.refreshes() == 1
    wait_until(lambda: site.live_tokens(ZIS_CLIENT) == 1)


def test_a_worker_killed_while_listing_delays_the_next_by_its_lease_at_most(site: Site) -> None:
    admin = site.connected()
    with killed_at_zendesk(site, admin.list_fresh, where="list", kind="hang"), ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(admin.list_fresh, site.two), pool.submit(admin.call, "GET", "/job_specs", on=site.two)]
        end_leases(site)
        assert [one.result().status_code for one in waiting] == [200, 200]


@pytest.mark.parametrize("after_effect", [False, True], ids=["not-made", "made"])
def test_after_a_worker_killed_during_a_change_lists_show_what_zendesk_has(after_effect: bool, site: Site) -> None:
    admin = site.connected()
    assert admin.call("GET", "/job_specs", on=site.two).status_code == 200
    with killed_at_zendesk(site, lambda: admin.install(SPEC), where="change", kind="hang", after_effect=after_effect):
        rows = admin.call("GET", "/job_specs", on=site.two).json()["job_specs"]
    assert [row["installed"] for row in rows if row["qualified_name"] == SPEC] == [after_effect]
    assert site.has_installed("escalate_vip_order") is after_effect
    assert site.changes_sent() == 1
    assert admin.install(SPEC).json()["verified"] is True


CALLBACK_STEPS = {
    # Where the worker dies, whether the state is spent by then, whether the new grant is stored.
    "before-the-state": (named("GETDEL"), False, False, False),
    "after-the-state": (named("GETDEL"), True, True, False),
    "before-storing": (script(grant_scripts._REPLACE), False, True, False),
    "after-storing": (script(grant_scripts._REPLACE), True, True, True),
    "while-minting": (script(grant_scripts._SAVE_MINTED), False, True, True),
}


@pytest.mark.parametrize(
    ("matches", "after_effect", "is_state_spent", "is_stored"), CALLBACK_STEPS.values(), ids=CALLBACK_STEPS.keys()
)
def test_a_callback_killed_at_the_store_leaves_one_whole_grant(
    matches: Matches, after_effect: bool, is_state_spent: bool, is_stored: bool, site: Site
) -> None:
    admin = site.connected()
    before = site.grant()
    again = site.admin(user_id=105)
    location = again.consented()
    with killed_at_the_store(site, lambda: again.come_back(location), matches, after_effect=after_effect):
        assert admin.connection(site.two) == ("connected", None)
        end_leases(site)
        assert admin.list_fresh(site.two).status_code == 200
    assert (site.grant() != before) is is_stored
    # The browser loads the page again.
    page = again.come_back(location, on=site.two)
    if is_state_spent:
        assert (page.status_code, "invalid_state" in page.text) == (400, True)
        assert (site.grant() != before) is is_stored
        again.connect()
    else:
        assert page.status_code == 200, page.text
    wait_until(site.has_live_pair)
    assert [admin.list_fresh(service).status_code for service in site.groups] == [200, 200]


@pytest.mark.parametrize("where", ["token", "users"])
def test_a_callback_killed_while_zendesk_is_asked_leaves_the_old_grant(where: str, site: Site) -> None:
    admin = site.connected()
    before = site.grant()
    again = site.admin(user_id=105)
    location = again.consented()
    with killed_at_zendesk(site, lambda: again.come_back(location), where=where, kind="hold", after_effect=True):
        assert admin.connection(site.two) == ("connected", None)
        assert admin.list_fresh(site.two).status_code == 200
    assert site.grant() == before
    again.connect()
    assert [admin.list_fresh(service).status_code for service in site.groups] == [200, 200]
