"""What is counted, timed and found out, as Prometheus sees it, in one process."""

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import time_machine
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    LockNotOwnedError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.grants.access_tokens import AccessTokens
from service.grants.grant_ends import AFTERLIFE_SECONDS, Census
from service.grants.grants import Grants
from service.grants.leases import Leases
from service.grants.upkeep import Upkeep
from service.ground.deadlines import Deadline
from service.ground.errors import AuthorizationRequired, ServiceError, ZendeskTimeout
from service.ground.executor import Executor
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.server.processes import used
from service.store.store import Store
from service.zendesk.calls import ZendeskCalls
from service.zendesk.client import AccountClient, GivenToken
from service.zendesk.transport import ZendeskAdapter
from tests.conftest import MakeAdmin, MakeApp
from tests.scraping import AUTHORIZED, TOKEN, Scrape, Since
from tests.steps import ORDERS_ONLY, Admin, collaborator, wait_until
from tests.stored_grants import change_grant, expire
from tests.workers import meanwhile

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
LIST = "zis:{acme}:list:acme_orders"
VIP = "escalate_vip_order"
ME = "/api/v2/users/me"
NOWHERE = "redis://127.0.0.1:1/0"
DOCUMENT = (Path(__file__).resolve().parent.parent / "docs" / "metrics.md").read_text()


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, on a service with one integration that is watched."""
    person = make_admin(METRICS_TOKEN=TOKEN, **ORDERS_ONLY)
    person.connect("acme")
    return person


@pytest.fixture
def since(admin: Admin) -> Since:
    """What is counted from here on."""
    return Since(admin.browser)


def grants(admin: Admin) -> Grants:
    return collaborator(admin.app, Grants)


def access_tokens(admin: Admin) -> AccessTokens:
    return collaborator(admin.app, AccessTokens)


def deadline() -> Deadline:
    return Deadline.after(25)


# --- who may ---


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_without_a_token_in_the_settings_there_is_nothing_under_the_address(make_app: MakeApp, method: str) -> None:
    browser = make_app().test_client()
    reply = browser.open("/metrics", method=method, headers={"Authorization": "Bearer "})

    assert reply.status_code == 404
    assert reply.content_type == "application/problem+json"
    if method != "HEAD":
        assert reply.get_json()["code"] == "not_found"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \xe9\xff"],
)
def test_another_token_is_refused(make_app: MakeApp, authorization: str | None) -> None:
    browser = make_app(METRICS_TOKEN=TOKEN).test_client()
    reply = browser.get("/metrics", headers={} if authorization is None else {"Authorization": authorization})

    assert reply.status_code == 401
    assert reply.content_type == "application/problem+json"
    assert reply.get_json()["code"] == "unauthenticated"
    assert "METRICS_TOKEN" in reply.get_json()["detail"]
    assert "sidebar" not in reply.text
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert "zis_" not in reply.text


def test_wrong_tokens_are_limited_like_other_refused_requests(make_app: MakeApp) -> None:
    browser = make_app(METRICS_TOKEN=TOKEN).test_client()
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    with time_machine.travel(time.time() // 60 * 60 + 1, tick=False):
        assert {browser.get("/metrics", headers=wrong).status_code for _ in range(300)} == {401}
        # The right one, too: otherwise the limit would keep nobody from trying on.
        for token in (f"{TOKEN}x", TOKEN):
            reply = browser.get("/metrics", headers={"Authorization": f"Bearer {token}"})
            assert (reply.status_code, reply.get_json()["code"]) == (429, "rate_limited")
        elsewhere = {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}, "headers": {"Authorization": f"Bearer {TOKEN}"}}
        assert browser.get("/metrics", **elsewhere).status_code == 200


def test_a_session_of_the_sidebar_does_not_open_it(admin: Admin) -> None:
    assert admin.browser.get("/metrics", headers={"Authorization": f"Bearer {admin.session_token}"}).status_code == 401


# --- the text ---


def test_it_is_prometheus_text_with_names_of_one_prefix_and_a_word_of_help_each(admin: Admin) -> None:
    reply = admin.browser.get("/metrics", headers=AUTHORIZED)
    families = list(text_string_to_metric_families(reply.text))

    assert reply.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-store"
    assert all(family.name.startswith("zis_") and family.documentation for family in families)
    assert not any(family.type == "unknown" for family in families)
    # Seconds and bytes, no other unit; what Prometheus would call a counter ends in _total.
    assert not [family.name for family in families if re.search(r"milli|minutes|hours|days|_ms|kilo|mega", family.name)]


def documented() -> dict[str, set[str]]:
    """Return the labels of every metric in the document's table."""
    rows = re.findall(r"^\| `(zis_[a-z_]+)` \| ([^|]*) \|", DOCUMENT, re.MULTILINE)
    return {name: set(re.findall(r"`([a-z]+)`", labels)) for name, labels in rows}


