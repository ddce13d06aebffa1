"""The token endpoint: exactly what is sent, and what every shape of answer means."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine

from sandbox.simulator.messages import Delivery, Reply, json_reply
from service.ground.deadlines import Deadline
from service.ground.errors import (
    ClientMisconfigured,
    RateLimited,
    ScopeInsufficient,
    ServiceError,
    ZendeskTimeout,
    ZendeskUnavailable,
)
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.zendesk.authorization_server import AuthorizationServer, InvalidGrant, TokenPair
from service.zendesk.calls import ZendeskCalls
from service.zendesk.transport import ZendeskAdapter
from tests.endpoint import Endpoint
from tests.steps import PUBLIC_URL, SECRET_KEYS

ACME = Subdomain("acme")
NOW = 1_800_000_000
VERIFIER = "a-verifier-of-at-least-forty-three-characters-long"
PAIR = {"access_token": "an-access-token", "token_type": "bearer", "refresh_token": "a-refresh-token",
        "expires_in": 1800, "refresh_token_expires_in": 7_689_600, "scope": "read write"}  # fmt: skip


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint(json_reply(200, PAIR))
    yield endpoint
    endpoint.stop()


@pytest.fixture
def server(endpoint: Endpoint) -> AuthorizationServer:
    settings = Settings.from_env(
        {
            "PUBLIC_URL": PUBLIC_URL,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "SECRET_KEYS": SECRET_KEYS,
            "ZENDESK_SUBDOMAINS": "acme",
            "ZENDESK_CLIENT_ID": "the_client",
            "ZENDESK_CLIENT_SECRET": "the-client-secret",
            "ZIS_INTEGRATIONS": "acme_orders",
            "ZENDESK_URL_TEMPLATE": endpoint.template,
        }
    )
    adapter = ZendeskAdapter()
    return AuthorizationServer(settings, ZendeskCalls(settings, adapter), adapter, lambda: NOW)


def exchange(server: AuthorizationServer, seconds: float = 10) -> TokenPair:
    return server.exchange_code(ACME, "the-code", VERIFIER, Deadline.after(seconds))


def refresh(server: AuthorizationServer, seconds: float = 10) -> TokenPair:
    return server.refresh(ACME, "the-refresh-token", Deadline.after(seconds))


Ask = Callable[..., TokenPair]
both_grants = pytest.mark.parametrize("ask", [exchange, refresh], ids=["exchange", "refresh"])


# --- what is sent ---


def test_a_code_is_exchanged_by_a_form_with_the_secret_in_it(server: AuthorizationServer, endpoint: Endpoint) -> None:
    exchange(server)

    assert endpoint.form() == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "code_verifier": VERIFIER,
        "redirect_uri": f"{PUBLIC_URL}/oauth/callback",
        "client_id": "the_client",
        "client_secret": "the-client-secret",
        "expires_in": "1800",
        "refresh_token_expires_in": "7689600",
    }


def test_a_refresh_sends_no_scope_and_asks_for_the_longest_life(
    server: AuthorizationServer, endpoint: Endpoint
) -> None:
    refresh(server)

    assert endpoint.form() == {
        "grant_type": "refresh_token",
        "refresh_token": "the-refresh-token",
        "client_id": "the_client",
        "client_secret": "the-client-secret",
        "expires_in": "1800",
        "refresh_token_expires_in": "7689600",
    }


@both_grants
def test_the_request_carries_credentials_in_its_body_alone(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask
) -> None:
    ask(server)

    request = endpoint.requests[0]
    assert (request.method, request.target) == ("POST", "/a/acme/oauth/tokens")
    assert request.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert "authorization" not in request.headers
    assert "cookie" not in request.headers


def test_the_consent_pages_address_carries_the_challenge_and_not_the_verifier(server: AuthorizationServer) -> None:
    url = server.authorization_url(ACME, "the-state", VERIFIER)

    query = parse_qs(urlsplit(url).query)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    assert query["code_challenge"] == [challenge]
    assert VERIFIER not in url
    assert "secret" not in url


# --- what a pair is ---


@both_grants
@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_is_a_pair_counted_from_when_it_was_asked_for(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask, status: int
) -> None:
    endpoint.reply = json_reply(status, PAIR)
    with time_machine.travel(NOW + 500):
        pair = ask(server)

    assert pair == TokenPair("an-access-token", "a-refresh-token", NOW, NOW + 1800, NOW + 7_689_600, "read write")
    assert "an-access-token" not in repr(pair)
    assert "a-refresh-token" not in repr(pair)


@pytest.mark.parametrize(
    ("changes", "expires_at"),
    [
        ({"expires_in": None}, NOW + 1800),
        ({"expires_in": None, "refresh_token": None}, None),
        ({"expires_in": "600"}, NOW + 600),
        ({"expires_in": 600.5}, NOW + 600.5),
    ],
    ids=["unsaid", "lasting", "text", "fraction"],
)
@both_grants
def test_an_expiry_that_is_not_said_is_assumed_only_beside_a_refresh_token(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask, changes: dict[str, object], expires_at: float | None
) -> None:
    for answer in (PAIR | changes, {name: value for name, value in (PAIR | changes).items() if value is not None}):
        endpoint.reply = json_reply(200, answer)
        assert ask(server).expires_at == expires_at


def test_a_life_of_the_refresh_token_means_nothing_without_one(server: AuthorizationServer, endpoint: Endpoint) -> None:
    endpoint.reply = json_reply(200, PAIR | {"refresh_token": None})

    pair = refresh(server)
    assert (pair.refresh_token, pair.refresh_token_expires_at) == (None, None)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("read", "read"), (["read", "write"], "read write"), (["read", 7], "read"), (None, None), ("", None), (7, None)],
)
def test_a_scope_may_be_a_text_a_list_or_absent(
    server: AuthorizationServer, endpoint: Endpoint, scope: object, expected: str | None
) -> None:
    endpoint.reply = json_reply(200, PAIR | {"scope": scope})

    assert exchange(server).scope == expected


@pytest.mark.parametrize("kind", ["bearer", "Bearer", "BEARER", None])
def test_a_bearer_token_is_known_in_any_case(server: AuthorizationServer, endpoint: Endpoint, kind: object) -> None:
    endpoint.reply = json_reply(200, PAIR | {"token_type": kind})

    assert exchange(server).access_token == "an-access-token"


# Authlib has its own opinion of these members; a pair in hand must survive it.
@both_grants
@pytest.mark.parametrize(
    "extra",
    [{"error": None}, {"expires_at": "soon"}, {"expires_at": [1]}, {"expires_at": {}}, {"token": {}}],
    ids=["error null", "expires_at text", "expires_at list", "expires_at object", "unknown member"],
)
def test_members_we_do_not_read_cost_no_pair(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask, extra: dict[str, object]
) -> None:
    endpoint.reply = json_reply(200, PAIR | extra)

    assert ask(server).refresh_token == "a-refresh-token"


@both_grants
@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "with space"},
        {"access_token": "new\nline"},
        {"access_token": "é"},
        {"access_token": "x" * 8193},
        {"token_type": "mac"},
        {"token_type": 7},
    ],
    ids=lambda changes: "-".join(f"{name}={str(value)[:12]!r}" for name, value in changes.items()),
)
def test_a_pair_that_could_not_be_used_is_none(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask, changes: dict[str, object]
) -> None:
    endpoint.reply = json_reply(200, PAIR | changes)

    with pytest.raises(ZendeskUnavailable):
        ask(server)


@both_grants
@pytest.mark.parametrize("expires_in", [0, -1, True, "soon", "9" * 5000, 1e300, []], ids=lambda value: repr(value)[:12])
def test_a_lifetime_that_is_none_is_assumed_and_costs_no_pair(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask, expires_in: object
) -> None:
    endpoint.reply = json_reply(200, PAIR | {"expires_in": expires_in, "refresh_token_expires_in": "never"})

    pair = ask(server)

    assert pair.expires_at == pair.obtained_at + 1800
    assert pair.refresh_token_expires_at is None


@both_grants
@pytest.mark.parametrize("refresh_token", ["", {}, 7, "with space"], ids=repr)
def test_a_refresh_token_that_is_none_costs_no_access_token(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask, refresh_token: object
) -> None:
    endpoint.reply = json_reply(200, PAIR | {"refresh_token": refresh_token})

    assert ask(server).refresh_token is None


# --- what is no pair; the four shapes in which Authlib would fail, and the one it would take for a token ---


def oauth_error(error: object, status: int = 400) -> Reply:
    return json_reply(status, {"error": error, "error_description": "Zendesk's words"})


MEANINGS: dict[str, tuple[Reply, type[Exception]]] = {
    "invalid_grant": (oauth_error("invalid_grant"), InvalidGrant),
    "invalid_grant as 401": (oauth_error("invalid_grant", 401), InvalidGrant),
    "invalid_grant as 200": (oauth_error("invalid_grant", 200), InvalidGrant),
    "invalid_client": (oauth_error("invalid_client", 401), ClientMisconfigured),
    "unauthorized_client": (oauth_error("unauthorized_client"), ClientMisconfigured),
    "invalid_scope": (oauth_error("invalid_scope"), ScopeInsufficient),
    "invalid_request": (oauth_error("invalid_request"), ZendeskUnavailable),
    "an error nobody knows": (oauth_error("x"), ZendeskUnavailable),
    "an error that is an object": (oauth_error({"title": "Forbidden", "message": "No"}, 403), ZendeskUnavailable),
    "an error that is a list": (oauth_error(["invalid_grant"]), ZendeskUnavailable),
    "an error beside a pair": (json_reply(200, PAIR | {"error": "invalid_grant"}), InvalidGrant),
    "401 without error, taken for a token": (json_reply(401, {"message": "Unauthorized"}), ZendeskUnavailable),
    "401 with a pair": (json_reply(401, PAIR), ZendeskUnavailable),
    "200 without a token": (json_reply(200, {"message": "OK"}), ZendeskUnavailable),
    "5xx as JSON": (oauth_error("invalid_grant", 500), ZendeskUnavailable),
    "5xx as a page": (Reply(502, b"<html>Bad gateway</html>", "text/html"), ZendeskUnavailable),
    "4xx as text": (Reply(400, b"invalid_grant", "text/plain"), ZendeskUnavailable),
    "2xx as a list": (json_reply(200, [PAIR]), ZendeskUnavailable),
    "2xx as text": (Reply(200, b"OK", "text/plain"), ZendeskUnavailable),
    "2xx that is empty": (Reply(204), ZendeskUnavailable),
    "a redirect": (Reply(307, b"", "text/html", (("Location", "/a/acme/oauth/tokens"),)), ZendeskUnavailable),
    "a limit": (Reply(429, b"Number of allowed API requests", "text/plain", (("Retry-After", "7"),)), RateLimited),
    "a reset": (Reply(0, delivery=Delivery.RESET), ZendeskUnavailable),
    "a cut": (Reply(200, b"{}" * 50, delivery=Delivery.CUT), ZendeskUnavailable),
}  # fmt: skip


@both_grants
@pytest.mark.parametrize(("reply", "meaning"), MEANINGS.values(), ids=MEANINGS)
def test_an_answer_without_a_pair_has_one_meaning_and_is_never_asked_for_again(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask, reply: Reply, meaning: type[Exception]
) -> None:
    endpoint.reply = reply

    with pytest.raises(meaning) as caught:
        ask(server)
    assert type(caught.value) is meaning or isinstance(caught.value, ZendeskUnavailable)
    assert len(endpoint.requests) == 1


@both_grants
def test_zendesks_words_are_passed_on_without_our_secrets(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask
) -> None:
    echoed = f"the-code {VERIFIER} the-refresh-token the-client-secret and words"
    endpoint.reply = json_reply(401, {"error": "invalid_client", "error_description": echoed})

    with pytest.raises(ServiceError) as caught:
        ask(server)
    said = caught.value.upstream_detail or ""
    assert "and words" in said
    assert "the-client-secret" not in said
    hidden = ["the-code", VERIFIER] if ask is exchange else ["the-refresh-token"]
    assert not any(secret in said for secret in hidden)


@both_grants
def test_without_time_left_nothing_is_sent(server: AuthorizationServer, endpoint: Endpoint, ask: Ask) -> None:
    with pytest.raises(ZendeskTimeout):
        ask(server, -1)
    assert endpoint.requests == []


@both_grants
def test_a_reply_that_dribbles_ends_with_the_deadline(
    server: AuthorizationServer, endpoint: Endpoint, ask: Ask
) -> None:
    endpoint.reply = Reply(200, b" " * 10_000, delivery=Delivery.DRIBBLE, gap_seconds=0.01)
    begun = time.monotonic()

    with pytest.raises(ZendeskTimeout):
        ask(server, 0.3)
    # The whole reply would take 100 s.
    assert time.monotonic() - begun < 50
