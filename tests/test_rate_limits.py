"""Our own limits, by address, through HTTP: who is counted, who is not, and what happens while Redis is away."""

from typing import Any

import pytest
from flask import template_rendered
from flask.testing import FlaskClient
from redis import Redis

from sandbox.simulator.signing import signed_claims
from service.ground.errors import RateLimited
from service.web.rate_limits import (
    CHANGES,
    FAILED_EXCHANGES,
    OAUTH_REQUESTS,
    REFUSED_REQUESTS,
    REMEMBERED_OVER,
    RateLimits,
    address_group,
)
from tests.attacks.attackers import VIP, cookies_of, query_of, segment
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import ORDERS_ONLY, Admin, collaborator
from tests.workers import at_once

FLOODER, OTHER = "198.51.100.7", "198.51.100.8"
# Of the test itself.
OUR_OWN = ("cmdstat_info", "cmdstat_config|resetstat")
DOWN = "redis://127.0.0.1:1/0"


@pytest.fixture
def browser(make_app: MakeApp) -> FlaskClient:
    return make_app(TRUSTED_PROXIES="1").test_client()


def come_from(browser: FlaskClient, address: str, method: str, path: str, times: int = 1) -> list[int]:
    headers = {"X-Forwarded-For": address}
    return [browser.open(path, method=method, headers=headers).status_code for _ in range(times)]


def refused(browser: FlaskClient, address: str = FLOODER, times: int = 1) -> list[int]:
    return come_from(browser, address, "GET", "/api/v1/status", times)


def begun(browser: FlaskClient, address: str = FLOODER, times: int = 1) -> list[int]:
    return come_from(browser, address, "GET", "/oauth/authorize?subdomain=acme", times)


def use_up(browser: FlaskClient, address: str = FLOODER) -> None:
    assert set(refused(browser, address, REFUSED_REQUESTS.amount)) == {401}


def test_three_hundred_handshakes_a_minute_and_address(browser: FlaskClient, redis: Redis) -> None:
    assert OAUTH_REQUESTS.amount == 300
    assert set(begun(browser, times=300)) == {302}

    reply = browser.get("/oauth/authorize?subdomain=acme", headers={"X-Forwarded-For": FLOODER})
    assert reply.status_code == 429
    assert "rate_limited" in reply.text
    assert 1 <= int(reply.headers["Retry-After"]) <= 60
    assert come_from(browser, FLOODER, "GET", "/oauth/callback") == [429]
    assert begun(browser, "198.51.100.8") == [302]
    assert len(redis.keys("zis:state:*")) == 301


def test_three_hundred_refusals_a_minute_and_address(browser: FlaskClient) -> None:
    use_up(browser)

    reply = browser.get("/api/v1/status", headers={"X-Forwarded-For": FLOODER})
    assert reply.status_code == 429
    problem = reply.get_json()
    assert problem["code"] == "rate_limited"
    assert "upstream_status" not in problem
    assert problem["retry_after"] == int(reply.headers["Retry-After"])
    assert refused(browser, "198.51.100.8") == [401]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/sidebar"), ("GET", "/api/nowhere"), ("PUT", "/api/v1/session"), ("PUT", "/sidebar")]
)
def test_every_refusal_below_api_and_sidebar_counts(browser: FlaskClient, method: str, path: str) -> None:
    use_up(browser)

    assert come_from(browser, FLOODER, method, path) == [429]


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/livez", 200), ("/readyz", 200), ("/robots.txt", 200), ("/nowhere", 404)]
)
def test_nothing_else_is_limited(browser: FlaskClient, path: str, status: int) -> None:
    use_up(browser)

    assert come_from(browser, FLOODER, "GET", path) == [status]
    assert begun(browser) == [302]


