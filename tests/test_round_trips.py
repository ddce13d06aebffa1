"""What a list costs Redis and urllib3, and that what was read for less is no staler for it."""

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import pytest
from redis import Redis

from service.grants.granted import Grant, MintedToken
from service.grants.grants import Grants
from service.grants.zis_tokens import Prefetched
from service.ground.deadlines import Deadline
from service.ground.subdomains import Subdomain
from service.zendesk.calls import Request, ZendeskCalls
from service.zendesk.replies import Reply
from service.zendesk.watchdog import Watchdog
from tests.conftest import MakeAdmin
from tests.steps import DIRECT, ORDERS_ONLY, Admin, collaborator, services, wait_until

ACME = Subdomain("acme")
PROBES = "zis:{acme}:probes"
UNCACHED = {"LIST_CACHE_SECONDS": "0"}
# Of a page each.
INTEGRATIONS = ("acme_orders", "acme_shipping")


def round_trips(redis: Redis, act: Callable[[], object]) -> int:
    """Return how often Redis read from a connection, beside this question's own."""
    before = redis.info("stats")["total_reads_processed"]
    act()
    return int(redis.info("stats")["total_reads_processed"]) - int(before) - 1


@pytest.mark.parametrize(
    "changes",
    [{}, UNCACHED | ORDERS_ONLY, UNCACHED | DIRECT],
    ids=["cached, three integrations", "uncached and minted", "uncached and direct"],
)
def test_a_list_costs_one_round_trip(changes: dict[str, str], make_admin: MakeAdmin, redis: Redis) -> None:
    admin = make_admin(**changes)
    admin.connect("acme")
    admin.job_specs()
    assert round_trips(redis, admin.job_specs) == 1


def test_several_lists_that_are_not_cached_cost_one_round_trip_together(make_admin: MakeAdmin, redis: Redis) -> None:
    admin = make_admin(**UNCACHED, ZIS_INTEGRATIONS="{subdomain}_orders,{subdomain}_shipping")
    admin.connect("acme")
    admin.job_specs()
    asked = admin.lists_asked()
    assert round_trips(redis, admin.job_specs) == 1
    assert [len(admin.calls(f"/{name}/job_specs")) for name in INTEGRATIONS] == [asked + 1] * len(INTEGRATIONS)


def test_every_further_page_is_asked_with_what_is_stored_then(make_admin: MakeAdmin, redis: Redis) -> None:
    admin = make_admin(**UNCACHED, ZIS_INTEGRATIONS="{subdomain}_archive")
    admin.connect("acme")
    admin.job_specs()
    admin.simulator.world.clear_calls()
    read = round_trips(redis, admin.job_specs)
    pages = len(admin.calls("/acme_archive/job_specs"))
    assert (pages > 1, read) == (True, pages)