def test_the_document_has_every_metric_with_its_labels(admin: Admin) -> None:
    admin.job_specs()
    expire(admin)
    admin.list_fresh()
    shown: dict[str, set[str]] = {}
    for name, pairs in Scrape.of(admin.browser).samples:
        family = re.sub(r"_(bucket|count|sum)$", "", name)
        shown[family] = {label for label, _ in pairs} - {"le"} | shown.get(family, set())

    assert shown == documented()


def test_no_label_tells_an_account_a_person_or_a_path(admin: Admin) -> None:
    admin.connect("globex")
    admin.open_sidebar("acme")
    for path in ("/job_specs?integration=acme_orders", "/status", "/activity"):
        admin.call("GET", path)
    admin.install(VIP)
    admin.browser.get("/nowhere/acme/at-all")
    admin.browser.get("/static/../acme.css")
    admin.disconnect()
    text = Scrape.of(admin.browser).text

    for word in ("acme", "globex", VIP, "101", "Ada", "at-all", ".css", admin.session_token, TOKEN):
        assert not re.search(rf'="[^"]*{re.escape(word)}', text), word


def test_it_says_what_runs(admin: Admin) -> None:
    alive = admin.browser.get("/livez").get_json()
    shown = Scrape.of(admin.browser)
    assert shown.value("zis_build_info", version=alive["version"], commit=alive["commit"] or "unknown") == 1


# --- requests ---


def test_requests_are_counted_by_method_rule_and_status(admin: Admin, since: Since) -> None:
    admin.install(VIP)
    admin.install("not_there")
    for name in ("not/there", "neither"):
        admin.call("POST", f"/job_specs/install?job_spec_name={name}")
    admin.browser.get("/nowhere/1")
    admin.browser.get("/nowhere/2")
    admin.browser.open("/livez", method="INVENTED")
    admin.call("GET", "/status?unknown=1")

    install = "/api/v1/job_specs/<name>/install"
    counted = since.by("zis_requests_total", "method", "route", "status")
    del counted["GET", "/metrics", "200"]
    assert counted == {
        ("POST", install, "200"): 1,
        ("POST", install, "404"): 1,
        # One label, whatever is named.
        ("POST", "/api/v1/job_specs/install", "404"): 2,
        ("GET", "none", "404"): 2,
        ("other", "none", "405"): 1,
        ("GET", "/api/v1/status", "400"): 1,
    }
    assert since.counted("zis_request_duration_seconds_count", route=install) == 2
    assert since.counted("zis_request_duration_seconds_sum", route=install) > 0


def test_an_unforeseen_failure_is_counted_too(admin: Admin, since: Since) -> None:
    def break_down() -> str:
        raise KeyError

    admin.app.view_functions["health.live"] = break_down
    assert admin.browser.get("/livez").status_code == 500
    assert since.by("zis_requests_total", "route", "status")["/livez", "500"] == 1


