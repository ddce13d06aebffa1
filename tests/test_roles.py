"""Who may change: a recent answer of Zendesk about the person, never the browser's word."""

import json
import time
from typing import Any

import pytest
import time_machine
from redis import Redis
from werkzeug.test import TestResponse

from service.store.vault import Vault
from tests.conftest import MakeAdmin
from tests.steps import DIRECT, Admin, collaborator
from tests.workers import at_once

NAME = "zis:acme_orders:job_spec:escalate_vip_order"
ROLE = "zis:{acme}:role:"


def outcome(reply: TestResponse) -> tuple[int, str | None]:
    return reply.status_code, reply.get_json().get("code")


def connected(make_admin: MakeAdmin, **changes: str | None) -> Admin:
    admin = make_admin(**changes)
    admin.connect("acme")
    admin.simulator.world.clear_calls()
    return admin


@pytest.mark.parametrize("user_id", [102, 103, 104, 999], ids=["agent", "end user", "suspended", "unknown"])
@pytest.mark.parametrize("path", ["/job_specs/{}/install", "/connection"])
def test_only_an_admin_may_change(user_id: int, path: str, admin: Admin) -> None:
    admin.open_sidebar("acme", user_id)
    admin.simulator.world.clear_calls()
    refused = admin.call("DELETE", path.format(NAME))
    assert outcome(refused) == (403, "manager_role_required")
    assert admin.changes_sent() == []
    assert [(call.method, call.path) for call in admin.calls()] == [("GET", f"/api/v2/users/{user_id}")]


def test_manager_roles_can_admit_agents(make_admin: MakeAdmin) -> None:
    admin = connected(make_admin, MANAGER_ROLES="agent")
    for user_id, expected in ((102, 200), (101, 200), (103, 403), (104, 403)):
        admin.open_sidebar("acme", user_id)
        assert admin.install(NAME).status_code == expected


def test_a_named_manager_needs_no_admins_role(make_admin: MakeAdmin) -> None:
    admin = connected(make_admin, MANAGER_USER_IDS="acme:102,globex:103")
    admin.simulator.world.account("acme").set_user(102, role_type=1)
    admin.open_sidebar("acme", 102)
    assert admin.install(NAME).status_code == 200
    assert admin.status()["user"] == {"id": 102, "role": "agent", "can_manage": True, "reason": None}
    admin.open_sidebar("acme", 103)
    assert outcome(admin.install(NAME)) == (403, "manager_role_required")


@pytest.mark.parametrize(
    ("user_id", "changes", "words"),
    [(103, {}, "you are an end user"), (105, {"suspended": True}, "you are a suspended admin"),
     (999, {}, "nobody of your user id")],
    ids=["end user", "suspended admin", "nobody"],
)  # fmt: skip
def test_whoever_is_outside_may_nothing_whatever_list_they_are_on_and_is_told_why(
    user_id: int, changes: dict[str, Any], words: str, make_admin: MakeAdmin
) -> None:
    admin = connected(make_admin, MANAGER_USER_IDS="acme:103,acme:105,acme:999")
    if changes:
        admin.simulator.world.account("acme").set_user(user_id, **changes)
    admin.open_sidebar("acme", user_id)
    replies = [admin.install(NAME), admin.uninstall(NAME), admin.disconnect()]
    replies += [admin.call("GET", path) for path in ("/job_specs", "/activity")]
    assert [outcome(reply) for reply in replies] == [(403, "manager_role_required")] * 3 + [(403, "agent_required")] * 2
    for reply in replies:
        detail = reply.get_json()["detail"]
        assert words in detail
        assert ("change your role" in detail) == (user_id == 103)
    assert admin.status()["user"]["can_manage"] is False
    assert admin.changes_sent() == []


