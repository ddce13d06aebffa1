"""Our own short-lived bearer: renewed for twelve hours, by no other key, and no other kind of token passes for it."""

import base64
import json
import time
from typing import Any

import pytest
import time_machine
from joserfc import jws
from joserfc.jwk import OctKey
from werkzeug.test import TestResponse

from service.ground.errors import Unauthenticated
from service.people.sessions import RENEWABLE_SECONDS, SESSION_SECONDS, Sessions
from service.store.vault import derive_keys
from tests.conftest import MakeAdmin
from tests.steps import PUBLIC_URL, SECRET_KEYS, Admin, collaborator

FIRST, SECOND = SECRET_KEYS.split(",")
REGISTRY = jws.JWSRegistry(algorithms=["HS256", "HS512", "none"], strict_check_header=False)


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    person = make_admin()
    person.open_sidebar("acme", 101)
    return person


def asked(person: Admin, token: str) -> TestResponse:
    return person.browser.get("/api/v1/status", headers={"Authorization": f"Bearer {token}"})


def renewed(person: Admin, token: str) -> TestResponse:
    return person.browser.post("/api/v1/session", headers={"Authorization": f"Bearer {token}"})


def forge(key: OctKey, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
    """Return a token like ours, but for the members given; None removes one."""
    now = int(time.time())
    usual_header = {"alg": "HS256", "typ": "zis-session+jwt", "kid": derive_keys((FIRST,), "session")[0].kid}
    usual = {"iss": PUBLIC_URL, "acc": "acme", "sub": 101, "auth_time": now, "exp": now + SESSION_SECONDS}
    head = {name: value for name, value in (usual_header | (header or {})).items() if value is not None}
    return jws.serialize_compact(head, json.dumps(usual | (claims or {})), key, registry=REGISTRY)


def own_key(secret: str = FIRST, purpose: str = "session") -> OctKey:
    return derive_keys((secret,), purpose)[0].oct_key


def test_the_forgery_of_these_tests_passes_with_the_right_key(person: Admin) -> None:
    assert asked(person, forge(own_key())).status_code == 200


def test_a_session_says_who_asks_and_nothing_of_what_they_may(person: Admin) -> None:
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in person.session_token.split(".")[:2])

    assert header["alg"] == "HS256"
    assert header["typ"] == "zis-session+jwt"
    assert set(claims) == {"iss", "acc", "sub", "ins", "auth_time", "exp"}
    assert (claims["acc"], claims["sub"]) == ("acme", 101)


def test_a_session_lasts_fifteen_minutes(person: Admin) -> None:
    now = time.time()
    with time_machine.travel(now + SESSION_SECONDS - 5):
        assert asked(person, person.session_token).status_code == 200
    with time_machine.travel(now + SESSION_SECONDS + 1):
        reply = asked(person, person.session_token)
    assert reply.status_code == 401
    assert reply.get_json()["code"] == "unauthenticated"
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("age_seconds", [0, SESSION_SECONDS + 1, RENEWABLE_SECONDS - 5])
def test_a_session_valid_or_expired_is_traded_for_a_fresh_one(person: Admin, age_seconds: int) -> None:
    with time_machine.travel(int(time.time()) + age_seconds, tick=False):
        reply = renewed(person, person.session_token)
        assert reply.status_code == 200
        fresh = reply.get_json()
        assert set(fresh) == {"session_token", "expires_at", "expires_in"}
        assert 0 < fresh["expires_in"] <= SESSION_SECONDS
        assert asked(person, fresh["session_token"]).get_json()["user"]["id"] == 101


def test_no_renewal_reaches_past_twelve_hours_after_the_signed_request(person: Admin) -> None:
    signed_at = int(time.time())
    with time_machine.travel(signed_at + RENEWABLE_SECONDS - 60, tick=False) as clock:
        fresh = renewed(person, person.session_token).get_json()
        assert fresh["expires_in"] <= 60
        clock.shift(70)
        assert asked(person, fresh["session_token"]).status_code == 401
        reply = renewed(person, fresh["session_token"])
    assert reply.status_code == 401
    assert "more than 12 hours" in reply.get_json()["detail"]


def test_the_twelve_hours_count_from_the_signed_request_and_not_from_opening_the_page(person: Admin) -> None:
    now = int(time.time())
    with time_machine.travel(now, tick=False):
        person.open_sidebar("acme", 101, claims={"iat": now - RENEWABLE_SECONDS + 100, "nbf": None})
        assert person.call("POST", "/session").get_json()["expires_in"] == 100


def test_renewing_needs_neither_redis_nor_zendesk(person: Admin, make_admin: MakeAdmin) -> None:
    other = make_admin(REDIS_URL="redis://127.0.0.1:1/0")
    person.simulator.world.clear_calls()

    assert renewed(other, person.session_token).status_code == 200
    assert person.simulator.world.calls() == []


def test_an_unknown_user_stays_unknown(person: Admin) -> None:
    person.open_sidebar("acme", 101, claims={"sub": None})
    fresh = renewed(person, person.session_token).get_json()["session_token"]

    assert asked(person, fresh).get_json()["user"]["id"] is None


