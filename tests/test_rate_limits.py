"""Our own limits, by address, through HTTP: who is counted, who is not, and what happens while Redis is away."""

import pytest
from flask.testing import FlaskClient
from redis import Redis

from service.rate_limits import OAUTH_REQUESTS, REFUSED_REQUESTS, address_group
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import Admin

FLOODER = "198.51.100.7"
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


def test_whoever_has_a_session_still_passes_from_a_flooded_address(make_admin: MakeAdmin) -> None:
    person = make_admin(TRUSTED_PROXIES="1")
    use_up(person.browser)
    headers = {"X-Forwarded-For": FLOODER}

    page = person.browser.post("/sidebar", data={"token": person.simulator.sign("acme", 101)}, headers=headers)
    assert page.status_code == 200
    person.open_sidebar()
    assert person.call("GET", "/status", headers=headers).status_code == 200
    assert person.call("POST", "/session", headers=headers).status_code == 200


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
