"""Attacks on the handshake: states fixed, stolen, raced and put back; codes injected; accounts mixed up."""

import re

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from sandbox.simulator.messages import json_reply
from service.connecting.states import label_of
from service.grants.grants import Grants
from tests.attacks.attackers import ACME, GLOBEX, SECURE, cookies_of, keys_of, query_of, value_of
from tests.conftest import MakeAdmin
from tests.endpoint import Endpoint
from tests.steps import Admin, below_origin, collaborator
from tests.workers import at_once

pytestmark = pytest.mark.attacks


@pytest.fixture
def victim(make_admin: MakeAdmin) -> Admin:
    return make_admin()


@pytest.fixture
def attacker(make_admin: MakeAdmin, victim: Admin) -> Admin:
    """Somebody else with a browser, on the same service."""
    return make_admin(app=victim.app)


def call_back(person: Admin, **query: str) -> TestResponse:
    return person.browser.get("/oauth/callback", query_string=query)


def tokens_asked(person: Admin) -> int:
    return len(person.calls("/oauth/tokens", method="POST")) - len(person.calls("/api/v2/oauth/tokens", method="POST"))


def assert_refused(reply: TestResponse, code: str = "invalid_state", status: int = 400) -> None:
    assert reply.status_code == status, reply.text
    assert code in reply.text


# --- login CSRF and fixation ---


def test_an_attackers_finished_consent_connects_nothing_in_a_victims_browser(victim: Admin, attacker: Admin) -> None:
    """Login CSRF: the link is opened by a victim who has attempts of his own under way."""
    for account in ("acme", "globex"):
        victim.authorize(account)
    link = attacker.simulator.consent(attacker.authorize("acme"), 101)

    assert_refused(victim.come_back(link))
    assert collaborator(victim.app, Grants).get(ACME) is None
    assert tokens_asked(victim) == 0
    assert victim.simulator.world.account("acme").live_tokens() == {}
    assert len(cookies_of(victim)) == 2, "the victim's own attempts go on"


def test_a_cookie_that_anybody_below_the_domain_could_set_is_not_the_browsers(make_admin: MakeAdmin) -> None:
    """Fixation: a sibling host plants the attacker's own cookie; only `__Host-` says that it came from here."""
    attacker, victim = make_admin(**SECURE), make_admin(**SECURE)
    reply = attacker.browser.get("/oauth/authorize?subdomain=acme", base_url="https://zis.example.com")
    state = query_of(reply.location or "")["state"]
    ((name, secret),) = cookies_of(attacker).items()
    assert name == f"__Host-zis-state-{label_of(state)}"

    victim.browser.set_cookie(name.removeprefix("__Host-"), secret, domain="zis.example.com")
    query = {"state": state, "error": "access_denied"}
    planted = victim.browser.get("/oauth/callback", query_string=query, base_url="https://zis.example.com")
    assert_refused(planted)


def test_the_cookie_that_came_from_here_is_the_browsers(make_admin: MakeAdmin) -> None:
    """The other half: with its prefix the same cookie is taken, and Zendesk's refusal is read."""
    person = make_admin(**SECURE)
    reply = person.browser.get("/oauth/authorize?subdomain=acme", base_url="https://zis.example.com")
    query = {"state": query_of(reply.location or "")["state"], "error": "access_denied"}

    own = person.browser.get("/oauth/callback", query_string=query, base_url="https://zis.example.com")
    assert_refused(own, "access_denied", 403)


@pytest.mark.parametrize("state", ["chosen-by-the-attacker", "0" * 43, "A" * 43])
def test_a_state_of_the_attackers_choice_is_none(victim: Admin, state: str) -> None:
    reply = victim.browser.get(f"/oauth/authorize?subdomain=acme&state={state}")
    assert query_of(reply.location or "")["state"] != state
    victim.browser.set_cookie(f"zis-state-{label_of(state)}", "secret")

    assert_refused(call_back(victim, state=state, code="x"))


def test_who_reads_the_store_has_no_state(victim: Admin, redis: Redis) -> None:
    """States are kept under their hash, sealed, and useless without the browser's own secret."""
    victim.authorize("acme")
    (key,) = keys_of(redis, "zis:state:*")
    stolen = [key, key.removeprefix("zis:state:"), value_of(redis, key).decode()]

    for state in stolen:
        victim.browser.set_cookie(f"zis-state-{label_of(state)}", next(iter(cookies_of(victim).values())))
        assert_refused(call_back(victim, state=state, code="x"))
    assert redis.exists(key) == 1
    assert tokens_asked(victim) == 0


def test_a_state_put_back_after_its_use_brings_no_second_exchange_of_the_code(victim: Admin, redis: Redis) -> None:
    """Somebody who can write to the store, and kept the browser's cookie, plays the whole callback again."""
    link = victim.simulator.consent(victim.authorize("acme"), 101)
    (key,) = keys_of(redis, "zis:state:*")
    record, cookies = value_of(redis, key), cookies_of(victim)
    assert victim.come_back(link).status_code == 200
    stored = collaborator(victim.app, Grants).get(ACME)
    redis.set(key, record)
    for name, value in cookies.items():
        victim.browser.set_cookie(name, value)

    # Zendesk takes a code once.
    assert_refused(victim.come_back(link), "authorization_required", 409)
    assert collaborator(victim.app, Grants).get(ACME) == stored