def test_a_grant_that_dies_while_somebodys_role_is_asked_ends_its_tokens(make_admin: MakeAdmin, redis: Redis) -> None:
    admin = make_admin(**UNCACHED, **ORDERS_ONLY)
    admin.connect("acme")
    admin.job_specs()
    grants = collaborator(admin.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    # Zendesk refuses the refresh that the role's question needs; the minted token lives on there.
    assert admin.simulator.world.account("acme").revoke_grants("job_specs_sidebar")
    assert grants.update(ACME, grant, grant.changed(obtained_at=1.0, expires_at=1801.0))
    redis.delete("zis:{acme}:role:101")
    asked = admin.lists_asked()
    reply = admin.call("GET", "/job_specs")
    assert (reply.status_code, reply.get_json()["code"]) == (409, "authorization_required")
    assert admin.lists_asked() == asked


def test_a_list_that_says_something_new_of_its_integration_notes_it(make_admin: MakeAdmin, redis: Redis) -> None:
    admin = make_admin(**UNCACHED, **ORDERS_ONLY)
    admin.connect("acme")
    redis.hset(PROBES, "acme_orders", "mismatch\nAnother process said so.")
    admin.job_specs()
    assert redis.hget(PROBES, "acme_orders") == b"ready\n"
    # What Redis has forgotten is new again.
    redis.delete(PROBES)
    admin.job_specs()
    assert redis.hget(PROBES, "acme_orders") == b"ready\n"


def test_a_list_that_succeeds_ends_what_another_process_says_of_the_admin(make_admin: MakeAdmin, redis: Redis) -> None:
    admin = make_admin(**UNCACHED, **ORDERS_ONLY)
    admin.connect("acme")
    admin.job_specs()
    redis.set("zis:{acme}:admin_lost", "1")
    assert admin.status()["connection"]["reason"] == "admin_lost"
    admin.job_specs()
    assert admin.status()["connection"]["state"] == "connected"


def tried_as_seen(admin: Admin, grant: Grant, minted: MintedToken | None, *statuses: int) -> list[str]:
    """Return the tokens that a call was tried with, which is answered so, after a request has read these."""
    tried = list[str]()

    class Answers(ZendeskCalls):
        def __init__(self) -> None:
            pass

        def send(self, account: Subdomain, request: Request, *, token: str | None, deadline: Deadline) -> Reply:  # noqa: ARG002 - only the token matters
            tried.append(str(token))
            return Reply(statuses[len(tried) - 1], {}, b"{}")

    clients = services(admin.app).clients
    client = clients.of_integration(ACME, "acme_orders", Deadline.after(10), Prefetched(grant, minted))
    assert replace(client, calls=Answers()).get("/x").status == 200
    return tried


@pytest.mark.parametrize("changes", [ORDERS_ONLY, DIRECT], ids=["minted", "direct"])
def test_a_token_that_was_replaced_since_it_was_read_costs_one_more_call(
    changes: dict[str, str], make_admin: MakeAdmin
) -> None:
    admin = make_admin(**changes)
    admin.connect("acme")
    grants = collaborator(admin.app, Grants)
    admin.job_specs()
    before = grants.with_minted(ACME, "acme_orders")
    assert before[0] is not None
    # Somebody connects the account anew while the request is on its way.
    admin.connect("acme")
    admin.list_fresh()
    after = grants.with_minted(ACME, "acme_orders")
    one, other = (pair[1] or pair[0] for pair in (before, after))
    assert one is not None
    assert other is not None
    tried = tried_as_seen(admin, before[0], before[1], 401, 200)
    assert tried == [one.access_token, other.access_token]


def test_a_token_that_has_expired_since_it_was_read_is_not_used(make_admin: MakeAdmin) -> None:
    admin = make_admin(**ORDERS_ONLY)
    admin.connect("acme")
    admin.job_specs()
    grant, minted = collaborator(admin.app, Grants).with_minted(ACME, "acme_orders")
    assert grant is not None
    assert minted is not None
    expired = MintedToken("expired", None, 0.0, 1.0, b"")
    assert tried_as_seen(admin, grant, expired, 200) == [minted.access_token]


def test_calls_that_have_ended_wake_the_watchdog_no_more() -> None:
    dog = Watchdog()
    live, *ended, later = (dog.watch(seconds) for seconds in (0.5, 30, 40, 50, 60))
    for watch in ended:
        watch.end()
    wait_until(lambda: live.expired)
    wait_until(lambda: [entry[2] for entry in dog._due] == [later])
    assert not any(watch.expired for watch in [*ended, later])


def functions_called(act: Callable[[], object]) -> int:
    """Return how many Python functions were called in this thread."""
    called = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal called
        called += event == "call"

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return called


@pytest.mark.parametrize(("changes", "most"), [({}, 420), (UNCACHED, 1150)], ids=["cached", "uncached"])
def test_a_list_calls_no_more_functions_than_it_did(changes: dict[str, str], most: int, make_admin: MakeAdmin) -> None:
    # Processor time follows that, and it is the same on every machine. 358 and 1,010 under Python 3.11.
    admin = make_admin(**changes, **ORDERS_ONLY)
    admin.connect("acme")
    for path in ("/api/v1/job_specs", "/livez") * 2:
        admin.browser.get(path, headers={"Authorization": f"Bearer {admin.session_token}"})
    nothing = functions_called(lambda: admin.browser.get("/livez"))
    assert functions_called(lambda: admin.call("GET", "/job_specs")) - nothing <= most