def test_a_named_manager_whom_zendesk_called_suspended_does_not_come_back_by_a_refusal_to_say(
    make_admin: MakeAdmin,
) -> None:
    admin = connected(make_admin, MANAGER_USER_IDS="acme:104")
    admin.open_sidebar("acme", 104)
    assert outcome(admin.install(NAME)) == (403, "manager_role_required")
    admin.meets({"where": "users", "kind": "http_403_scope"})
    with time_machine.travel(time.time() + 600, tick=True):
        admin.open_sidebar("acme", 104)
        assert outcome(admin.install(NAME)) == (403, "manager_role_required")
    assert admin.changes_sent() == []


def test_while_zendesk_is_away_a_named_manager_waits_like_everybody(make_admin: MakeAdmin) -> None:
    admin = connected(make_admin, MANAGER_USER_IDS="acme:102")
    admin.open_sidebar("acme", 102)
    admin.meets({"where": "users", "kind": "http_500_text"})
    assert admin.status()["user"]["can_manage"] is False
    assert outcome(admin.install(NAME)) == (502, "zendesk_unavailable")
    assert admin.changes_sent() == []


@pytest.mark.parametrize(
    ("kind", "may"),
    [
        ({}, True),
        ({"role_type": 1}, False),
    ],
    ids=str,
)
def test_of_agents_only_full_ones_may_be_managers(kind: dict[str, Any], may: bool, make_admin: MakeAdmin) -> None:
    admin = connected(make_admin, MANAGER_ROLES="agent")
    admin.simulator.world.account("acme").set_user(102, **kind)
    admin.open_sidebar("acme", 102)
    reply = admin.install(NAME)
    assert admin.status()["user"]["can_manage"] is may
    if may:
        assert reply.status_code == 200
    else:
        assert outcome(reply) == (403, "manager_role_required")
        assert "light agent" in reply.get_json()["detail"]
    assert admin.call("GET", "/job_specs").status_code == 200


def test_an_agent_whose_kind_an_older_release_did_not_keep_is_asked_about(make_admin: MakeAdmin, redis: Redis) -> None:
    admin = connected(make_admin, MANAGER_ROLES="agent")
    vault = collaborator(admin.app, Vault)
    older = {"role": "agent", "name": "Ben Okafor", "is_active": True, "asked_at": time.time()}
    redis.set(ROLE + "102", vault.seal(ROLE + "102", json.dumps(older).encode()))
    admin.open_sidebar("acme", 102)
    assert admin.install(NAME).status_code == 200


def test_a_known_role_disconnects_nothing_while_zendesk_cannot_be_asked(admin: Admin) -> None:
    admin.status()
    with time_machine.travel(time.time() + 6 * 3600, tick=True):
        admin.open_sidebar("acme", 101)
        admin.meets({"where": "users", "kind": "http_500_text"})
        assert outcome(admin.disconnect()) == (502, "zendesk_unavailable")
    admin.meets()
    assert admin.status()["connection"]["state"] == "connected"
    assert admin.calls("/oauth/tokens", method="DELETE") == []


@pytest.mark.parametrize("sub", ["somebody", None, True, "https://globex.zendesk.com.evil/api/v2/users/101"])
def test_whoever_zendesk_does_not_name_may_not_change(sub: Any, admin: Admin) -> None:
    token = admin.simulator.sign("acme", 101, claims={"sub": sub})
    if admin.post_sidebar(token).status_code == 200:
        admin.open_sidebar("acme", 101, claims={"sub": sub})
        admin.simulator.world.clear_calls()
        assert outcome(admin.install(NAME)) == (403, "manager_role_required")
    assert admin.changes_sent() == []


def test_an_answer_of_five_minutes_counts_and_an_older_one_is_asked_again(admin: Admin) -> None:
    admin.open_sidebar("acme", 105)
    admin.install(NAME)
    admin.simulator.world.account("acme").set_user(105, role="agent")
    with time_machine.travel(time.time() + 290, tick=True):
        assert admin.uninstall(NAME).status_code == 200
    admin.simulator.world.clear_calls()
    with time_machine.travel(time.time() + 301, tick=True):
        assert outcome(admin.install(NAME)) == (403, "manager_role_required")
    assert len(admin.calls("/api/v2/users/105")) == 1
    assert admin.changes_sent() == []


