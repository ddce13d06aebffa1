"""Zendesk's signed request: what opens the sidebar, and everything that looks like it and does not."""

import base64
import json
import time
from typing import Any

import pytest
import time_machine

from sandbox.simulator import APP_ID, public_key_pem
from service.people.zaf_jwt import LONGEST_TOKEN
from tests.conftest import MakeAdmin
from tests.steps import PUBLIC_URL, Admin

HOUR = 3600


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    """Somebody with a browser; the app's key is configured, so that only the token matters."""
    return make_admin(ZENDESK_APP_PUBLIC_KEY=public_key_pem())


def sign(person: Admin, account: str = "acme", user_id: int = 101, **forms: Any) -> str:
    return person.simulator.sign(account, user_id, **forms)


def user_of(person: Admin, **forms: Any) -> int | None:
    """Open the page; return the user the service has understood."""
    person.open_sidebar("acme", 101, **forms)
    user: int | None = person.status()["user"]["id"]
    return user


def assert_refused(person: Admin, token: str, status: int = 401, code: str = "unauthenticated") -> None:
    reply = person.post_sidebar(token)
    assert reply.status_code == status, reply.text
    assert code in reply.text
    assert "bootstrap" not in reply.text
    assert token not in reply.text


def encoded(*parts: object) -> str:
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


def test_a_signed_request_opens_the_page_with_what_it_needs(person: Admin) -> None:
    bootstrap = person.open_sidebar("acme", 101)

    session = {"session_token", "expires_at", "expires_in", "account", "api_base", "authorize_url"}
    assert set(bootstrap) == session | {"status", "list"}
    assert (bootstrap["account"], bootstrap["api_base"]) == ("acme", "/api/v1")
    assert bootstrap["authorize_url"] == f"{PUBLIC_URL}/oauth/authorize?subdomain=acme"
    assert 890 <= bootstrap["expires_in"] <= 900
    assert person.simulator.world.calls() == []


def test_the_same_request_opens_the_page_again_until_it_expires(person: Admin) -> None:
    token = sign(person)

    assert [person.post_sidebar(token).status_code for _ in range(3)] == [200, 200, 200]
    with time_machine.travel(time.time() + 362):
        assert_refused(person, token)


@pytest.mark.parametrize("alg", ["none", "HS256", "HS384", "RS384", "RS512", "PS256"])
def test_no_other_algorithm_is_taken(person: Admin, alg: str) -> None:
    assert_refused(person, sign(person, alg=alg))


@pytest.mark.parametrize("alg", ["NONE", "rs256", "", None, ["RS256"], {}, 256, "ES256", "dir"])
def test_no_claimed_algorithm_is_taken(person: Admin, alg: object) -> None:
    assert_refused(person, sign(person, header={"alg": alg}))


def test_another_key_is_refused(person: Admin) -> None:
    assert_refused(person, sign(person, wrong_key=True))


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/key"},
        {"x5u": "https://evil.example/cert"},
        {"kid": "../../key"},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"x5c": ["MIIB"]},
    ],
    ids=lambda header: next(iter(header)),
)
def test_a_key_named_by_the_token_is_neither_used_nor_asked_for(person: Admin, header: dict[str, Any]) -> None:
    assert_refused(person, sign(person, wrong_key=True, header=header))
    assert_refused(person, sign(person, wrong_key=True, claims={"cnf": {"jku": "https://evil.example"}, **header}))
    assert person.post_sidebar(sign(person, header=header)).status_code == 200
    assert person.simulator.world.calls() == []


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp2"], "exp2": 1},
        {"crit": ["b64"], "b64": False},
        {"crit": "b64"},
        {"crit": 5},
        {"crit": [5]},
        {"crit": [{}]},
    ],
    ids=repr,
)
def test_a_critical_extension_is_refused(person: Admin, header: dict[str, Any]) -> None:
    assert_refused(person, sign(person, header=header))


