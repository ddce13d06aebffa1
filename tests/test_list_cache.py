"""One list for everybody who asks: what is kept, shared, stale and remembered."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from service.job_specs import kept_lists
from service.job_specs.kept_lists import ACCOUNT_SHARE, LARGEST_LIST_BYTES, KeptList
from service.store.store import Store
from service.zendesk.bulkhead import Bulkhead
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, Admin, collaborator, fill, services, wait_until, waiters
from tests.workers import at_once, meanwhile

LIST = "zis:{acme}:list:acme_orders"
FAILURE = "zis:{acme}:list_failure:acme_orders"
NO_CACHE = {"Cache-Control": "no-cache"}
LEASE = "zis:{acme}:lease:list:acme_orders"
SECOND = 1_000_000
FAILS = {"where": "list", "kind": "http_500_zis"}


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, on a service with one integration."""
    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    person.status()
    person.simulator.world.clear_calls()
    return person


@pytest.fixture
def elsewhere(admin: Admin, make_admin: MakeAdmin) -> Admin:
    """The same person at another process of the service."""
    other = make_admin(**ORDERS_ONLY)
    other.session_token = admin.session_token
    return other


def age(redis: Redis, seconds: int) -> None:
    """Make the kept list older."""
    redis.hincrby(LIST, "asked_at", -seconds * SECOND)


def part(reply: TestResponse) -> dict[str, Any]:
    """Return what is said of the one integration."""
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.get_json()["integrations"][0]
    return found


def installed(reply: TestResponse, name: str) -> bool:
    rows = {row["name"]: row["installed"] for row in reply.get_json()["job_specs"]}
    return bool(rows[name])


def bearer(admin: Admin) -> dict[str, str]:
    return {"Authorization": f"Bearer {admin.session_token}"}


# --- young ---


def test_a_young_list_is_served_without_asking(admin: Admin, redis: Redis) -> None:
    first = admin.call("GET", "/job_specs")
    age(redis, 10)
    second = admin.call("GET", "/job_specs")
    assert second.get_json()["job_specs"] == first.get_json()["job_specs"]
    assert 10 <= int(second.headers["Age"]) < 15
    assert admin.lists_asked() == 1
    assert len(admin.calls()) == 1


def test_an_older_list_is_asked_for_anew(admin: Admin, redis: Redis) -> None:
    admin.job_specs()
    age(redis, 15)
    assert int(admin.call("GET", "/job_specs").headers["Age"]) < 15
    assert admin.lists_asked() == 2


def test_a_kept_list_goes_after_ten_minutes(admin: Admin, redis: Redis) -> None:
    admin.job_specs()
    assert 590 < redis.ttl(LIST) <= 600


def test_fifty_callers_ask_once(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "slow", "seconds": 0.2})
    replies = at_once(50, lambda _: admin.app.test_client().get("/api/v1/job_specs", headers=bearer(admin)))
    assert {reply.status_code for reply in replies} == {200}
    assert admin.lists_asked() == 1


def test_two_processes_ask_once(admin: Admin, elsewhere: Admin) -> None:
    admin.meets({"where": "list", "kind": "slow", "seconds": 0.2})
    apps = [admin.app, elsewhere.app]
    replies = at_once(20, lambda number: apps[number % 2].test_client().get("/api/v1/job_specs", headers=bearer(admin)))
    assert {reply.status_code for reply in replies} == {200}
    assert admin.lists_asked() == 1


# --- no-cache ---


@pytest.mark.parametrize("value", ["No-Cache", "max-age=0, NO-CACHE"])
def test_no_cache_is_known_in_any_case(value: str, admin: Admin) -> None:
    admin.job_specs()
    admin.call("GET", "/job_specs", headers={"Cache-Control": value})
    assert admin.lists_asked() == 2


def test_no_cache_is_never_older_than_the_request(admin: Admin) -> None:
    admin.job_specs()
    admin.simulator.world.account("acme").integrations["acme_orders"].resize(3)
    assert len(admin.list_fresh().get_json()["job_specs"]) == 3
    assert admin.lists_asked() == 2
    assert len(admin.job_specs()["job_specs"]) == 3
    assert admin.lists_asked() == 2


def test_no_cache_is_never_stale(admin: Admin) -> None:
    admin.job_specs()
    admin.meets(FAILS)
    reply = admin.list_fresh()
    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")


def test_no_cache_asks_although_a_failure_is_remembered(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "http_429", "retry_after": 9, "times": 1})
    assert admin.call("GET", "/job_specs").status_code == 429
    assert admin.list_fresh().status_code == 200