def test_from_a_flooded_address_what_costs_nothing_passes_and_nothing_else_is_begun(make_admin: MakeAdmin) -> None:
    person = make_admin(TRUSTED_PROXIES="1", **ORDERS_ONLY)
    person.connect("acme")
    assert person.job_specs()["job_specs"]
    use_up(person.browser)
    person.simulator.world.clear_calls()
    headers = {"X-Forwarded-For": FLOODER}

    for path in ("/job_specs", "/status", "/activity"):
        assert person.call("GET", path, headers=headers).status_code == 200
    assert person.call("POST", "/session", headers=headers).status_code == 200
    signed = {"token": person.simulator.sign("acme", 101)}
    assert person.browser.post("/sidebar", data=signed, headers=headers).status_code == 429
    for method, path in (("POST", f"/job_specs/{VIP}/install"), ("DELETE", "/connection")):
        assert person.call(method, path, headers=headers).status_code == 429
    assert person.calls() == []

    assert person.post_sidebar(signed["token"]).status_code == 200, "from any other address"
    assert person.install(VIP).status_code == 200


def test_an_address_over_the_limit_makes_us_ask_zendesk_nothing(make_admin: MakeAdmin, make_app: MakeApp) -> None:
    """As it was found: 400 answers of 429 cost 800 calls. The second process has not seen the flood itself."""
    flooder = make_admin(TRUSTED_PROXIES="1", ZENDESK_SUBDOMAINS="*")
    use_up(flooder.browser)
    other_process = make_app(TRUSTED_PROXIES="1", ZENDESK_SUBDOMAINS="*").test_client()
    headers = {"X-Forwarded-For": FLOODER}
    for name in ("acme", "globex", "initech"):
        claims = signed_claims(flooder.simulator.world.account(name), 101)
        forged = {"token": f"{segment({'alg': 'RS256'})}.{segment(claims)}.AAAA"}
        for browser in (flooder.browser, other_process):
            assert browser.post("/sidebar", data=forged, headers=headers).status_code == 429

    assert flooder.calls() == []


def test_a_key_that_has_changed_is_not_fetched_for_an_address_over_the_limit(make_admin: MakeAdmin) -> None:
    person = make_admin(TRUSTED_PROXIES="1")
    person.open_sidebar()
    other_process = make_admin(TRUSTED_PROXIES="1")
    use_up(other_process.browser)
    person.simulator.world.clear_calls()

    forged = {"token": person.simulator.sign("acme", 101, wrong_key=True)}
    reply = person.browser.post("/sidebar", data=forged, headers={"X-Forwarded-For": FLOODER})
    assert reply.status_code == 429
    assert person.calls("public_key") == []
    assert person.browser.post("/sidebar", data=forged).status_code == 401
    assert len(person.calls("public_key")) == 1, "the minute's one question is still there for others"


def test_an_address_within_the_limit_costs_the_page_no_round_trip(make_admin: MakeAdmin, redis: Redis) -> None:
    def asked(person: Admin) -> dict[str, int]:
        """Return how often each command is sent to open a page that was open before."""
        person.open_sidebar()
        redis.config_resetstat()
        person.open_sidebar()
        stats: Any = redis.info("commandstats")
        return {name: numbers["calls"] for name, numbers in stats.items() if name not in OUR_OWN}

    assert asked(make_admin()) == asked(make_admin(RATE_LIMITS="off"))


def test_an_address_that_is_over_is_forgotten_where_very_many_are(make_app: MakeApp) -> None:
    limits = collaborator(make_app(), RateLimits)
    for number in range(REMEMBERED_OVER + 5):
        limits._remember_over(("refused", str(number)), 0.0)
    assert len(limits._over) == REMEMBERED_OVER
    assert ("refused", "0") not in limits._over


def guess(person: Admin, times: int = 1) -> list[int]:
    """Come back with a right state and a code that nobody gave out."""
    statuses = []
    for _ in range(times):
        state = query_of(person.authorize("acme"))["state"]
        statuses.append(person.browser.get(f"/oauth/callback?state={state}&code=guessed").status_code)
    return statuses