def test_a_session_and_its_successors_know_the_installation_they_were_opened_in(person: Admin) -> None:
    sessions = collaborator(person.app, Sessions)
    fresh = renewed(person, person.session_token).get_json()["session_token"]

    known = person.simulator.world.account("acme").installation_id
    assert [sessions.read(token).installation_id for token in (person.session_token, fresh)] == [known, known]


def test_a_token_of_a_release_that_did_not_note_the_installation_is_read_and_renewed(person: Admin) -> None:
    sessions = collaborator(person.app, Sessions)
    fresh = renewed(person, forge(own_key())).get_json()["session_token"]

    assert [sessions.read(token).installation_id for token in (forge(own_key()), fresh)] == [None, None]


def test_after_a_rotation_the_old_key_still_reads_and_the_new_one_writes(person: Admin, make_admin: MakeAdmin) -> None:
    new = "a-newer-key-of-the-session-tests-0123456789"
    rotated = make_admin(SECRET_KEYS=f"{new},{FIRST}")

    assert asked(rotated, person.session_token).status_code == 200
    fresh = renewed(rotated, person.session_token).get_json()["session_token"]
    assert asked(person, fresh).status_code == 401
    assert asked(make_admin(SECRET_KEYS=new), fresh).status_code == 200


@pytest.mark.parametrize(
    ("secret", "purpose"),
    [("a-foreign-key-of-the-tests-0123456789abcdef", "session"), (FIRST, "seal"), (SECOND, "session")],
    ids=["foreign key", "the sealing key", "another entry under the first one's id"],
)
def test_a_token_under_another_key_is_refused(person: Admin, secret: str, purpose: str) -> None:
    token = forge(own_key(secret, purpose))

    assert [asked(person, token).status_code, renewed(person, token).status_code] == [401, 401]


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"kid": None},
        {"kid": "000000000000"},
        {"kid": derive_keys((SECOND,), "session")[0].kid},
        {"alg": "HS512"},
    ],
    ids=repr,
)
def test_a_header_that_is_not_ours_is_refused(person: Admin, header: dict[str, Any]) -> None:
    token = forge(OctKey.import_key(b"k" * 64) if "alg" in header else own_key(), header)

    assert [asked(person, token).status_code, renewed(person, token).status_code] == [401, 401]


def test_an_unsigned_token_is_refused(person: Admin) -> None:
    _, payload, _ = person.session_token.split(".")
    kid = derive_keys((FIRST,), "session")[0].kid
    head = json.dumps({"alg": "none", "typ": "zis-session+jwt", "kid": kid}).encode()
    token = f"{base64.urlsafe_b64encode(head).rstrip(b'=').decode()}.{payload}."

    assert asked(person, token).status_code == 401


@pytest.mark.parametrize(
    "change", [{"sub": 105}, {"acc": "globex"}, {"exp": 9_999_999_999}, {"auth_time": 9_999_999_999}]
)
def test_tampered_claims_are_refused(person: Admin, change: dict[str, Any]) -> None:
    header, payload, signature = person.session_token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "==")) | change
    tampered = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()

    assert asked(person, f"{header}.{tampered}.{signature}").status_code == 401


def test_a_token_of_another_deployment_is_refused(person: Admin, make_admin: MakeAdmin) -> None:
    other = make_admin(PUBLIC_URL="http://localhost:9002")

    assert asked(other, person.session_token).status_code == 401


def test_zendesks_token_is_no_session_and_a_session_is_no_signed_request(person: Admin) -> None:
    signed = person.simulator.sign("acme", 101)

    assert [asked(person, signed).status_code, renewed(person, signed).status_code] == [401, 401]
    assert person.post_sidebar(person.session_token).status_code == 401


@pytest.mark.parametrize("crit", [["exp"], "exp", 5, None, [5], [{}], {}], ids=repr)
def test_a_critical_extension_is_refused(person: Admin, crit: object) -> None:
    head = {"alg": "HS256", "typ": "zis-session+jwt", "kid": derive_keys((FIRST,), "session")[0].kid, "crit": crit}
    encoded = base64.urlsafe_b64encode(json.dumps(head).encode()).rstrip(b"=").decode()

    assert asked(person, f"{encoded}.e30.c2ln").status_code == 401


@pytest.mark.parametrize("depth", [1, 700])
def test_a_deeply_nested_header_is_refused(person: Admin, depth: int) -> None:
    head = base64.urlsafe_b64encode(b"[" * depth + b"]" * depth).rstrip(b"=").decode()

    assert asked(person, f"{head}.e30.c2ln").status_code == 401


@pytest.mark.parametrize("part", range(3), ids=["header", "claims", "signature"])
def test_a_token_that_was_let_in_before_vouches_for_no_other(person: Admin, part: int) -> None:
    assert asked(person, person.session_token).status_code == 200
    parts = person.session_token.split(".")
    parts[part] = ("A" if parts[part][0] != "A" else "B") + parts[part][1:]

    assert asked(person, ".".join(parts)).status_code == 401
    assert asked(person, person.session_token).status_code == 200


def test_a_token_of_other_letters_than_ascii_is_refused(person: Admin) -> None:
    with pytest.raises(Unauthenticated):
        collaborator(person.app, Sessions).read(person.session_token + "é")