def test_no_cache_does_not_share_a_question_that_began_earlier(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "hold", "times": 1, "after_effect": True})
    with meanwhile(lambda: admin.call("GET", "/job_specs")) as old:
        admin.simulator.world.wait_until_held(1)
        admin.simulator.world.account("acme").integrations["acme_orders"].resize(3)
        with meanwhile(admin.list_fresh) as new:
            (flight,) = services(admin.app).listing._single_flight._flights.values()
            wait_until(lambda: waiters(flight.done) == 1)
            admin.simulator.release()
    assert len(old[0].get_json()["job_specs"]) == 6
    assert len(new[0].get_json()["job_specs"]) == 3
    assert admin.lists_asked() == 2


def test_no_cache_callers_share_the_next_question(admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "list", "kind": "hold", "times": 1})
    headers = bearer(admin) | {"Cache-Control": "no-cache"}

    def ask(number: int) -> TestResponse | None:
        if number < 20:
            return admin.app.test_client().get("/api/v1/job_specs", headers=headers)
        # Counted once their request has arrived.
        wait_until(lambda: sum(int(redis.get(key) or 0) for key in redis.keys("zis:limit*fresh*")) == 20)
        admin.simulator.release()
        return None

    with meanwhile(lambda: admin.call("GET", "/job_specs")):
        admin.simulator.world.wait_until_held(1)
        replies = at_once(21, ask)[:20]
    assert {reply.status_code for reply in replies} == {200}
    assert admin.lists_asked() == 2


# --- stale ---


@pytest.mark.parametrize(
    ("fault", "code", "retry_after"),
    [(FAILS, "zendesk_unavailable", None),
     ({"where": "list", "kind": "http_429", "retry_after": 27}, "rate_limited", 27),
     ({"where": "list", "kind": "http_403_scope"}, "scope_insufficient", None),
     ({"where": "list", "kind": "reset"}, "zendesk_unavailable", None)],
    ids=["500", "429", "403", "reset"],
)  # fmt: skip
def test_a_list_stands_in_with_its_error_while_zendesk_fails(
    fault: dict[str, Any], code: str, retry_after: int | None, admin: Admin, redis: Redis
) -> None:
    before = part(admin.call("GET", "/job_specs"))
    age(redis, 590)
    admin.meets(fault)
    reply = admin.call("GET", "/job_specs")
    assert len(reply.get_json()["job_specs"]) == 6
    assert part(reply)["stale"] is True
    assert part(reply)["fetched_at"] < before["fetched_at"]
    assert (part(reply)["error"]["code"], part(reply)["error"]["retry_after"]) == (code, retry_after)


def test_a_list_of_ten_minutes_stands_in_no_more(admin: Admin, redis: Redis) -> None:
    admin.job_specs()
    age(redis, 600)
    admin.meets(FAILS)
    assert admin.call("GET", "/job_specs").status_code == 502


# --- remembered failures ---


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [({"kind": "http_429", "retry_after": 9}, 9), ({"kind": "http_429", "retry_after": 60}, 15),
     ({"kind": "http_500_zis"}, 12)],
    ids=["as long as Zendesk asks", "at most N", "a while"],
)  # fmt: skip
def test_a_failure_is_remembered(
    fault: dict[str, Any], seconds: int, admin: Admin, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A second would be over before this test has looked, on a busy machine.
    monkeypatch.setattr("service.job_specs.listing.FAILURE_SECONDS", 12)
    admin.meets({"where": "list", **fault})
    first = admin.call("GET", "/job_specs").get_json()
    assert (seconds - 3) * 1000 < redis.pttl(FAILURE) <= seconds * 1000
    redis.persist(FAILURE)
    second = admin.call("GET", "/job_specs").get_json()
    assert {**first, "request_id": ""} == {**second, "request_id": ""}
    assert admin.lists_asked() == 1
    redis.expireat(FAILURE, 1)
    admin.meets()
    assert part(admin.call("GET", "/job_specs"))["error"] is None


def test_a_list_that_came_ends_a_remembered_failure(admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "list", "kind": "http_429", "retry_after": 9, "times": 1})
    admin.call("GET", "/job_specs")
    admin.list_fresh()
    assert not redis.exists(FAILURE)


def test_a_limit_of_zendesks_is_kept_to_by_other_processes(admin: Admin, elsewhere: Admin) -> None:
    admin.meets({"where": "list", "kind": "http_429", "retry_after": 9})
    admin.call("GET", "/job_specs")
    assert elsewhere.call("GET", "/job_specs").status_code == 429
    assert admin.lists_asked() == 1