@pytest.mark.parametrize("claim", ["exp", "iat", "iss", "aud"])
@pytest.mark.parametrize("value", [None, "", "soon", True, [], {}, -1, 0, "1e9"], ids=repr)
def test_a_claim_that_is_missing_or_of_another_kind_is_refused(person: Admin, claim: str, value: object) -> None:
    assert_refused(person, sign(person, claims={claim: value}))


@pytest.mark.parametrize("payload", [[], "text", 7, None])
def test_claims_that_are_no_object_are_refused(person: Admin, payload: object) -> None:
    assert_refused(person, encoded({"alg": "RS256"}, payload) + ".c2ln")


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c", "a.b.c.d", "é.é.é", "\0", " ", "x" * (LONGEST_TOKEN + 1), encoded({}) + ".e30"],
    ids=["empty", "dot", "dots", "letters", "four parts", "not ascii", "null", "space", "too long", "two parts"],
)
def test_what_is_no_token_is_refused(person: Admin, token: str) -> None:
    assert person.post_sidebar(token).status_code == 401


def test_a_request_without_a_token_is_refused(person: Admin) -> None:
    reply = person.browser.post("/sidebar", data={"other": "x"})

    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert "Open this app in Zendesk" in reply.text


def test_a_token_in_the_query_is_not_looked_at(person: Admin) -> None:
    assert person.browser.post(f"/sidebar?token={sign(person)}").status_code == 401


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_changed_in_any_part_is_refused(person: Admin, part: int) -> None:
    parts = sign(person).split(".")
    other = sign(person, user_id=102).split(".")
    parts[part] = other[part] if part else encoded({"alg": "RS256", "typ": "JWT", "x": 1})

    assert_refused(person, ".".join(parts))


# --- time ---


@pytest.mark.parametrize(
    ("changes", "is_taken"),
    [
        ({"exp": -50}, True),
        ({"exp": -65}, False),
        ({"iat": 50, "nbf": 50}, True),
        ({"iat": 70}, False),
        ({"nbf": 70}, False),
        ({"iat": -12 * HOUR + 60, "nbf": None}, True),
        ({"iat": -12 * HOUR - 1, "nbf": None}, False),
        ({"nbf": None}, True),
    ],
    ids=["just over", "over", "our clock is behind", "from the future", "not yet", "old", "too old", "without nbf"],
)
def test_clocks_may_differ_by_a_minute(person: Admin, changes: dict[str, int | None], is_taken: bool) -> None:
    with time_machine.travel(int(time.time()), tick=False):
        now = int(time.time())
        claims = {name: None if offset is None else now + offset for name, offset in changes.items()}
        reply = person.post_sidebar(sign(person, claims=claims))

    assert reply.status_code == (200 if is_taken else 401)


@pytest.mark.parametrize("nbf", ["soon", True, [], "1"])
def test_a_not_before_that_is_no_instant_is_refused(person: Admin, nbf: object) -> None:
    assert_refused(person, sign(person, claims={"nbf": nbf}))


def test_instants_may_have_fractions(person: Admin) -> None:
    assert person.post_sidebar(sign(person, claims={"exp": time.time() + 60.5})).status_code == 200


def test_an_expired_request_says_what_to_do(person: Admin) -> None:
    reply = person.post_sidebar(sign(person, expired=True))

    assert reply.status_code == 401
    assert "Reload the app in Zendesk" in reply.text


# --- whose it is ---


@pytest.mark.parametrize("issuer", ["acme.zendesk.com", "https://acme.zendesk.com", "ACME.zendesk.com"])
def test_the_issuer_is_the_accounts_host_with_or_without_scheme(person: Admin, issuer: str) -> None:
    assert person.post_sidebar(sign(person, claims={"iss": issuer})).status_code == 200


@pytest.mark.parametrize(
    "issuer",
    [
        "acme",
        "acme.zendesk.com.evil.com",
        "evil.com/acme.zendesk.com",
        "acme.evil.zendesk.com",
        "acme.zendesk.com/",
        "http://acme.zendesk.com",
        "https://https://acme.zendesk.com",
        "user@acme.zendesk.com",
        "acme.zendesk.com:443",
        "acme.zendesk.com\n",
        "acme\n.zendesk.com",
        ".zendesk.com",
        "acme\u3002zendesk.com",
        "globex.zendesk.com",
    ],
)
def test_a_look_alike_of_the_issuer_is_refused(person: Admin, issuer: str) -> None:
    assert_refused(person, sign(person, claims={"iss": issuer}))


