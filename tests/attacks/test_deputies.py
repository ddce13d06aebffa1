"""The confused deputy: who may do what, by route, verb and kind of person; a new route has to be added here."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from sandbox.simulator import Simulator
from service.grants.grants import Grants
from tests.attacks.attackers import ACME, GLOBEX, VIP
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import Admin, collaborator

pytestmark = pytest.mark.attacks

PEOPLE = {
    "stranger": ("acme", None),
    "end user": ("acme", 103),
    "suspended agent": ("acme", 104),
    "agent": ("acme", 102),
    "somebody unknown": ("acme", 999),
    "manager": ("acme", 105),
    "manager of another account": ("globex", 201),
}
"""Who asks: the account and user their signed request names; a stranger has none."""


def everybody(status: int) -> tuple[int, ...]:
    return (status,) * len(PEOPLE)


#                stranger, end user, suspended, agent, unknown, manager, other's manager
WITH_A_SESSION = (401, 200, 200, 200, 200, 200, 200)
LOOKERS = (401, 403, 403, 200, 403, 200, 200)
# The job spec and the grant are acme's: nobody else's manager finds the one, and only ends his own of the other.
CHANGERS = (401, 403, 403, 403, 403, 200, 404)
# Of a document that names nothing.
PLANNERS = (401, 403, 403, 403, 403, 200, 200)
DISCONNECTERS = (401, 403, 403, 403, 403, 200, 200)

ROUTES: dict[str, dict[str, tuple[int, ...]]] = {
    "/": {"GET HEAD OPTIONS": everybody(200)},
    "/robots.txt": {"GET HEAD OPTIONS": everybody(200)},
    "/favicon.ico": {"GET HEAD": everybody(204), "OPTIONS": everybody(200)},
    "/static/<path:filename>": {"GET HEAD OPTIONS": everybody(200)},
    "/livez": {"GET HEAD OPTIONS": everybody(200)},
    "/readyz": {"GET HEAD OPTIONS": everybody(200)},
    "/openapi.json": {"GET HEAD OPTIONS": everybody(200)},
    "/docs": {"GET HEAD OPTIONS": everybody(200)},
    "/oauth/authorize": {"GET HEAD": everybody(302), "OPTIONS": everybody(200)},
    "/oauth/callback": {"GET HEAD": everybody(400), "OPTIONS": everybody(200)},
    "/zendesk-app.zip": {"GET HEAD OPTIONS": everybody(200)},
    "/console": {"GET HEAD OPTIONS": everybody(200)},
    "/signin": {"GET HEAD": everybody(302), "POST": everybody(403), "OPTIONS": everybody(200)},
    "/sidebar": {"GET HEAD": everybody(405), "POST": everybody(401), "OPTIONS": everybody(200)},
    "/api/v1/session": {"POST OPTIONS": WITH_A_SESSION},
    "/api/v1/session/claim": {"POST": everybody(404), "OPTIONS": everybody(200)},
    "/api/v1/status": {"GET HEAD OPTIONS": WITH_A_SESSION},
    "/api/v1/activity": {"GET HEAD": LOOKERS, "OPTIONS": WITH_A_SESSION},
    "/api/v1/job_specs": {"GET HEAD": LOOKERS, "OPTIONS": WITH_A_SESSION},
    "/api/v1/job_specs/install": {"POST DELETE": CHANGERS, "OPTIONS": WITH_A_SESSION},
    "/api/v1/job_specs/<name>/install": {"POST DELETE": CHANGERS, "OPTIONS": WITH_A_SESSION},
    "/api/v1/job_specs/plan": {"POST": PLANNERS, "OPTIONS": WITH_A_SESSION},
    "/api/v1/job_specs/apply": {"POST": PLANNERS, "OPTIONS": WITH_A_SESSION},
    "/api/v1/connection": {"DELETE": DISCONNECTERS, "OPTIONS": WITH_A_SESSION},
}
ADDRESSES = {
    "/oauth/authorize": "/oauth/authorize?subdomain=acme",
    "/signin": "/signin?subdomain=acme",
    "/static/<path:filename>": "/static/sidebar.css",
    "/api/v1/job_specs/install": f"/api/v1/job_specs/install?job_spec_name={VIP}",
    "/api/v1/job_specs/<name>/install": f"/api/v1/job_specs/{VIP}/install",
}
"""Where a route needs more than its rule."""
BODIES: dict[str, dict[str, object]] = {f"/api/v1/job_specs/{verb}": {"integrations": {}} for verb in ("plan", "apply")}
"""What a route is sent where it wants a document."""

Open = Callable[[str, str], int]


def routes_of(app: Flask) -> set[tuple[str, str]]:
    return {(rule.rule, method) for rule in app.url_map.iter_rules() for method in rule.methods or ()}


def expected(person: str) -> dict[tuple[str, str], int]:
    """Return the status for that person by rule and method."""
    place = list(PEOPLE).index(person)
    return {
        (rule, method): statuses[place]
        for rule, by_methods in ROUTES.items()
        for methods, statuses in by_methods.items()
        for method in methods.split()
    }


@pytest.fixture
def both(make_admin: MakeAdmin) -> Admin:
    """Acme and globex, connected by their admins."""
    person = make_admin(RATE_LIMITS="off")
    person.connect("globex")
    person.connect("acme")
    return person


def calls_of(app: Flask, simulator: Simulator, person: str) -> Open:
    """Return how that person calls an address."""
    account, user_id = PEOPLE[person]
    caller = Admin(app, simulator)
    headers = {}
    if user_id is not None:
        caller.open_sidebar(account, user_id)
        headers = {"Authorization": f"Bearer {caller.session_token}"}
    browser = app.test_client()

    def call(method: str, path: str) -> int:
        return browser.open(path, method=method, headers=headers, json=BODIES.get(path), buffered=True).status_code

    return call


def test_no_route_is_without_an_expectation(make_app: MakeApp) -> None:
    named = set(expected("stranger"))

    assert routes_of(make_app()) - named == set(), "a new route: say in ROUTES who may use it"
    assert named - routes_of(make_app()) == set(), "a route that is no more"


@pytest.mark.parametrize("person", PEOPLE)
def test_everybody_gets_what_is_theirs_and_no_more(person: str, both: Admin) -> None:
    call = calls_of(both.app, both.simulator, person)
    both.simulator.world.clear_calls()
    # What ends the connection comes last.
    table = sorted(expected(person).items(), key=lambda one: one[0] == ("/api/v1/connection", "DELETE"))
    answered = {route: call(route[1], ADDRESSES.get(route[0], route[0])) for route, _ in table}

    assert answered == expected(person)
    grants = collaborator(both.app, Grants)
    ended = {"manager": {"acme"}, "manager of another account": {"globex"}}.get(person, set())
    assert [name for _, name in both.changes_sent()] == ([VIP] * 4 if person == "manager" else [])
    assert {account for account in (ACME, GLOBEX) if grants.get(account) is None} == ended
    assert {call.account for call in both.calls("/api/v2/oauth/tokens", method="DELETE")} == ended


@pytest.mark.parametrize("person", PEOPLE)
def test_no_other_verb_does_anything(person: str, both: Admin) -> None:
    call = calls_of(both.app, both.simulator, person)
    both.simulator.world.clear_calls()
    verbs = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "INSTALL"}
    others = {(rule, verb) for rule in ROUTES for verb in verbs} - set(expected(person))

    assert len(others) > 100
    assert {call(verb, ADDRESSES.get(rule, rule)) for rule, verb in others} == {405}
    assert both.simulator.world.calls() == []


@pytest.mark.parametrize(
    "query", ["?integration=acme_orders", "?integration=globex_orders", "?account=acme", "?subdomain=acme"]
)
def test_no_parameter_leads_into_another_account(query: str, both: Admin) -> None:
    both.open_sidebar("globex", 201)
    both.simulator.world.clear_calls()
    replies = [both.call("GET", f"/job_specs{query}"), both.install(VIP, query), both.uninstall(VIP, query)]

    for reply in replies[query == "?integration=globex_orders" :]:
        assert reply.status_code in {400, 404}
        assert "escalate_vip_order_flow" not in reply.text
    assert {call.account for call in both.calls()} <= {"globex"}
    assert both.changes_sent() == []


@pytest.mark.parametrize("place", ["header", "cookie", "form", "json"])
def test_no_other_place_of_a_request_names_the_account(place: str, both: Admin) -> None:
    both.open_sidebar("globex", 201)
    places: dict[str, dict[str, Any]] = {
        "header": {"headers": {"X-Zendesk-Subdomain": "acme", "X-Account": "acme", "X-User-Id": "101"}},
        "cookie": {"headers": {"Cookie": "account=acme; subdomain=acme; session=acme"}},
        "form": {"data": {"account": "acme", "subdomain": "acme", "user_id": "101"}},
        "json": {"json": {"account": "acme", "acc": "acme", "sub": 101}},
    }
    answer = both.call("GET", "/status", **places[place]).get_json()

    assert (answer["account"], answer["user"]["id"]) == ("globex", 201)
    assert all(one["name"].startswith("globex_") for one in answer["integrations"])


def test_the_grant_s_own_rights_are_nobody_s(both: Admin) -> None:
    """The admin's grant may do everything; an agent who asks through it may do what an agent may."""
    both.open_sidebar("acme", 102)
    status = both.status()

    assert status["connection"]["authorized_by"]["id"] == 101
    assert status["user"] == {"id": 102, "role": "agent", "can_manage": False, "reason": None}
    assert both.install(VIP).get_json()["code"] == "manager_role_required"
    assert not both.has_installed("acme_orders", "escalate_vip_order")