def test_a_failure_is_shared_by_a_process_that_waited_for_it(admin: Admin, elsewhere: Admin) -> None:
    admin.meets({"where": "list", "kind": "hold"}, {"where": "list", "kind": "http_429", "retry_after": 9})
    with meanwhile(lambda: admin.call("GET", "/job_specs")) as first:
        admin.simulator.world.wait_until_held(1)
        with meanwhile(lambda: elsewhere.call("GET", "/job_specs")) as second:
            waiting = collaborator(elsewhere.app, Bulkhead).places
            wait_until(lambda: waiting.taken == 1)
            admin.simulator.release()
    assert (first[0].status_code, second[0].status_code) == (429, 429)
    assert admin.lists_asked() == 1


# --- LIST_CACHE_SECONDS=0 ---


def test_zero_seconds_keep_and_remember_nothing(make_admin: MakeAdmin, redis: Redis) -> None:
    admin = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0")
    admin.connect("acme")
    admin.simulator.world.clear_calls()
    admin.job_specs()
    admin.job_specs()
    assert admin.lists_asked() == 2
    admin.meets({"where": "list", "kind": "http_429", "retry_after": 9})
    assert [admin.call("GET", "/job_specs").status_code for _ in range(2)] == [429, 429]
    assert admin.lists_asked() == 4
    assert redis.keys("zis:{acme}:list*") == []
    assert admin.status()["integrations"][0]["state"] == "unavailable"


def test_zero_seconds_share_nothing(make_admin: MakeAdmin) -> None:
    admin = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0")
    admin.connect("acme")
    admin.simulator.world.clear_calls()
    admin.meets({"where": "list", "kind": "hold"})
    with meanwhile(lambda: admin.call("GET", "/job_specs")), meanwhile(lambda: admin.call("GET", "/job_specs")):
        admin.simulator.world.wait_until_held(2)
        admin.simulator.release()
    assert admin.lists_asked() == 2


# --- changes ---


def test_the_list_read_back_after_a_change_is_the_one_that_is_kept(admin: Admin, elsewhere: Admin) -> None:
    elsewhere.job_specs()
    assert admin.install("escalate_vip_order").status_code == 200
    asked = admin.lists_asked()
    assert installed(elsewhere.call("GET", "/job_specs"), "escalate_vip_order")
    assert admin.lists_asked() == asked


def test_a_change_whose_read_back_failed_leaves_no_young_list(admin: Admin) -> None:
    admin.job_specs()
    admin.meets(FAILS)
    assert admin.install("escalate_vip_order").get_json()["verified"] is False
    assert part(admin.call("GET", "/job_specs"))["stale"] is True
    admin.meets()
    assert installed(admin.list_fresh(), "escalate_vip_order")


def test_an_old_question_never_overwrites_the_read_back(admin: Admin, elsewhere: Admin, redis: Redis) -> None:
    admin.meets({"where": "list", "kind": "hold", "times": 1, "after_effect": True})
    with meanwhile(lambda: admin.call("GET", "/job_specs")) as old:
        admin.simulator.world.wait_until_held(1)
        # As if its lease had run out: then another process asks beside it.
        redis.expireat(LEASE, 1)
        changed = elsewhere.install("zis:acme_orders:job_spec:escalate_vip_order")
        assert changed.get_json()["verified"] is True
        asked = admin.lists_asked()
        admin.simulator.release()
    assert not installed(old[0], "escalate_vip_order")
    assert installed(admin.call("GET", "/job_specs"), "escalate_vip_order")
    assert installed(elsewhere.call("GET", "/job_specs"), "escalate_vip_order")
    assert admin.lists_asked() == asked


def test_an_older_list_never_replaces_a_newer_one(admin: Admin, elsewhere: Admin, redis: Redis) -> None:
    admin.meets({"where": "list", "kind": "hold", "times": 1})
    with meanwhile(lambda: admin.call("GET", "/job_specs")):
        admin.simulator.world.wait_until_held(1)
        redis.expireat(LEASE, 1)
        elsewhere.job_specs()
        newer = redis.hget(LIST, "asked_at")
        admin.simulator.release()
    assert redis.hget(LIST, "asked_at") == newer