def test_requests_in_progress_are_those_that_are_not_answered(admin: Admin) -> None:
    in_progress = [Scrape.of(admin.browser).value("zis_requests_in_progress")]
    admin.meets({"where": "list", "kind": "hold"})
    with meanwhile(lambda: admin.app.test_client().get("/api/v1/job_specs", headers=bearer(admin))) as answers:
        admin.simulator.world.wait_until_held(1)
        in_progress.append(Scrape.of(admin.browser).value("zis_requests_in_progress"))
        admin.simulator.release()
    in_progress.append(Scrape.of(admin.browser).value("zis_requests_in_progress"))

    assert answers[0].status_code == 200
    assert in_progress == [1, 2, 1]


def bearer(admin: Admin) -> dict[str, str]:
    return {"Authorization": f"Bearer {admin.session_token}"}


# --- Zendesk ---


def test_every_call_to_zendesk_is_of_a_known_kind(make_admin: MakeAdmin) -> None:
    admin = make_admin(METRICS_TOKEN=TOKEN, **ORDERS_ONLY)
    since = Since(admin.browser)
    admin.connect("acme")
    admin.job_specs()
    admin.install(VIP)
    admin.disconnect()
    calls = admin.calls()

    counted = since.by("zis_zendesk_calls_total", "kind")
    assert set(counted) == {(kind,) for kind in ("token", "client", "mint", "list", "change", "user", "revoke", "key")}
    # But for the consent page, which is the browser's.
    assert sum(counted.values()) == len([call for call in calls if "/oauth/authorizations" not in call.path])
    assert set(since.by("zis_zendesk_calls_total", "result")) == {("ok",)}
    assert since.by("zis_zendesk_call_duration_seconds_count", "kind") == counted


@pytest.mark.parametrize(
    ("kind", "results"),
    [
        ("http_429", {"rate_limited": 1}),
        ("http_500_zis", {"unavailable": 1}),
        ("http_502_html", {"unavailable": 2}),
        ("http_403_admin", {"refused": 1}),
        ("redirect", {"redirected": 1}),
        ("reset", {"unreachable": 2}),
    ],
)
def test_calls_are_told_apart_by_their_end(admin: Admin, since: Since, kind: str, results: dict[str, int]) -> None:
    admin.meets({"where": "list", "kind": kind})
    admin.list_fresh()
    counted = since.by("zis_zendesk_calls_total", "kind", "result")
    assert {result: count for (of, result), count in counted.items() if of == "list"} == results


def test_a_refused_token_and_a_late_answer_are_told_apart(admin: Admin, since: Since) -> None:
    calls = ZendeskCalls(collaborator(admin.app, Settings), ZendeskAdapter())
    client = AccountClient(calls, ACME, deadline(), GivenToken("nobody-s"))
    assert client.get(ME, kind="user").status == 401
    admin.meets({"where": "users", "kind": "hang"})
    with pytest.raises(ZendeskTimeout):
        client.until(Deadline.after(1)).get(ME, kind="user")
    admin.meets()

    assert since.by("zis_zendesk_calls_total", "kind", "result") == {
        ("user", "unauthorized"): 1,
        ("user", "timeout"): 1,
    }
    assert since.counted("zis_zendesk_call_duration_seconds_sum") >= 0.5


def test_refusals_of_the_token_endpoint_are_told_by_their_status(admin: Admin, since: Since) -> None:
    expire(admin)
    admin.meets({"where": "token", "kind": "http_429", "retry_after": 9})
    with pytest.raises(ServiceError):
        access_tokens(admin).get(ACME, deadline())
    assert since.by("zis_zendesk_calls_total", "kind", "result")["token", "rate_limited"] == 1


# --- tokens ---


