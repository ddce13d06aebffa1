"""Every route has a guard, but for the public ones named here."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask

from tests.conftest import MakeAdmin, MakeApp

# The contract's list; /metrics has a guard of its own.
PUBLIC = re.compile(
    r"/|/oauth/.*|/signin|/console|/zendesk-app\.zip|/api/v1/session/claim|/sidebar|/livez|/readyz|/openapi\.json|/docs|/static/<path:filename>|/favicon\.ico|/robots\.txt|/metrics"
)


def guarded_routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Return (method, path) of every route that is not public."""
    for rule in app.url_map.iter_rules():
        if not PUBLIC.fullmatch(rule.rule):
            for method in sorted(rule.methods or ()):
                yield method, re.sub(r"<[^>]+>", "track_parcel", rule.rule)


def test_every_route_that_is_not_public_refuses_whoever_shows_no_session(make_app: MakeApp) -> None:
    app = make_app(RATE_LIMITS="off")
    browser = app.test_client()
    answers = {(method, path): browser.open(path, method=method) for method, path in guarded_routes(app)}

    known = {"/api/v1/status", "/api/v1/session", "/api/v1/connection", "/api/v1/activity", "/api/v1/job_specs"}
    assert known <= {path for _, path in answers}
    for route, reply in answers.items():
        assert reply.status_code == 401, route
        assert reply.headers["WWW-Authenticate"] == "Bearer", route


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer a.b.c", "Basic YTpi", "bearer\tx", "Bearer e30.e30.", "Bearer \xe9"],
)
def test_no_other_authorization_passes(make_app: MakeApp, authorization: str) -> None:
    app = make_app(RATE_LIMITS="off")
    browser = app.test_client()

    for method, path in guarded_routes(app):
        reply = browser.open(path, method=method, headers={"Authorization": authorization})
        assert reply.status_code == 401, (method, path)


def test_a_session_of_an_account_taken_off_the_list_is_refused_everywhere(make_admin: MakeAdmin) -> None:
    person = make_admin()
    person.connect("acme")
    app = make_admin(ZENDESK_SUBDOMAINS="globex").app
    browser = app.test_client()
    person.simulator.world.clear_calls()

    for method, path in guarded_routes(app):
        reply = browser.open(path, method=method, headers={"Authorization": f"Bearer {person.session_token}"})
        assert reply.status_code == 403, (method, path)
        if method != "HEAD":
            assert reply.get_json()["code"] == "account_not_allowed"
    assert person.simulator.world.calls() == []


def test_the_allow_list_is_checked_before_the_parameters(make_admin: MakeAdmin) -> None:
    person = make_admin()
    person.open_sidebar("acme")
    browser = make_admin(ZENDESK_SUBDOMAINS="globex").browser
    headers = {"Authorization": f"Bearer {person.session_token}"}

    for path in ("/api/v1/session?unknown=1", "/api/v1/session"):
        assert browser.post(path, headers=headers).get_json()["code"] == "account_not_allowed"
    assert browser.get("/api/v1/status?unknown=1", headers=headers).get_json()["code"] == "account_not_allowed"
    assert person.call("GET", "/status?unknown=1").get_json()["code"] == "invalid_request"
    assert person.call("POST", "/session?unknown=1").get_json()["code"] == "invalid_request"


def test_a_bearer_is_known_in_any_case(make_admin: MakeAdmin) -> None:
    person = make_admin()
    person.open_sidebar("acme")
    reply = person.browser.get("/api/v1/status", headers={"Authorization": f"bEARER   {person.session_token} "})

    assert reply.status_code == 200