def test_a_kept_list_of_the_future_gives_way(admin: Admin, redis: Redis) -> None:
    """After a failover Redis's clock may be behind what is stored."""
    admin.job_specs()
    age(redis, -3600)
    admin.job_specs()
    assert part(admin.call("GET", "/job_specs"))["error"] is None
    assert admin.lists_asked() == 2


def test_nobody_joins_a_question_older_than_a_change_he_can_know_of(
    admin: Admin, elsewhere: Admin, redis: Redis
) -> None:
    admin.meets({"where": "list", "kind": "hold", "times": 1, "after_effect": True})
    with meanwhile(lambda: admin.call("GET", "/job_specs")):
        admin.simulator.world.wait_until_held(1)
        redis.expireat(LEASE, 1)
        assert elsewhere.install("zis:acme_orders:job_spec:escalate_vip_order").status_code == 200
        age(redis, 20)
        with meanwhile(lambda: admin.call("GET", "/job_specs")) as after:
            waiting = collaborator(admin.app, Bulkhead).places
            wait_until(lambda: waiting.taken == 2)
            admin.simulator.release()
    assert installed(after[0], "escalate_vip_order")


# --- other grants ---


def test_another_grants_list_and_failure_are_not_served(admin: Admin) -> None:
    admin.job_specs()
    admin.connect("acme", 105)
    admin.simulator.world.clear_calls()
    admin.job_specs()
    assert admin.lists_asked() == 1
    admin.meets({"where": "list", "kind": "http_429", "retry_after": 9})
    assert admin.list_fresh().status_code == 429
    admin.meets()
    admin.connect("acme", 101)
    assert part(admin.call("GET", "/job_specs"))["error"] is None


def test_a_question_of_a_former_grant_is_not_shared(admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "list", "kind": "hold", "times": 1})
    with meanwhile(lambda: admin.call("GET", "/job_specs")) as former:
        admin.simulator.world.wait_until_held(1)
        admin.connect("acme", 105)
        redis.expireat(LEASE, 1)
        assert part(admin.call("GET", "/job_specs"))["error"] is None
        admin.simulator.release()
    # Its token went with the former grant: it was asked again with one of the new grant's.
    assert part(former[0])["error"] is None


def test_after_a_disconnect_no_kept_list_is_served(admin: Admin) -> None:
    admin.job_specs()
    admin.disconnect()
    assert admin.call("GET", "/job_specs").get_json()["code"] == "authorization_required"


# --- memory ---


@contextmanager
def nearly_full(admin: Admin, redis: Redis, share: float = 0.85) -> Iterator[None]:
    """Let Redis use this share of what it may."""
    fill(redis, share)
    # The service looks every few seconds only.
    collaborator(admin.app, Store)._room_looked_at = float("-inf")
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


@pytest.mark.parametrize(("share", "begun", "noted"), [(0.75, 302, 1), (0.85, 503, 1), (0.97, 503, 0)])
def test_lists_give_way_first_then_states_then_activity(
    admin: Admin, redis: Redis, share: float, begun: int, noted: int
) -> None:
    """As it was found: one account's lists filled Redis, and others could not connect, nor was their activity kept."""
    before = redis.llen("zis:{acme}:activity")
    with nearly_full(admin, redis, share):
        assert admin.job_specs()["job_specs"]
        assert admin.browser.get("/oauth/authorize?subdomain=globex").status_code == begun
        assert admin.install("zis:acme_orders:job_spec:escalate_vip_order").status_code == 200
    assert not redis.hexists(LIST, "rows")
    assert redis.llen("zis:{acme}:activity") == before + noted