def test_refreshes_are_counted_by_cause(admin: Admin, since: Since) -> None:
    expire(admin)
    access_tokens(admin).get(ACME, deadline())
    now = time.time()
    change_grant(admin, obtained_at=now - 1700, expires_at=now + 100)
    access_tokens(admin).get(ACME, deadline())
    spent = change_grant(admin, obtained_at=now - 100)
    access_tokens(admin).after_refusal(ACME, spent.access_token, deadline())
    change_grant(admin, obtained_at=now - 6_000_000, refresh_token_expires_at=now + 1000)
    assert [outcome.failure for outcome in collaborator(admin.app, Upkeep).refresh_ageing()] == [None]

    assert since.by("zis_refreshes_total", "cause", "result") == {
        (cause, "ok"): 1 for cause in ("expired", "stale", "refused", "upkeep")
    }


@pytest.mark.usefixtures("long_waits")
def test_refreshes_are_counted_by_result(admin: Admin, redis: Redis, since: Since) -> None:
    expire(admin)
    admin.meets({"where": "token", "kind": "http_500_text"})
    with pytest.raises(ServiceError):
        access_tokens(admin).get(ACME, deadline())
    # Not asked while it is waited out: not counted.
    with pytest.raises(ServiceError):
        access_tokens(admin).get(ACME, deadline())
    admin.meets()
    redis.delete("zis:{acme}:cool_down")
    admin.simulator.world.account("acme").revoke_grants()
    with pytest.raises(AuthorizationRequired):
        access_tokens(admin).get(ACME, deadline())

    assert since.by("zis_refreshes_total", "cause", "result") == {
        ("expired", "zendesk_unavailable"): 1,
        ("expired", "invalid_grant"): 1,
    }
    assert since.by("zis_changes_total", "action") == {("reauthorization_required",): 1}


def test_the_series_of_refreshes_are_there_before_the_first_one(admin: Admin) -> None:
    """What appears with its first failure is no increase to Prometheus."""
    shown = Scrape.of(admin.browser)
    assert shown.value("zis_refreshes_total", cause="upkeep", result="client_misconfigured") is not None


def test_the_series_of_changes_are_there_before_the_first_one(admin: Admin) -> None:
    shown = Scrape.of(admin.browser)
    assert shown.value("zis_changes_total", action="disconnected", result="ok") is not None
    assert shown.value("zis_changes_total", action="reauthorization_required", result="ok") is not None


def test_waits_for_a_turn_are_timed_whatever_becomes_of_them(redis: Redis, since: Since) -> None:
    leases = Leases(Store(redis), Executor())
    with leases.wait(ACME, "mint:acme_orders", deadline()), meanwhile(lambda: try_turn(leases)) as outcomes:
        pass
    assert isinstance(outcomes[0], ServiceError)
    assert since.by("zis_lock_wait_seconds_count", "lock") == {("mint",): 2}


def try_turn(leases: Leases) -> ServiceError | None:
    """Wait half a second for a turn that somebody else has; return what came of it."""
    try:
        with leases.wait(ACME, "mint:acme_orders", Deadline.after(0.5)):
            return None
    except ServiceError as failure:
        return failure


def test_waits_for_another_process_are_timed(admin: Admin, redis: Redis, since: Since) -> None:
    expire(admin)
    redis.set("zis:{acme}:lease:refresh", "another", px=60_000)
    with meanwhile(lambda: access_tokens(admin).get(ACME, deadline())) as refreshed:
        wait_until(lambda: since.counted("zis_lease_wait_seconds_total") > 0)
        redis.delete("zis:{acme}:lease:refresh")
    assert len(refreshed) == 1


def test_a_lease_that_ended_before_its_work_is_counted_once_and_not_given_back_again(
    redis: Redis, since: Since
) -> None:
    with Leases(Store(redis), Executor()).lease(ACME, "mint:acme_orders") as is_ours:
        redis.delete("zis:{acme}:lease:mint:acme_orders")
    assert is_ours
    assert "lease" not in {thread.name for thread in threading.enumerate()}
    assert since.by("zis_redis_errors_total", "kind") == {("lease_lost",): 1}