def test_an_answer_kept_by_a_machine_whose_clock_is_ahead_is_asked_again(admin: Admin) -> None:
    admin.open_sidebar("acme", 105)
    with time_machine.travel(time.time() + 600, tick=True):
        assert admin.install(NAME).status_code == 200
    admin.simulator.world.account("acme").set_user(105, role="agent")
    admin.simulator.world.clear_calls()
    assert outcome(admin.uninstall(NAME)) == (403, "manager_role_required")
    assert len(admin.calls("/api/v2/users/105")) == 1
    assert admin.changes_sent() == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("http_500_text", (502, "zendesk_unavailable")), ("http_403_html", (502, "zendesk_unavailable")),
     ("account_gone", (409, "account_gone")), ("wrong_types", (502, "zendesk_unavailable"))],
)  # fmt: skip
def test_where_the_role_cannot_be_asked_its_error_is_the_answer(
    kind: str, expected: tuple[int, str], admin: Admin, redis: Redis
) -> None:
    redis.delete(ROLE + "101")
    admin.meets({"where": "users", "kind": kind})
    assert outcome(admin.install(NAME)) == expected
    assert admin.changes_sent() == []


@pytest.mark.parametrize("answer", ["401", "403", "404"])
def test_a_grant_that_may_not_read_users_lets_nobody_change_but_named_managers(
    answer: str, make_admin: MakeAdmin
) -> None:
    admin = make_admin(**DIRECT)
    admin.switch(zis_token_on_api_v2=answer)
    admin.connect("acme")
    refused = admin.install(NAME)
    assert outcome(refused) == (403, "manager_role_required")
    assert "MANAGER_USER_IDS" in refused.get_json()["detail"]
    assert admin.status()["user"] == {"id": 101, "role": None, "can_manage": False, "reason": "users_not_readable"}
    assert len(admin.job_specs()["job_specs"]) == 6
    named = make_admin(**DIRECT, MANAGER_USER_IDS="acme:101")
    named.session_token = admin.session_token
    assert named.install(NAME).status_code == 200


def test_a_remembered_role_that_somebody_forged_is_not_believed(admin: Admin, redis: Redis) -> None:
    admin.install(NAME)
    admin.open_sidebar("acme", 102)
    redis.set(ROLE + "102", redis.get(ROLE + "101") or b"")
    assert outcome(admin.install(NAME)) == (403, "manager_role_required")


def test_many_who_look_at_once_ask_for_the_role_once(admin: Admin) -> None:
    admin.open_sidebar("acme", 105)
    admin.meets({"where": "users", "kind": "slow", "seconds": 0.2})
    headers = {"Authorization": f"Bearer {admin.session_token}"}
    replies = at_once(20, lambda _: admin.app.test_client().get("/api/v1/status", headers=headers))
    assert {reply.get_json()["user"]["role"] for reply in replies} == {"admin"}
    assert len(admin.calls("/api/v2/users/105")) == 1


# --- our own limits ---


@pytest.mark.parametrize(("kind", "user_id"), [("changes", 105), ("lists", 105)])
def test_sixty_a_minute_and_user(kind: str, user_id: int, make_admin: MakeAdmin) -> None:
    admin = connected(make_admin)

    def ask() -> TestResponse:
        if kind == "lists":
            return admin.list_fresh("?integration=acme_shipping")
        return admin.install("zis:acme_shipping:job_spec:nobody")

    expected = 200 if kind == "lists" else 404
    assert {ask().status_code for _ in range(60)} == {expected}
    refused = ask()
    assert outcome(refused) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "upstream_status" not in refused.get_json()
    assert admin.call("GET", "/job_specs").status_code == 200
    admin.open_sidebar("acme", user_id)
    assert ask().status_code == expected


def test_rate_limits_off_counts_nothing(make_admin: MakeAdmin) -> None:
    admin = connected(make_admin, RATE_LIMITS="off")
    statuses = {admin.install("zis:acme_shipping:job_spec:nobody").status_code for _ in range(62)}
    assert statuses == {404}