def test_sixty_changes_a_minute_and_user_by_whichever_address_the_name_is_sent(make_admin: MakeAdmin) -> None:
    assert CHANGES.amount == 60
    admin = make_admin(**ORDERS_ONLY)
    admin.connect("acme")
    limits = collaborator(admin.app, RateLimits)
    for _ in range(59):
        limits.count(CHANGES, "acme:101")
    named = f"/job_specs/install?job_spec_name={VIP}&integration=acme_orders"
    assert admin.call("POST", named).status_code == 200
    sent = admin.changes_sent()
    for reply in (admin.call("POST", named), admin.call("DELETE", named), admin.install(VIP), admin.uninstall(VIP)):
        assert (reply.status_code, reply.get_json()["code"]) == (429, "rate_limited")
        assert 1 <= int(reply.headers["Retry-After"]) <= 60
    assert admin.changes_sent() == sent
    # Counted by user, not by account.
    admin.open_sidebar("acme", 105)
    admin.simulator.world.account("acme").set_user(105, role="admin")
    assert admin.call("DELETE", named).status_code == 200


def test_what_describes_the_api_costs_strangers_requests_nothing(make_app: MakeApp) -> None:
    app = make_app()
    browser = app.test_client()
    described = [browser.get(path).data for path in ("/openapi.json", "/docs")]

    def made(*_: object, **__: object) -> None:
        raise AssertionError("it was made anew")

    app.json.dumps = made  # type: ignore[assignment]  # Flask's own
    with template_rendered.connected_to(made, app):
        assert [browser.get(path).data for path in ("/openapi.json", "/docs")] == described


def test_ten_failed_exchanges_a_minute_and_address(make_admin: MakeAdmin, redis: Redis) -> None:
    """As it was found: each guessed code showed our client secret at the account's token endpoint."""
    person = make_admin()
    assert FAILED_EXCHANGES.amount == 10
    assert guess(person, 14) == [409] * 10 + [429] * 4
    assert len(person.calls("/oauth/tokens")) == 10

    location = person.simulator.consent(person.authorize("acme"), 101)
    reply = person.come_back(location)
    assert reply.status_code == 429
    assert 1 <= int(reply.headers["Retry-After"]) <= 60
    assert len(person.calls("/oauth/tokens")) == 10
    for key in redis.keys("zis:limit*exchanges*"):
        redis.expireat(key, 1)
    assert person.come_back(location).status_code == 200, "neither the state nor its cookie was used up"


def test_an_exchange_that_succeeds_or_is_not_made_does_not_count(make_admin: MakeAdmin) -> None:
    person = make_admin()
    for _ in range(FAILED_EXCHANGES.amount + 1):
        state = query_of(person.authorize("acme"))["state"]
        assert person.browser.get(f"/oauth/callback?state={state}&error=access_denied").status_code == 403
        assert person.browser.get("/oauth/callback?state=unknown&code=c").status_code == 400
        assert person.connect("acme").status_code == 200
        assert person.connect("acme", 102).status_code == 403, "no admin, but the exchange was a right one"


def test_guesses_that_come_at_once_are_counted_before_they_are_made(make_admin: MakeAdmin) -> None:
    person = make_admin()
    states = [query_of(person.authorize("acme"))["state"] for _ in range(20)]
    cookies = dict(cookies_of(person))
    clients = [person.app.test_client() for _ in states]
    for client in clients:
        for name, value in cookies.items():
            client.set_cookie(name, value)
    statuses = at_once(
        20, lambda number: clients[number].get(f"/oauth/callback?state={states[number]}&code=guessed").status_code
    )

    assert sorted(statuses) == [409] * 10 + [429] * 10
    assert len(person.calls("/oauth/tokens")) == 10