# --- lists ---


def test_lists_are_counted_by_where_they_came_from(admin: Admin, redis: Redis, since: Since) -> None:
    admin.job_specs()
    admin.job_specs()
    redis.hincrby(LIST, "asked_at", -60_000_000)
    admin.meets({"where": "list", "kind": "http_500_zis"})
    assert admin.job_specs()["integrations"][0]["stale"]
    # Remembered.
    assert admin.job_specs()["integrations"][0]["stale"]
    assert admin.list_fresh().status_code == 502

    assert since.by("zis_lists_total", "source") == {("asked",): 1, ("hit",): 1, ("stale",): 2, ("none",): 1}


def test_a_shared_question_is_asked_by_one_and_coalesced_for_the_others(admin: Admin, since: Since) -> None:
    admin.meets({"where": "list", "kind": "hold"})
    with meanwhile(lambda: admin.app.test_client().get("/api/v1/job_specs", headers=bearer(admin))):
        admin.simulator.world.wait_until_held(1)
        with meanwhile(lambda: admin.app.test_client().get("/api/v1/job_specs", headers=bearer(admin))):
            admin.simulator.release()
    counted = since.by("zis_lists_total", "source")
    # The second one may have come when the list was already there.
    assert counted.pop(("asked",)) == 1
    assert counted in ({("coalesced",): 1}, {("hit",): 1})


def test_a_list_that_another_process_brought_is_coalesced(admin: Admin, make_admin: MakeAdmin, since: Since) -> None:
    elsewhere = make_admin(METRICS_TOKEN=TOKEN, **ORDERS_ONLY)
    elsewhere.session_token = admin.session_token
    admin.meets({"where": "list", "kind": "hold"})
    with meanwhile(lambda: admin.app.test_client().get("/api/v1/job_specs", headers=bearer(admin))):
        admin.simulator.world.wait_until_held(1)
        with meanwhile(lambda: elsewhere.call("GET", "/job_specs")):
            # It has looked and found neither list nor lease.
            wait_until(lambda: since.counted("zis_lease_wait_seconds_total") > 0)
            admin.simulator.release()
    assert since.by("zis_lists_total", "source") == {("asked",): 1, ("coalesced",): 1}


def test_without_a_cache_every_list_is_asked(make_admin: MakeAdmin) -> None:
    admin = make_admin(METRICS_TOKEN=TOKEN, LIST_CACHE_SECONDS="0", **ORDERS_ONLY)
    admin.connect("acme")
    since = Since(admin.browser)
    admin.job_specs()
    admin.job_specs()
    admin.meets({"where": "list", "kind": "http_500_zis"})
    admin.call("GET", "/job_specs")
    assert since.by("zis_lists_total", "source") == {("asked",): 2, ("none",): 1}


# --- changes ---


def test_what_is_done_to_an_account_is_counted_by_its_result(make_admin: MakeAdmin) -> None:
    admin = make_admin(METRICS_TOKEN=TOKEN, **ORDERS_ONLY)
    since = Since(admin.browser)
    admin.connect("acme")
    admin.install(VIP)
    admin.uninstall(VIP)
    admin.meets({"where": "change", "kind": "http_429"})
    admin.install(VIP)
    admin.meets()
    admin.disconnect()

    assert since.by("zis_changes_total", "action", "result") == {
        ("connected", "ok"): 1,
        ("installed", "ok"): 1,
        ("uninstalled", "ok"): 1,
        ("installed", "rate_limited"): 1,
        ("disconnected", "ok"): 1,
    }