def test_a_list_that_is_too_long_is_served_but_not_kept(
    admin: Admin, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    for spec in admin.simulator.world.account("acme").integrations["acme_orders"].job_specs:
        spec.description = "x" * (LARGEST_LIST_BYTES // 5)
    assert len(admin.job_specs()["job_specs"]) == 6
    assert len(admin.job_specs()["job_specs"]) == 6
    assert admin.lists_asked() == 2
    assert not redis.hexists(LIST, "rows")
    assert 'event=list_not_kept account=acme integration=acme_orders reason="too long"' in capsys.readouterr().out


def test_an_accounts_lists_share_its_part_of_the_memory(admin: Admin, redis: Redis) -> None:
    store = collaborator(admin.app, Store)

    def fits(size: int, integrations: int) -> bool:
        return kept_lists.fits(store, integrations, KeptList(0, "", b"x" * size))

    assert fits(LARGEST_LIST_BYTES, 1)
    assert not fits(LARGEST_LIST_BYTES + 1, 1)
    assert not fits(LARGEST_LIST_BYTES, 3)
    redis.config_set("maxmemory", "25mb")
    store._room_looked_at = float("-inf")
    share = int(25 * 1024 * 1024 * ACCOUNT_SHARE)
    assert fits(share, 1)
    assert not fits(share + 1, 1)
    assert not fits(share, 2)


def test_above_80_percent_lists_are_served_but_not_kept(admin: Admin, redis: Redis) -> None:
    with nearly_full(admin, redis):
        assert len(admin.job_specs()["job_specs"]) == 6
        assert len(admin.job_specs()["job_specs"]) == 6
    assert admin.lists_asked() == 2
    assert not redis.hexists(LIST, "rows")


def test_above_80_percent_no_connection_is_begun_but_grants_are_written(admin: Admin, redis: Redis) -> None:
    consent = admin.authorize()
    before = redis.hget("zis:{acme}:grant", "generation")
    with nearly_full(admin, redis):
        assert admin.browser.get("/oauth/authorize?subdomain=acme").status_code == 503
        assert admin.come_back(admin.simulator.consent(consent, 101)).status_code == 200
    assert redis.hget("zis:{acme}:grant", "generation") != before


# --- a list that is asked while a change is on its way ---


def tells_the_truth(person: Admin, integration: str) -> bool:
    """Return whether a list agrees with Zendesk, or says that it is stale."""
    listed = person.job_specs(f"?integration={integration}")
    if listed["integrations"][0]["stale"]:
        return True
    return all(row["installed"] is person.has_installed(integration, row["name"]) for row in listed["job_specs"])


def test_a_list_asked_before_a_change_took_effect_is_not_young_after_it(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "hold", "times": 1})
    with meanwhile(lambda: admin.install("escalate_vip_order")) as replies:
        admin.simulator.world.wait_until_held(1)
        assert tells_the_truth(admin, "acme_orders")
        # Nor does a read-back replace it.
        admin.meets({"where": "list", "kind": "http_500_zis", "times": 2})
    assert replies[0].get_json()["verified"] is False
    assert admin.has_installed("acme_orders", "escalate_vip_order")
    assert tells_the_truth(admin, "acme_orders")


def test_a_list_from_before_a_change_is_not_young_while_that_is_on_its_way(admin: Admin) -> None:
    admin.job_specs()
    admin.meets({"where": "change", "kind": "hold", "times": 1, "after_effect": True})
    with meanwhile(lambda: admin.install("zis:acme_orders:job_spec:escalate_vip_order")):
        admin.simulator.world.wait_until_held(1)
        assert admin.has_installed("acme_orders", "escalate_vip_order")
        assert tells_the_truth(admin, "acme_orders")
        admin.simulator.release()


def test_a_list_asked_while_all_are_being_uninstalled_is_not_young_after_it(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "hold"})
    with meanwhile(lambda: admin.disconnect("?uninstall=true")) as replies:
        admin.simulator.world.wait_until_held(1)
        assert tells_the_truth(admin, "acme_orders")
        # So that the account stays connected.
        admin.meets({"where": "revoke", "kind": "http_500_text"})
    assert replies[0].status_code == 502
    assert tells_the_truth(admin, "acme_orders")


# --- a caller's own hurry ---


def state_of(admin: Admin, integration: str = "acme_orders") -> str:
    return next(str(one["state"]) for one in admin.status()["integrations"] if one["name"] == integration)


def test_a_callers_own_hurry_is_told_to_nobody_else(admin: Admin, redis: Redis) -> None:
    """As it was found: a request that said it had waited at the router made the integration unavailable for all."""
    before = admin.job_specs("?integration=acme_orders")
    admin.meets({"where": "list", "kind": "hold"})
    late = {**NO_CACHE, "X-Request-Start": f"{time.time() - 22:.3f}"}
    reply = admin.call("GET", "/job_specs?integration=acme_orders", headers=late)
    assert (reply.status_code, reply.get_json()["code"]) == (504, "zendesk_timeout")
    assert not redis.exists(FAILURE)
    assert state_of(admin) == "ready"
    assert admin.job_specs("?integration=acme_orders") == before
    admin.meets()
    assert admin.list_fresh("?integration=acme_orders").status_code == 200


def test_a_success_heals_what_was_recorded(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "http_500_text"})
    admin.list_fresh("?integration=acme_orders")
    assert state_of(admin) == "unavailable"
    admin.meets()
    assert admin.list_fresh("?integration=acme_orders").status_code == 200
    assert state_of(admin) == "ready"
