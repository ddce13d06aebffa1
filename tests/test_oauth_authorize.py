"""/oauth/authorize: who may begin, what the browser is sent to, and the cookie that binds the attempt to it."""

import base64
import hashlib
import json
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from sandbox.simulator import CLIENT_ID
from service.connecting.routes import MOST_COOKIES
from service.connecting.states import STATE_TTL_SECONDS
from service.ground.settings import PLACEHOLDER
from service.store.vault import Vault
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import PUBLIC_URL, SECRET_KEYS, fill

SECURE = {"PUBLIC_URL": "https://zis.example.com", "ZENDESK_URL_TEMPLATE": None}


def query_of(reply: TestResponse) -> dict[str, str]:
    parsed = parse_qs(urlsplit(reply.location or "").query, strict_parsing=True)
    assert all(len(values) == 1 for values in parsed.values())
    return {name: values[0] for name, values in parsed.items()}


def cookies_of(reply: TestResponse) -> SimpleCookie:
    return SimpleCookie("\n".join(reply.headers.getlist("Set-Cookie")))


def record_of(redis: Redis, state: str) -> dict[str, str]:
    key = f"zis:state:{hashlib.sha256(state.encode()).hexdigest()}"
    sealed = redis.get(key)
    assert isinstance(sealed, bytes)
    record: dict[str, str] = json.loads(Vault(tuple(SECRET_KEYS.split(","))).open(key, sealed))
    return record


def test_the_browser_is_sent_to_the_accounts_own_consent_page_with_exactly_what_it_needs(
    make_app: MakeApp, redis: Redis
) -> None:
    reply = make_app(**SECURE, ZENDESK_SCOPE="read write").test_client().get("/oauth/authorize?subdomain=ACME")

    assert reply.status_code == 302
    assert urlsplit(reply.location or "")[:3] == ("https", "acme.zendesk.com", "/oauth/authorizations/new")
    query = query_of(reply)
    record = record_of(redis, query["state"])
    challenge = base64.urlsafe_b64encode(hashlib.sha256(record["verifier"].encode()).digest()).rstrip(b"=").decode()
    assert query == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": "https://zis.example.com/oauth/callback",
        "scope": "read write",
        "state": query["state"],
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    assert 43 <= len(record["verifier"]) <= 128
    assert record["account"] == "acme"


def test_the_redirect_uri_never_comes_from_the_request(make_app: MakeApp) -> None:
    browser = make_app(TRUSTED_PROXIES="1").test_client()
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil"}
    reply = browser.get(
        "/oauth/authorize?subdomain=acme&redirect_uri=https://evil.example",
        base_url="http://evil.example",
        headers=headers,
    )

    assert query_of(reply)["redirect_uri"] == f"{PUBLIC_URL}/oauth/callback"
    assert "evil" not in (reply.location or "")


@pytest.mark.parametrize("is_https", [True, False], ids=["https", "http"])
def test_the_cookie_binds_the_attempt_to_this_browser(make_app: MakeApp, is_https: bool) -> None:
    app = make_app(**SECURE) if is_https else make_app()
    cookies = cookies_of(app.test_client().get("/oauth/authorize?subdomain=acme"))

    assert len(cookies) == 1
    name, cookie = next(iter(cookies.items()))
    assert name.startswith("__Host-zis-state-") == is_https
    assert (name.startswith("zis-state-")) == (not is_https)
    assert bool(cookie["secure"]) == is_https
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert cookie["max-age"] == str(STATE_TTL_SECONDS)
    assert len(cookie.value) >= 43


def test_neither_state_nor_cookie_nor_verifier_lies_open_in_redis(make_app: MakeApp, redis: Redis) -> None:
    reply = make_app().test_client().get("/oauth/authorize?subdomain=acme")
    state = query_of(reply)["state"]
    secret = next(iter(cookies_of(reply).values())).value
    record = record_of(redis, state)

    keys = redis.keys("zis:state:*")
    held = str([(key, redis.get(key)) for key in keys])
    assert len(keys) == 1
    assert not any(value in held for value in (state, secret, record["verifier"], "acme"))
    assert secret not in record.values()
    assert 0 < redis.pttl(keys[0]) <= STATE_TTL_SECONDS * 1000