@pytest.mark.parametrize("is_list", [False, True], ids=["text", "list of one"])
def test_the_audience_is_an_installation_of_the_same_account(person: Admin, is_list: bool) -> None:
    audience = "https://acme.zendesk.com/api/v2/apps/installations/77.json"
    taken = sign(person, claims={"aud": [audience] if is_list else audience})

    assert person.post_sidebar(taken).status_code == 200


@pytest.mark.parametrize(
    "audience",
    [
        "https://globex.zendesk.com/api/v2/apps/installations/600002.json",
        "https://acme.zendesk.com.evil.com/api/v2/apps/installations/1.json",
        "https://acme.zendesk.com/api/v2/apps/installations/1.json?x",
        "https://acme.zendesk.com/api/v2/apps/installations/1",
        "https://acme.zendesk.com/api/v2/apps/installations/.json",
        "https://acme.zendesk.com/api/v2/apps/installations/1.json\n",
        "https://acme.zendesk.com/api/v2/apps/installations/\u0661.json",
        "http://acme.zendesk.com/api/v2/apps/installations/1.json",
        "https://acme.zendesk.com",
        ["https://acme.zendesk.com/api/v2/apps/installations/1.json"] * 2,
        [],
    ],
)
def test_another_audience_is_refused(person: Admin, audience: object) -> None:
    assert_refused(person, sign(person, claims={"aud": audience}))


def test_an_account_that_is_not_on_the_list_is_refused_before_any_key_is_fetched(make_admin: MakeAdmin) -> None:
    person = make_admin(ZENDESK_SUBDOMAINS="globex")

    assert_refused(person, sign(person), 403, "account_not_allowed")
    assert person.simulator.world.calls() == []


def test_without_a_configured_app_the_page_says_so(make_admin: MakeAdmin) -> None:
    person = make_admin(ZENDESK_APPS=None)

    reply = person.post_sidebar(sign(person))
    assert_refused(person, sign(person), 403, "account_not_allowed")
    assert "no Zendesk app is configured yet" in reply.text


def test_apps_are_configured_by_account(make_admin: MakeAdmin) -> None:
    person = make_admin(ZENDESK_APPS=f"acme:{APP_ID}")

    assert person.post_sidebar(sign(person, "acme", 101)).status_code == 200
    assert_refused(person, sign(person, "globex", 201), 403, "account_not_allowed")


# --- who it is ---


@pytest.mark.parametrize(
    "sub",
    [
        101,
        "101",
        "https://acme.zendesk.com/api/v2/users/101.json",
        "https://acme.zendesk.com/api/v2/users/101",
        "https://ACME.zendesk.com/api/v2/users/101",
    ],
    ids=repr,
)
def test_a_user_is_known_by_number_digits_or_address(person: Admin, sub: object) -> None:
    assert user_of(person, claims={"sub": sub}) == 101


@pytest.mark.parametrize(
    "sub",
    [None, "", 0, -1, True, 1.5, 10**19, "0101", "\u0661", "101\n", "ada@acme.com", [], "https://acme.zendesk.com/users/1"],
    ids=repr,
)  # fmt: skip
def test_a_user_of_another_form_is_unknown(person: Admin, sub: object) -> None:
    assert user_of(person, claims={"sub": sub}) is None


@pytest.mark.parametrize(
    "sub",
    [
        "https://globex.zendesk.com/api/v2/users/101.json",
        "https://evil.com/api/v2/users/101.json",
        "https://acme.zendesk.com.evil.com/api/v2/users/101",
        "https://acme.zendesk.com@evil.com/api/v2/users/101",
        "http://evil.com/https://acme.zendesk.com/api/v2/users/101",
    ],
)
def test_a_user_of_another_host_refuses_the_request(person: Admin, sub: str) -> None:
    assert_refused(person, sign(person, claims={"sub": sub}))
