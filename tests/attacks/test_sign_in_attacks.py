"""Attacks on signing in: handing over sessions, taking sign-ins for grants, claims stolen and played again."""

import json
from typing import Any

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from service.connecting.states import label_of
from service.grants.grants import Grants
from service.people.claims import challenge_of
from tests.attacks.attackers import ACME, SECURE, cookies_of, keys_of, query_of, value_of
from tests.attacks.test_cross_origin import LOOK_ALIKES
from tests.conftest import MakeAdmin
from tests.front_end import FRONT_END, FrontEnd
from tests.seeding import seed
from tests.steps import ORDERS_ONLY, Admin, below_origin, collaborator
from tests.test_sign_in import begin, kept_in, sign_in

pytestmark = pytest.mark.attacks

OTHER = "https://other.example.com"
"""Another front end that the operator lets in."""


@pytest.fixture
def victim(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, with a browser of their own."""
    person = make_admin(**ORDERS_ONLY, ALLOWED_ORIGINS=f"{FRONT_END},{OTHER}", RATE_LIMITS="off")
    seed(person.app, person.simulator, "acme", 101)
    return person


@pytest.fixture
def attacker(make_admin: MakeAdmin, victim: Admin) -> Admin:
    """Somebody else with a browser, on the same service."""
    return make_admin(app=victim.app)


def assert_refused(reply: TestResponse, status: int, code: str) -> None:
    assert reply.status_code == status, reply.text
    assert code in reply.text


# --- nobody gets the session of whoever presses Allow ---


@pytest.mark.parametrize("origin", [*LOOK_ALIKES, "http://127.0.0.1:9001"])
def test_a_form_of_another_page_signs_nobody_in(attacker: Admin, redis: Redis, origin: str) -> None:
    """Device-code phishing (RFC 8628, section 5.4): the page of an attacker begins with a claim of the attacker's."""
    page = FrontEnd(attacker, origin)

    assert_refused(page.begin(), 403, "origin_not_allowed")
    assert keys_of(redis, "zis:signin:*") == []
    assert cookies_of(attacker) == {}


def test_a_form_without_an_origin_is_refused_with_the_reason(attacker: Admin) -> None:
    fields = {"subdomain": "acme", "challenge": challenge_of("c" * 43)}
    for headers in ({}, {"Origin": "null"}):
        reply = attacker.browser.post("/signin", data=fields, headers=headers)
        assert_refused(reply, 403, "origin_not_allowed")
        assert "Referrer-Policy" in reply.text
        assert "sandboxed" in reply.text


def test_a_link_begins_no_sign_in_for_somebody_elses_claim(victim: Admin, attacker: Admin) -> None:
    """A GET with a challenge is a sign-in of the browser that opens it, and of nobody else."""
    claim = "c" * 43
    consent = victim.browser.get(f"/signin?subdomain=acme&challenge={challenge_of(claim)}&origin={FRONT_END}")
    page = victim.come_back(victim.simulator.consent(str(consent.location), 101))

    assert kept_in(page) is not None, "the victim is signed in here"
    assert FrontEnd(attacker).fetch(claim).status_code == 202, "and nobody has anything to fetch"


def test_a_consent_page_that_an_attacker_began_hands_over_nothing(victim: Admin, attacker: Admin) -> None:
    """The attacker posts the form with a forged Origin, and sends the victim the consent page."""
    page = FrontEnd(attacker)
    link = victim.simulator.consent(page.post(), 101)

    assert_refused(victim.come_back(link), 400, "invalid_state")
    assert page.fetch().status_code == 202
    assert [call.path for call in victim.calls("/oauth/tokens", method="POST")] == []


def test_a_sign_ins_cookie_is_one_that_only_this_service_could_set(make_admin: MakeAdmin) -> None:
    """A sibling host could else plant the attacker's own, and have the victim finish his sign-in."""
    person = make_admin(**SECURE, ALLOWED_ORIGINS=FRONT_END)
    fields = {"subdomain": "acme", "challenge": challenge_of("c" * 43)}
    reply = person.browser.post(
        "/signin", data=fields, headers={"Origin": FRONT_END}, base_url="https://zis.example.com"
    )
    (cookie,) = reply.headers.getlist("Set-Cookie")

    assert cookie.startswith(f"__Host-zis-state-{label_of(query_of(str(reply.location))['state'])}=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_the_code_of_a_victims_consent_is_of_no_use_to_an_attacker(victim: Admin, attacker: Admin) -> None:
    """The attacker sees the victim's callback address, and puts its code into a sign-in of his own."""
    code = query_of(victim.simulator.consent(begin(victim), 101))["code"]
    page = FrontEnd(attacker)
    state = query_of(page.post())["state"]

    reply = attacker.browser.get("/oauth/callback", query_string={"state": state, "code": code})
    assert_refused(reply, 400, "invalid_state")
    assert page.fetch().get_json()["code"] == "invalid_state"


def test_a_state_of_a_sign_in_works_once_and_in_its_browser_alone(victim: Admin, attacker: Admin) -> None:
    link = victim.simulator.consent(begin(victim), 101)
    assert_refused(attacker.come_back(link), 400, "invalid_state")
    # Consumed by that: who comes second has to begin again.
    assert_refused(victim.come_back(link), 400, "invalid_state")


def test_an_account_is_fixed_when_a_sign_in_begins(victim: Admin) -> None:
    link = victim.simulator.consent(begin(victim), 101)
    page = victim.browser.get(f"{below_origin(link)}&subdomain=globex&account=globex")

    kept = kept_in(page)
    assert kept is not None
    assert kept["account"] == "acme"
    assert {call.account for call in victim.calls()} == {"acme"}


def test_a_code_of_one_account_is_never_sent_to_another(victim: Admin) -> None:
    acme, globex = begin(victim), begin(victim, "globex")
    code = query_of(victim.simulator.consent(globex, 201))["code"]
    victim.simulator.world.clear_calls()

    query = {"state": query_of(acme)["state"], "code": code}
    assert_refused(victim.browser.get("/oauth/callback", query_string=query), 400, "invalid_state")
    assert {call.account for call in victim.calls()} == {"acme"}


# --- a sign-in is no grant, and a grant no sign-in ---


def test_a_sign_in_never_becomes_a_grant(make_admin: MakeAdmin, redis: Redis) -> None:
    """Not even of an admin who has allowed all that a connection needs."""
    person = make_admin(**ORDERS_ONLY, ZENDESK_SCOPE="zis:read zis:write users:read")
    person.switch(small_scope="invalid_scope")
    again = sign_in(person)
    assert query_of(str(again.location))["scope"] == "zis:read zis:write users:read"
    assert kept_in(person.come_back(person.simulator.consent(str(again.location), 101))) is not None

    assert collaborator(person.app, Grants).get(ACME) is None
    assert person.simulator.world.account("acme").live_tokens() == {}
    assert keys_of(redis, "zis:{acme}*") == []


@pytest.mark.parametrize(("asked", "taken_for"), [("signin", "state"), ("state", "signin")])
def test_no_state_is_taken_for_the_other_kind(victim: Admin, redis: Redis, asked: str, taken_for: str) -> None:
    """With write access to the store a record is moved to where the other kind is looked for."""
    consent = begin(victim) if asked == "signin" else victim.authorize("acme")
    link = victim.simulator.consent(consent, 105)
    query = query_of(link)
    state = query["state"]
    forged = f"signin.{state}" if taken_for == "signin" else state.removeprefix("signin.")
    (key,) = keys_of(redis, f"zis:{asked}:*")
    before = collaborator(victim.app, Grants).get(ACME)
    # The key is a hash of the whole state.
    redis.set(key_of(forged), value_of(redis, key))
    (secret,) = cookies_of(victim).values()
    victim.browser.set_cookie(f"zis-state-{label_of(forged)}", secret)

    reply = victim.browser.get("/oauth/callback", query_string=query | {"state": forged})
    assert_refused(reply, 400, "invalid_state")
    assert collaborator(victim.app, Grants).get(ACME) == before


def key_of(state: str) -> str:
    from service.connecting.states import _state_key  # noqa: PLC0415 - what an attacker who reads the source knows

    return _state_key(state)


def test_a_grants_consent_page_signs_in_whoever_consented(attacker: Admin) -> None:
    """Whose browser began it, or who is signed in there already, says nothing."""
    sign_in(attacker, 102)
    page = attacker.come_back(attacker.simulator.consent(attacker.authorize("acme"), 105))
    kept = kept_in(page)
    assert kept is not None
    attacker.session_token = kept["session_token"]

    assert attacker.status()["user"]["id"] == 105


@pytest.mark.parametrize("user_id", [102, 103])
def test_a_consent_that_connects_nothing_signs_nobody_in(attacker: Admin, user_id: int) -> None:
    page = attacker.come_back(attacker.simulator.consent(attacker.authorize("acme"), user_id))
    assert page.status_code == 403
    assert kept_in(page) is None


def test_a_session_of_a_sign_in_may_no_more_than_one_of_the_sidebar(victim: Admin) -> None:
    kept = kept_in(sign_in(victim, 102))
    assert kept is not None
    victim.session_token = kept["session_token"]

    assert victim.install("escalate_vip_order").get_json()["code"] == "manager_role_required"
    assert victim.disconnect().get_json()["code"] == "manager_role_required"
    assert victim.changes_sent() == []


def test_a_role_that_is_lost_after_a_sign_in_is_lost_here(victim: Admin, redis: Redis) -> None:
    kept = kept_in(sign_in(victim, 105))
    assert kept is not None
    victim.session_token = kept["session_token"]
    victim.simulator.world.account("acme").set_user(105, role="end-user")
    redis.delete("zis:{acme}:role:105")

    assert victim.call("GET", "/job_specs").get_json()["code"] == "agent_required"


# --- claims ---


def test_only_the_origin_that_began_fetches(victim: Admin) -> None:
    page = FrontEnd(victim)
    page.come_back(victim.simulator.consent(page.post(), 101))

    for origin in (OTHER, "null", "", "https://evil.example", "http://localhost:9001"):
        assert page.fetch(origin=origin).status_code == 404, origin
    assert page.fetch().status_code == 200, "the refusals have taken nothing away"


def test_a_challenge_is_no_claim(victim: Admin, attacker: Admin, redis: Redis) -> None:
    """Who reads the store, or the form on its way, has hashes alone."""
    page = FrontEnd(victim)
    page.come_back(victim.simulator.consent(page.post(), 101))
    (key,) = keys_of(redis, "zis:claim:*")

    assert page.claim not in key
    assert page.claim.encode() not in value_of(redis, key)
    for stolen in (challenge_of(page.claim), key.removeprefix("zis:claim:")):
        assert FrontEnd(attacker).fetch(stolen).status_code == 202


def test_what_one_claim_brings_is_not_had_by_another(victim: Admin, attacker: Admin, redis: Redis) -> None:
    """With write access to the store the victim's outcome is copied to where the attacker's is looked for."""
    page, own = FrontEnd(victim), FrontEnd(attacker)
    page.come_back(victim.simulator.consent(page.post(), 101))
    (key,) = keys_of(redis, "zis:claim:*")
    redis.set(f"zis:claim:{challenge_of(own.claim)}", value_of(redis, key))

    assert own.fetch().status_code == 404


def test_a_challenge_that_is_used_again_brings_no_second_session(victim: Admin, attacker: Admin) -> None:
    """The victim's page is made to begin twice with one claim: the first outcome counts, whoever it was."""
    page = FrontEnd(victim)
    assert page.sign_in(user_id=101).status_code == 200
    again = FrontEnd(attacker)
    again.claim = page.claim
    again.come_back(attacker.simulator.consent(again.post(), 102))

    assert again.fetch().status_code == 404


# --- no token in an address ---


def test_no_token_is_in_an_address_and_none_of_zendesks_in_a_page(victim: Admin) -> None:
    page = FrontEnd(victim)
    answers: list[TestResponse] = [page.begin()]
    answers.append(page.come_back(victim.simulator.consent(str(answers[0].location), 101)))
    answers += [page.fetch(), sign_in(victim)]
    sessions: list[Any] = [answers[2].get_json()["session_token"], (kept_in(answers[3]) or {})["session_token"]]

    for answer in answers:
        told = json.dumps(list(answer.headers))
        assert not any(token in told for token in sessions)
    tokens = [token for call in victim.calls(path_contains="/oauth/tokens") for token in [call.path]]
    assert not any(session in path for session in sessions for path in tokens)
    issued = victim.simulator.world.account("acme")
    for token in issued.tokens.values():
        assert not any(token.access_token in answer.text for answer in answers)


def test_who_opens_a_sign_ins_page_again_gets_nothing(victim: Admin) -> None:
    link = victim.simulator.consent(begin(victim), 101)
    assert kept_in(victim.come_back(link)) is not None
    again = victim.come_back(link)

    assert_refused(again, 400, "invalid_state")
    assert again.headers["Cache-Control"] == "no-store"