def test_every_attempt_has_its_own_state_verifier_and_cookie(make_app: MakeApp, redis: Redis) -> None:
    browser = make_app().test_client()
    replies = [browser.get("/oauth/authorize?subdomain=acme") for _ in range(3)]
    states = [query_of(reply)["state"] for reply in replies]

    assert len(set(states)) == 3
    assert len({record_of(redis, state)["verifier"] for state in states}) == 3
    assert len({next(iter(cookies_of(reply))) for reply in replies}) == 3


def test_the_oldest_of_very_many_cookies_go(make_app: MakeApp) -> None:
    browser = make_app().test_client(use_cookies=False)
    older = [f"zis-state-{number:016}" for number in range(MOST_COOKIES + 2)]
    sent = "; ".join(f"{name}=x" for name in ["other", *older])

    cookies = cookies_of(browser.get("/oauth/authorize?subdomain=acme", headers={"Cookie": sent}))

    assert {name for name, one in cookies.items() if not one.value} == set(older[:3])
    kept = set(older[3:]) | {name for name, one in cookies.items() if one.value}
    assert len(kept) == MOST_COOKIES


@pytest.mark.parametrize("query", ["", "subdomain=", "subdomain=acme.evil.com", "subdomain=acme%0a", "subdomain=a/b"])
def test_what_names_no_account_is_refused(make_app: MakeApp, redis: Redis, query: str) -> None:
    reply = make_app(ZENDESK_SUBDOMAINS="*").test_client().get(f"/oauth/authorize?{query}")

    assert reply.status_code == 400
    assert "invalid_request" in reply.text
    assert "Set-Cookie" not in reply.headers
    assert redis.keys("zis:state:*") == []


def test_an_account_that_is_not_on_the_list_is_refused(make_app: MakeApp, redis: Redis) -> None:
    reply = make_app(ZENDESK_SUBDOMAINS="globex").test_client().get("/oauth/authorize?subdomain=acme")

    assert reply.status_code == 403
    assert "account_not_allowed" in reply.text
    assert "ZENDESK_SUBDOMAINS" in reply.text
    assert redis.keys("zis:state:*") == []


def test_a_star_lets_every_account_begin(make_app: MakeApp) -> None:
    assert make_app(ZENDESK_SUBDOMAINS="*").test_client().get("/oauth/authorize?subdomain=anybody").status_code == 302


@pytest.mark.parametrize("name", ["www", "go", "WWW", "developer"])
def test_under_a_star_nobody_is_sent_to_an_address_of_zendesks_own(name: str, make_app: MakeApp) -> None:
    reply = make_app(ZENDESK_SUBDOMAINS="*").test_client().get(f"/oauth/authorize?subdomain={name}")
    assert reply.status_code == 403
    assert "account_not_allowed" in reply.text
    assert "Set-Cookie" not in reply.headers


def test_a_nearly_full_redis_takes_no_states(make_app: MakeApp, redis: Redis) -> None:
    fill(redis, 0.9)
    try:
        reply = make_app().test_client().get("/oauth/authorize?subdomain=acme")
    finally:
        redis.config_set("maxmemory", "0")

    assert reply.status_code == 503
    assert "store_unavailable" in reply.text
    assert reply.headers["Retry-After"]


def test_nothing_is_asked_of_zendesk_to_begin(make_admin: MakeAdmin) -> None:
    person = make_admin()
    person.authorize("acme")

    assert person.simulator.world.calls() == []


@pytest.mark.parametrize("name", ["ZENDESK_CLIENT_ID", "ZENDESK_CLIENT_SECRET"])
def test_nobody_is_sent_to_zendesk_for_a_client_that_is_not_set_yet(name: str, make_app: MakeApp, redis: Redis) -> None:
    app = make_app(**{name: PLACEHOLDER})
    reply = app.test_client().get("/oauth/authorize?subdomain=acme")
    assert (reply.status_code, "client_misconfigured" in reply.text) == (500, True)
    assert "ZENDESK_CLIENT_ID and ZENDESK_CLIENT_SECRET; the front page" in reply.text
    assert not list(redis.scan_iter("zis:state:*"))