# --- Redis ---


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (RedisTimeoutError(), "timeout"),
        (RedisConnectionError(), "connection"),
        (BusyLoadingError("LOADING Redis is loading the dataset in memory"), "connection"),
        (AuthenticationError("WRONGPASS invalid username-password pair"), "authentication"),
        (OutOfMemoryError("command not allowed", status_code="OOM"), "full"),
        (ReadOnlyError("You can't write against a read only replica.", status_code="READONLY"), "read_only"),
        (LockNotOwnedError(), "lease_lost"),
        (ResponseError(), "other"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, RedisError) else value,
)
def test_failures_of_redis_are_told_apart(fault: RedisError, kind: str, admin: Admin, since: Since) -> None:
    collaborator(admin.app, Store).note_failure(fault)
    assert since.by("zis_redis_errors_total", "kind") == {(kind,): 1}


def test_a_full_redis_shows(admin: Admin, redis: Redis, since: Since) -> None:
    redis.config_set("maxmemory", "1")
    # Nearly full is not refused by Redis but by us; a change of the grant is tried whatever there is.
    with pytest.raises(ServiceError):
        change_grant(admin, scope="read")
    redis.config_set("maxmemory", "0")
    assert since.by("zis_redis_errors_total", "kind") == {("full",): 1}


def test_without_redis_all_is_told_but_what_only_redis_knows(make_app: MakeApp, admin: Admin) -> None:
    shown = Scrape.of(admin.browser).names()
    away = make_app(METRICS_TOKEN=TOKEN, REDIS_URL=NOWHERE).test_client()
    since = Since(away)
    # A read is repeated once; our own limits count by themselves.
    assert away.get("/readyz").status_code == 503
    assert since.by("zis_redis_errors_total", "kind")["connection",] >= 2
    assert shown - Scrape.of(away).names() == {"zis_accounts", "zis_shortest_grant_seconds"}


def test_a_redis_that_our_own_limits_miss_is_counted(make_app: MakeApp) -> None:
    away = make_app(METRICS_TOKEN=TOKEN, REDIS_URL=NOWHERE).test_client()
    since = Since(away)
    # Refused before anything else needs Redis.
    assert away.get("/oauth/authorize?subdomain=no/name").status_code == 400
    # One more for the accounts of this scrape, which are not repeated.
    assert since.counted("zis_redis_errors_total", kind="connection") == 2


# --- accounts ---


def accounts(admin: Admin) -> tuple[float | None, float | None]:
    """Return how many are connected and how many have to be connected again."""
    shown = Scrape.of(admin.browser)
    return (
        shown.value("zis_accounts", state="connected"),
        shown.value("zis_accounts", state="reauthorization_required"),
    )


def test_accounts_are_counted_through_their_lives(make_admin: MakeAdmin) -> None:
    admin = make_admin(METRICS_TOKEN=TOKEN, **ORDERS_ONLY)
    lives = [accounts(admin)]
    admin.connect("globex")
    admin.connect("acme")
    lives.append(accounts(admin))
    # Revoked at Zendesk, which the next refresh finds out.
    admin.simulator.world.account("acme").revoke_grants()
    expire(admin)
    with pytest.raises(AuthorizationRequired):
        access_tokens(admin).get(ACME, deadline())
    lives.append(accounts(admin))
    admin.connect("acme")
    lives.append(accounts(admin))
    admin.disconnect()
    lives.append(accounts(admin))
    grants(admin).delete(GLOBEX)
    lives.append(accounts(admin))

    assert lives == [(0, 0), (2, 0), (1, 1), (2, 0), (1, 0), (0, 0)]


def test_a_write_that_came_too_late_does_not_count(admin: Admin) -> None:
    held = grants(admin).holdings(ACME)
    assert held.grant is not None
    change_grant(admin, scope="read")
    assert not grants(admin).update(ACME, held.grant, held.grant.changed(dead="grant_revoked"))
    assert not grants(admin).forget(ACME, held)
    assert accounts(admin) == (1, 0)