def test_the_record_of_one_state_is_not_taken_for_anothers(victim: Admin, attacker: Admin, redis: Redis) -> None:
    """With write access to the store the attacker's record, bound to his own browser, stands in the victim's place."""
    victims = victim.authorize("acme")
    (place,) = keys_of(redis, "zis:state:*")
    attacker.authorize("globex")
    (record,) = set(keys_of(redis, "zis:state:*")) - {place}
    redis.set(place, value_of(redis, record))

    assert_refused(victim.come_back(victim.simulator.consent(victims, 101)))
    assert tokens_asked(victim) == 0


# --- codes ---


def test_a_code_of_another_handshake_is_worthless(victim: Admin, attacker: Admin) -> None:
    """Code injection: it belongs to another challenge (RFC 7636), although account and client are the same."""
    link = victim.simulator.consent(victim.authorize("acme"), 101)
    injected = query_of(attacker.simulator.consent(attacker.authorize("acme"), 105))["code"]

    assert_refused(call_back(victim, state=query_of(link)["state"], code=injected), "authorization_required", 409)
    assert collaborator(victim.app, Grants).get(ACME) is None
    assert victim.simulator.world.account("acme").live_tokens() == {}


@pytest.mark.parametrize(
    "value", ["../../users/me", "x&grant_type=client_credentials", "x\r\nHost: evil", "é\U0001f600", "\0"]
)
def test_a_code_is_sent_as_one_field_whatever_is_in_it(value: str, make_admin: MakeAdmin) -> None:
    endpoint = Endpoint(json_reply(400, {"error": "invalid_grant"}))
    try:
        victim = make_admin(ZENDESK_URL_TEMPLATE=endpoint.template)
        state = query_of(victim.authorize("acme"))["state"]
        assert_refused(call_back(victim, state=state, code=value), "authorization_required", 409)
        form = endpoint.form()
        assert (form["code"], form["grant_type"]) == (value, "authorization_code")
        assert [request.target for request in endpoint.requests] == ["/a/acme/oauth/tokens"]
    finally:
        endpoint.stop()


# --- mixed-up accounts ---


@pytest.mark.parametrize("name", ["subdomain", "account", "redirect_uri", "client_id", "scope", "code_verifier"])
def test_nothing_in_the_callbacks_address_chooses_the_account(victim: Admin, name: str) -> None:
    link = victim.simulator.consent(victim.authorize("acme"), 101)

    assert victim.browser.get(f"{below_origin(link)}&{name}=globex").status_code == 200
    assert {call.account for call in victim.calls()} == {"acme"}
    assert collaborator(victim.app, Grants).get(GLOBEX) is None


def test_a_state_of_one_account_brings_no_code_to_another(victim: Admin) -> None:
    acme = victim.authorize("acme")
    globex = victim.authorize("globex")
    code = query_of(victim.simulator.consent(globex, 201))["code"]
    victim.simulator.world.clear_calls()

    assert_refused(call_back(victim, state=query_of(acme)["state"], code=code), "authorization_required", 409)
    assert {call.account for call in victim.calls()} == {"acme"}
    assert victim.simulator.world.account("globex").live_tokens() == {}


# --- races ---


def test_of_handshakes_that_end_at_once_one_grant_is_left_and_no_other_token(make_admin: MakeAdmin) -> None:
    """Four admins press Allow at the same moment: whoever is stored last stays, the others' tokens are revoked."""
    first = make_admin(ZIS_INTEGRATIONS="{subdomain}_orders")
    people = [first, *(make_admin(app=first.app) for _ in range(3))]
    links = [
        person.simulator.consent(person.authorize("acme"), 101 + 4 * (number % 2))
        for number, person in enumerate(people)
    ]

    pages = at_once(4, lambda number: people[number].come_back(links[number]).status_code)
    assert pages == [200] * 4
    grant = collaborator(first.app, Grants).get(ACME)
    assert grant is not None
    first.settle()
    live = first.simulator.world.account("acme").live_tokens()
    assert live["job_specs_sidebar"] == 1
    assert set(live) <= {"job_specs_sidebar", "zis_acme_orders"}
    assert live.get("zis_acme_orders", 0) <= 1
    assert first.simulator.world.account("acme").bearer(grant.access_token) is not None


def test_the_consent_address_asks_for_the_code_flow_with_a_hashed_challenge(victim: Admin) -> None:
    """Nothing in the request weakens what is asked of Zendesk."""
    query = "subdomain=acme&response_type=token&code_challenge_method=plain&scope=impersonate&client_id=evil"
    asked = query_of(victim.browser.get(f"/oauth/authorize?{query}").location or "")

    assert (asked["response_type"], asked["code_challenge_method"], asked["scope"]) == ("code", "S256", "read write")
    assert asked["client_id"] == "job_specs_sidebar"
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", asked["code_challenge"])


@pytest.mark.parametrize("query", ["subdomain=acme&subdomain=globex", "subdomain=globex&subdomain=acme"])
def test_two_accounts_in_one_address_are_none(victim: Admin, redis: Redis, query: str) -> None:
    assert_refused(victim.browser.get(f"/oauth/authorize?{query}"), "invalid_request")
    assert redis.keys("zis:state:*") == []