def test_without_redis_failed_exchanges_are_counted_too(make_app: MakeApp) -> None:
    limits = collaborator(make_app(REDIS_URL=DOWN), RateLimits)
    for _ in range(FAILED_EXCHANGES.amount):
        with limits.attempt(FAILED_EXCHANGES, OTHER) as attempt:
            attempt.is_made = True
        with limits.attempt(FAILED_EXCHANGES, FLOODER):
            pass
    with limits.attempt(FAILED_EXCHANGES, FLOODER) as attempt:
        assert not attempt.is_made
    with pytest.raises(RateLimited), limits.attempt(FAILED_EXCHANGES, OTHER):
        pass


def test_a_limited_sidebar_may_still_be_framed(browser: FlaskClient) -> None:
    use_up(browser)

    reply = browser.post("/sidebar", headers={"X-Forwarded-For": FLOODER})
    assert reply.status_code == 429
    assert "X-Frame-Options" not in reply.headers


def test_the_count_is_shared_through_redis(browser: FlaskClient, make_app: MakeApp, redis: Redis) -> None:
    use_up(browser)

    assert refused(make_app(TRUSTED_PROXIES="1").test_client()) == [429]
    keys = redis.keys("zis:limit*")
    assert len(keys) == 1
    assert 0 < redis.pttl(keys[0]) <= 60_000


def test_a_minute_later_all_is_forgotten(browser: FlaskClient, redis: Redis) -> None:
    use_up(browser)
    assert refused(browser) == [429]
    for key in redis.keys("zis:limit*"):
        redis.expireat(key, 1)

    assert refused(browser) == [401]


def test_without_redis_this_process_counts(make_app: MakeApp) -> None:
    browser = make_app(TRUSTED_PROXIES="1", REDIS_URL=DOWN).test_client()
    use_up(browser)

    assert refused(browser) == [429]
    assert refused(browser, "198.51.100.8") == [401]
    reply = browser.get("/api/v1/status", headers={"X-Forwarded-For": FLOODER})
    assert 1 <= reply.get_json()["retry_after"] <= 60


def test_when_redis_refuses_to_count_this_process_does(browser: FlaskClient, redis: Redis) -> None:
    assert refused(browser) == [401]
    for key in redis.keys("zis:limit*"):
        redis.delete(key)
        redis.rpush(key, "no number")
    use_up(browser)

    assert refused(browser) == [429]


def test_limits_can_be_switched_off(make_app: MakeApp, redis: Redis) -> None:
    browser = make_app(TRUSTED_PROXIES="1", RATE_LIMITS="off").test_client()

    assert set(refused(browser, times=REFUSED_REQUESTS.amount + 1)) == {401}
    assert redis.keys("zis:limit*") == []


def test_a_client_cannot_choose_its_address(make_app: MakeApp) -> None:
    behind_one = make_app(TRUSTED_PROXIES="1").test_client()
    use_up(behind_one)
    assert come_from(behind_one, f"203.0.113.1, {FLOODER}", "GET", "/api/v1/status") == [429]

    unproxied = make_app(TRUSTED_PROXIES="0").test_client()
    statuses = {status for number in range(301) for status in refused(unproxied, f"203.0.113.{number % 250}")}
    assert statuses == {401, 429}


def test_an_ipv6_network_counts_as_one(browser: FlaskClient) -> None:
    use_up(browser, "2001:db8:1:2::1")

    assert refused(browser, "2001:db8:1:2:ffff::9") == [429]
    assert refused(browser, "2001:db8:1:3::1") == [401]


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("no address", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_an_address_is_counted_by_its_group(address: str | None, group: str) -> None:
    assert address_group(address) == group


def test_no_limit_is_keyed_by_an_account_that_is_merely_named(make_admin: MakeAdmin) -> None:
    flooder = make_admin(TRUSTED_PROXIES="1")
    begun(flooder.browser, times=301)

    person = Admin(flooder.app, flooder.simulator)
    assert person.connect("acme").status_code == 200