def test_a_grant_ends_by_time_without_anybody_writing(admin: Admin) -> None:
    now = time.time()
    change_grant(admin, refresh_token_expires_at=now + 1000)
    assert accounts(admin) == (1, 0)
    with time_machine.travel(now + 1001):
        assert accounts(admin) == (0, 1)
        assert Scrape.of(admin.browser).value("zis_shortest_grant_seconds") is None
    # When its record has gone from Redis it is no account any more.
    with time_machine.travel(now + 1001 + AFTERLIFE_SECONDS):
        assert accounts(admin) == (0, 0)


def test_the_shortest_life_is_that_of_the_account_that_ends_first(admin: Admin) -> None:
    with time_machine.travel(time.time(), tick=False):
        now = time.time()
        admin.connect("globex")
        change_grant(admin, ACME, refresh_token_expires_at=now + 86_400)
        change_grant(admin, GLOBEX, refresh_token_expires_at=now + 3 * 86_400)
        shown = [Scrape.of(admin.browser).value("zis_shortest_grant_seconds")]
        change_grant(admin, ACME, dead="grant_revoked")
        shown.append(Scrape.of(admin.browser).value("zis_shortest_grant_seconds"))
    assert shown == [pytest.approx(86_400), pytest.approx(3 * 86_400)]


@pytest.mark.parametrize(
    ("fields", "census"),
    [
        ({"refresh_token": None, "expires_at": None, "refresh_token_expires_at": None}, Census(1, 0, None)),
        ({"refresh_token": None, "expires_at": 1_900_000_000.0}, Census(1, 0, 100.0)),
        ({"expires_at": 1.0, "refresh_token_expires_at": None}, Census(1, 0, None)),
    ],
    ids=["never expires", "cannot be refreshed", "no end of the refresh token announced"],
)
def test_grants_of_other_kinds_end_as_they_can(admin: Admin, fields: dict[str, Any], census: Census) -> None:
    change_grant(admin, **fields)
    with time_machine.travel(1_900_000_000.0 - 100, tick=False):
        assert grants(admin).census() == census


def test_a_scrape_asks_redis_once_and_opens_no_record(admin: Admin, redis: Redis) -> None:
    admin.connect("globex")
    Scrape.of(admin.browser)
    before = redis.info("commandstats")
    Scrape.of(admin.browser)
    after = redis.info("commandstats")

    asked = {name: told["calls"] - before.get(name, {"calls": 0})["calls"] for name, told in after.items()}
    assert {name for name, calls in asked.items() if calls} <= {
        "cmdstat_evalsha",
        "cmdstat_zcount",
        "cmdstat_zrange",
        "cmdstat_info",
    }
    assert asked["cmdstat_evalsha"] == 1


def test_accounts_of_long_ago_are_dropped_when_another_one_connects(admin: Admin, redis: Redis) -> None:
    redis.zadd("zis:grant_ends", {"initech": time.time() - AFTERLIFE_SECONDS - 1})
    admin.connect("globex")
    assert sorted(redis.zrange("zis:grant_ends", 0, -1)) == [b"acme", b"globex"]


def test_a_record_that_is_only_sealed_anew_ends_when_it_did(admin: Admin, redis: Redis) -> None:
    change_grant(admin, dead="grant_revoked")
    before = redis.zscore("zis:grant_ends", "acme")
    with time_machine.travel(time.time() + 1000):
        assert grants(admin).reseal(ACME)
    assert redis.zscore("zis:grant_ends", "acme") == before


# --- processes ---


def test_what_the_process_uses_is_told(admin: Admin) -> None:
    shown = Scrape.of(admin.browser)
    assert shown.value("zis_processes") == 1
    assert (shown.value("zis_resident_memory_bytes") or 0) > 10_000_000
    assert (shown.value("zis_open_fds") or 0) >= 3
    assert (shown.value("zis_cpu_seconds_total") or 0) > 0


def test_a_process_that_has_ended_is_left_out() -> None:
    assert list(used([2**22 + 1])) == []
