"""Sessions shown in the wrong place, after the connection ended, or by a person who is no longer who they were."""

import time
from typing import Any

import pytest
import time_machine

from tests.attacks.attackers import ACME, VIP, bearer
from tests.conftest import MakeAdmin
from tests.steps import Admin

pytestmark = pytest.mark.attacks

FIVE_MINUTES = 301


def code_of(reply: Any) -> tuple[int, str | None]:
    return reply.status_code, reply.get_json().get("code")


@pytest.mark.parametrize(
    "place",
    [
        "query",
        "access_token in the query",
        "cookie",
        "form",
        "json",
        "another header",
        "basic",
        "two schemes",
        "in the path",
    ],
)
def test_a_session_counts_in_its_header_alone(place: str, admin: Admin) -> None:
    """RFC 6750 knows two more places; both end up in logs or can be forged by a form of another site."""
    token, address, options = admin.session_token, "/api/v1/status", {}
    match place:
        case "query":
            address += f"?session_token={token}"
        case "access_token in the query":
            address += f"?access_token={token}"
        case "cookie":
            options = {"headers": {"Cookie": f"session_token={token}; Authorization=Bearer {token}"}}
        case "form":
            options = {"data": {"access_token": token, "session_token": token}}
        case "json":
            options = {"json": {"access_token": token, "session_token": token}}
        case "another header":
            options = {"headers": {"X-Authorization": f"Bearer {token}", "Proxy-Authorization": f"Bearer {token}"}}
        case "basic":
            options = {"headers": {"Authorization": f"Basic {token}"}}
        case "two schemes":
            options = {"headers": {"Authorization": f"Basic x, Bearer {token}"}}
        case _:
            address += f"/{token}"

    assert admin.browser.get(address, **options).status_code == (404 if place == "in the path" else 401)


def test_after_a_disconnect_a_session_shows_and_changes_nothing(admin: Admin) -> None:
    kept = bearer(admin)
    assert admin.disconnect().get_json() == {"revoked": True}
    admin.simulator.world.clear_calls()
    browser = admin.app.test_client()

    listed = browser.get("/api/v1/job_specs", headers=kept)
    changed = browser.post(f"/api/v1/job_specs/{VIP}/install", headers=kept)
    again = browser.delete("/api/v1/connection", headers=kept)
    assert [code_of(listed), code_of(changed)] == [(409, "authorization_required")] * 2
    assert again.get_json() == {"revoked": False}
    assert admin.simulator.world.calls() == []
    assert admin.simulator.world.account("acme").live_tokens() == {}


def test_a_session_from_before_a_reconnection_is_only_who_it_was(admin: Admin, make_admin: MakeAdmin) -> None:
    agent = make_admin(app=admin.app)
    agent.open_sidebar("acme", 102)
    assert admin.disconnect().status_code == 200
    admin.connect("acme", 105)

    assert agent.status()["user"] == {"id": 102, "role": "agent", "can_manage": False, "reason": None}
    assert code_of(agent.install(VIP)) == (403, "manager_role_required")


@pytest.mark.parametrize(
    ("changes", "may_look"),
    [
        ({"role": "agent"}, True),
        ({"role": "end-user"}, False),
        ({"suspended": True}, False),
        ({"active": False}, False),
    ],
    ids=["agent", "end user", "suspended", "deleted"],
)
def test_a_manager_who_is_none_any_more_is_found_out_in_five_minutes(
    changes: dict[str, Any], may_look: bool, admin: Admin
) -> None:
    """Between a look and a change, between a renewal and the next: the session carries no right."""
    admin.open_sidebar("acme", 105)
    assert admin.status()["user"]["can_manage"]
    admin.simulator.world.account("acme").set_user(105, **changes)
    admin.simulator.world.clear_calls()
    with time_machine.travel(time.time() + FIVE_MINUTES, tick=True):
        admin.session_token = admin.call("POST", "/session").get_json()["session_token"]
        assert code_of(admin.install(VIP)) == (403, "manager_role_required")
        assert code_of(admin.disconnect()) == (403, "manager_role_required")
        assert code_of(admin.disconnect("?uninstall=true")) == (403, "manager_role_required")
        assert admin.call("GET", "/job_specs").status_code == (200 if may_look else 403)
        assert admin.status()["user"]["can_manage"] is False
    assert admin.changes_sent() == []
    assert admin.calls("/oauth/tokens", method="DELETE") == []


def test_who_becomes_a_manager_is_one_at_once_or_in_five_minutes(admin: Admin) -> None:
    """The other direction, so that the tests above are not kept by refusing everybody."""
    admin.open_sidebar("acme", 102)
    assert admin.status()["user"]["can_manage"] is False
    admin.simulator.world.account("acme").set_user(102, role="admin")
    with time_machine.travel(time.time() + FIVE_MINUTES, tick=True):
        assert admin.install(VIP).status_code == 200


@pytest.mark.parametrize(
    "told", [{"acc": "globex"}, {"account": "globex"}, {"sub": 101}, {"user_id": 101}, {"exp": 9_999_999_999}]
)
@pytest.mark.parametrize("form", ["json", "data"])
def test_a_renewal_takes_nobodys_word_for_who_asks(told: dict[str, Any], form: str, admin: Admin) -> None:
    admin.open_sidebar("acme", 102)
    fresh = admin.call("POST", "/session", **{form: told}).get_json()
    admin.session_token = fresh["session_token"]

    assert (admin.status()["account"], admin.status()["user"]["id"]) == ("acme", 102)
    assert fresh["expires_in"] <= 900


def test_a_renewed_session_needs_an_account_that_is_still_allowed(make_admin: MakeAdmin) -> None:
    person = make_admin()
    person.open_sidebar("acme", 101)
    shrunk = make_admin(ZENDESK_SUBDOMAINS="globex")

    reply = shrunk.browser.post("/api/v1/session", headers=bearer(person))
    assert code_of(reply) == (403, "account_not_allowed")
    assert "session_token" not in reply.text


def test_a_handshakes_cookie_is_no_session(admin: Admin) -> None:
    """The service has one kind of cookie, and it opens nothing but its own callback."""
    admin.authorize("acme")
    assert admin.browser.get("/api/v1/status").status_code == 401
    assert admin.browser.delete("/api/v1/connection").status_code == 401
    assert admin.simulator.world.account(ACME).live_tokens() != {}
