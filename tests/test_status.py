"""What the sidebar is told of the person, the connection and the integrations."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from redis import Redis
from werkzeug.test import TestResponse

from service.grants.access_tokens import AccessTokens
from service.grants.grants import Grants
from service.ground.deadlines import Deadline
from service.ground.errors import AccountGone
from service.ground.subdomains import Subdomain
from service.ground.timestamps import parse_timestamp
from tests.conftest import MakeAdmin
from tests.operations.console import run
from tests.steps import DIRECT, PUBLIC_URL, Admin, collaborator, is_at_work, wait_until
from tests.stored_grants import change_grant

ACME = Subdomain("acme")
LATER_SECONDS = 1801
INTEGRATIONS = ["acme_archive", "acme_orders", "acme_shipping"]


def connection(admin: Admin) -> tuple[str, str | None]:
    told = admin.status()["connection"]
    return told["state"], told["reason"]


def states(admin: Admin) -> dict[str, str]:
    return {one["name"]: one["state"] for one in admin.status()["integrations"]}


# --- the connection ---


def test_connected_says_by_whom_and_until_when(admin: Admin) -> None:
    body = admin.status()
    assert (body["account"], body["authorize_url"]) == ("acme", f"{PUBLIC_URL}/oauth/authorize?subdomain=acme")
    told = body["connection"]
    assert (told["state"], told["reason"], told["scope"]) == ("connected", None, "read write")
    assert told["authorized_by"] == {"id": 101, "name": "Ada Morgan"}
    instants = [told["authorized_at"], told["access_token_expires_at"], told["refresh_token_expires_at"]]
    assert instants == sorted(instants)
    assert all(instant.endswith("Z") for instant in instants)


def test_not_connected_says_so_and_asks_nobody(make_admin: MakeAdmin) -> None:
    admin = make_admin()
    admin.open_sidebar("acme", 101)
    admin.simulator.world.clear_calls()
    body = admin.status()
    assert body["user"] == {"id": 101, "role": None, "can_manage": False, "reason": "not_connected"}
    assert body["connection"] == {
        "state": "not_connected",
        "reason": None,
        "authorized_at": None,
        "authorized_by": None,
        "scope": None,
        "access_token_expires_at": None,
        "refresh_token_expires_at": None,
    }
    assert body["integrations"] == [{"name": name, "state": "unknown", "detail": None} for name in INTEGRATIONS]
    assert admin.calls() == []


def test_a_token_without_end_has_none(make_admin: MakeAdmin) -> None:
    admin = make_admin()
    admin.switch(token_lifetime="never")
    admin.connect("acme")
    told = admin.status()["connection"]
    assert (told["access_token_expires_at"], told["refresh_token_expires_at"]) == (None, None)


@pytest.mark.parametrize("reason", ["grant_revoked", "refresh_outcome_unknown", "not_refreshable"])
def test_a_dead_grant_says_why(reason: str, admin: Admin) -> None:
    change_grant(admin, dead=reason)
    admin.simulator.world.clear_calls()
    assert connection(admin) == ("reauthorization_required", reason)
    assert admin.status()["connection"]["authorized_by"] == {"id": 101, "name": "Ada Morgan"}
    assert admin.calls() == []


def test_a_revoked_grant_is_found_out_by_a_list(admin: Admin) -> None:
    with time_machine.travel(time.time() + LATER_SECONDS, tick=True):
        admin.open_sidebar()
        admin.simulator.world.account("acme").revoke_grants()
        admin.list_fresh()
        assert connection(admin) == ("reauthorization_required", "grant_revoked")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"refresh_token": None}, "not_refreshable"), ({"refresh_token_expires_at": -5.0}, "refresh_token_expired")],
)
def test_a_grant_past_its_end_says_so_without_asking(fields: dict[str, Any], reason: str, admin: Admin) -> None:
    past = {name: value and time.time() + value for name, value in {"expires_at": -10.0, **fields}.items()}
    change_grant(admin, **past)
    admin.simulator.world.clear_calls()
    assert connection(admin) == ("reauthorization_required", reason)
    assert admin.calls() == []


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [({"ZENDESK_CLIENT_ID": "another"}, "reauthorization_required", "client_changed"),
     ({"ZENDESK_SCOPE": "read write zis:read"}, "connected", "scope_changed"),
     ({"SECRET_KEYS": "another-key-of-the-tests-0123456789abcdef"}, "reauthorization_required", "key_missing")],
    ids=["client", "scope", "key"],
)  # fmt: skip
@pytest.mark.usefixtures("admin")
def test_other_settings_say_what_they_mean_for_the_grant(
    changes: dict[str, str], state: str, reason: str, make_admin: MakeAdmin
) -> None:
    other = make_admin(**changes)
    other.open_sidebar("acme", 105)
    assert connection(other) == (state, reason)
    assert other.status()["user"]["can_manage"] is (state == "connected")


def test_an_admin_who_lost_the_role_is_shown_until_a_list_succeeds(admin: Admin) -> None:
    admin.open_sidebar("acme", 105)
    admin.simulator.world.account("acme").set_user(101, role="agent")
    assert admin.list_fresh("?integration=acme_orders").get_json()["code"] == "admin_required"
    assert connection(admin) == ("reauthorization_required", "admin_lost")
    assert states(admin)["acme_orders"] == "forbidden"
    admin.simulator.world.account("acme").set_user(101, role="admin")
    admin.list_fresh("?integration=acme_orders")
    assert connection(admin) == ("connected", None)


@pytest.mark.parametrize("found_by", ["list", "role", "refresh", "install", "uninstall", "disconnect"])
def test_an_account_that_is_gone_is_told_without_asking_until_a_list_succeeds(found_by: str, admin: Admin) -> None:
    account = admin.simulator.world.account("acme")
    # The app's key is at hand from then on.
    admin.open_sidebar()
    # Zendesk has named the person then, and what follows asks for no role.
    assert admin.status()["user"]["can_manage"]
    account.renamed_to = "acme-new"
    qualified = "zis:acme_orders:job_spec:escalate_vip_order"
    changes: dict[str, Callable[[], TestResponse]] = {
        "install": lambda: admin.install(qualified),
        "uninstall": lambda: admin.uninstall(qualified),
        "disconnect": admin.disconnect,
    }
    if found_by in changes:
        assert changes[found_by]().get_json()["code"] == "account_gone"
    elif found_by == "list":
        assert admin.list_fresh().get_json()["code"] == "account_gone"
    elif found_by == "role":
        admin.open_sidebar("acme", 105)
        assert admin.install("order_number_changed").get_json()["code"] == "account_gone"
    else:
        change_grant(admin, expires_at=time.time() - 1)
        grant = collaborator(admin.app, Grants).get(ACME)
        assert grant is not None
        with pytest.raises(AccountGone):
            collaborator(admin.app, AccessTokens).refresh_now(ACME, grant, Deadline.after(20))
    told = admin.status()
    assert told["connection"]["state"] == "reauthorization_required"
    assert told["connection"]["reason"] == "account_gone"
    assert told["authorize_url"] is None
    # Nothing is forgotten.
    assert told["connection"]["authorized_by"] == {"id": 101, "name": "Ada Morgan"}
    account.renamed_to = None
    if found_by != "refresh":
        assert admin.list_fresh("?integration=acme_orders").status_code == 200
        assert connection(admin) == ("connected", None)
        assert admin.status()["authorize_url"] is not None


@pytest.mark.parametrize("reason", ["account_gone", "grant_revoked"])
def test_what_the_question_for_the_role_shows_of_the_connection_is_in_the_same_answer(
    reason: str, admin: Admin
) -> None:
    if reason == "account_gone":
        admin.simulator.world.account("acme").renamed_to = "acme-new"
    else:
        change_grant(admin, expires_at=time.time() - 1)
        admin.meets({"where": "token", "kind": "oauth_error", "error": "invalid_grant"})
    told = admin.status()
    assert told["connection"]["state"] == "reauthorization_required"
    assert told["connection"]["reason"] == reason
    assert (told["authorize_url"] is None) == (reason == "account_gone")


def test_the_end_of_a_token_that_was_refreshed_to_ask_for_the_role_is_the_new_ones(admin: Admin) -> None:
    change_grant(admin, expires_at=time.time() - 1)
    ends = parse_timestamp(admin.status()["connection"]["access_token_expires_at"])
    assert ends is not None
    assert ends > time.time()


def test_a_refresh_that_succeeds_takes_back_that_the_account_is_gone_and_says_nothing_of_its_admin(
    admin: Admin, redis: Redis
) -> None:
    redis.mset({"zis:{acme}:account_gone": "1", "zis:{acme}:admin_lost": "1"})
    assert connection(admin) == ("reauthorization_required", "account_gone")
    grant = collaborator(admin.app, Grants).get(ACME)
    assert grant is not None
    collaborator(admin.app, AccessTokens).refresh_now(ACME, grant, Deadline.after(20))
    assert connection(admin) == ("reauthorization_required", "admin_lost")


def test_an_account_that_is_gone_and_whose_grant_has_ended_is_gone_and_nobody_is_sent_there(admin: Admin) -> None:
    assert admin.status()["user"]["can_manage"]
    admin.simulator.world.account("acme").renamed_to = "acme-new"
    admin.list_fresh()
    change_grant(admin, dead="grant_revoked")
    assert connection(admin) == ("reauthorization_required", "account_gone")
    for reply in (
        admin.call("GET", "/job_specs"),
        admin.list_fresh(),
        admin.install("zis:acme_orders:job_spec:escalate_vip_order"),
        admin.disconnect("?uninstall=true"),
    ):
        assert (reply.status_code, reply.get_json()["code"]) == (409, "account_gone")
        assert "authorize_url" not in reply.get_json()
        assert "under that name" in reply.get_json()["detail"]
    told = run(admin.app, "job-specs", "list", "--account", "acme")
    assert told.status == 1
    assert "oauth/authorize" not in told.out + told.err
    # It is a dead grant all the same, and just forgotten.
    assert admin.disconnect().get_json() == {"revoked": False}
    assert connection(admin) == ("not_connected", None)
    assert admin.call("GET", "/job_specs").get_json()["authorize_url"] is not None


def test_the_page_of_an_account_that_is_gone_offers_no_address_to_connect_at(admin: Admin, redis: Redis) -> None:
    redis.set("zis:{acme}:account_gone", "1")
    assert admin.open_sidebar()["authorize_url"] is None
    # Nothing is known of it once it is forgotten.
    admin.disconnect()
    redis.set("zis:{acme}:account_gone", "1")
    assert admin.open_sidebar()["authorize_url"] == f"{PUBLIC_URL}/oauth/authorize?subdomain=acme"


# --- the person ---


@pytest.mark.parametrize(
    ("user_id", "role", "can_manage"),
    [(101, "admin", True), (102, "agent", False), (103, "end-user", False), (104, "agent", False)],
)
def test_the_person_is_described_by_zendesk(user_id: int, role: str, can_manage: bool, admin: Admin) -> None:
    admin.open_sidebar("acme", user_id)
    admin.simulator.world.clear_calls()
    assert admin.status()["user"] == {"id": user_id, "role": role, "can_manage": can_manage, "reason": None}
    assert [call.path for call in admin.calls()] == [f"/api/v2/users/{user_id}"]


def test_a_person_zendesk_does_not_name_is_unknown(admin: Admin) -> None:
    admin.open_sidebar("acme", 101, claims={"sub": "somebody"})
    assert admin.status()["user"] == {"id": None, "role": None, "can_manage": False, "reason": "user_unknown"}


def test_the_last_role_stands_in_while_zendesk_fails(admin: Admin) -> None:
    admin.status()
    admin.meets({"where": "users", "kind": "http_500_text"})
    with time_machine.travel(time.time() + 600, tick=True):
        assert admin.status()["user"] == {"id": 101, "role": "admin", "can_manage": True, "reason": None}


def test_without_any_answer_zendesk_is_named(admin: Admin) -> None:
    admin.meets({"where": "users", "kind": "http_500_text"})
    told = admin.status()["user"]
    assert told == {"id": 101, "role": None, "can_manage": False, "reason": "zendesk_unavailable"}


def status_without_patience(admin: Admin) -> dict[str, Any]:
    """Return the status that comes after a moment's wait for the role, not after three seconds'."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.people.roles.LOOK_SECONDS", 0.1)
        return admin.status()


def test_a_hanging_zendesk_is_waited_for_three_seconds_at_most(admin: Admin) -> None:
    admin.meets({"where": "all", "kind": "hang"})
    told = status_without_patience(admin)
    assert told["user"]["reason"] == "zendesk_unavailable"
    assert told["connection"]["state"] == "connected"
    # Still being asked, for whoever comes next.
    admin.simulator.world.wait_until_held(1)
    assert is_at_work(admin.app)
    admin.meets()
    wait_until(lambda: not is_at_work(admin.app))
    admin.simulator.world.clear_calls()
    assert admin.status()["user"]["role"] == "admin"
    assert admin.calls() == []


def test_after_a_quiet_hour_the_role_is_known_at_the_first_look(admin: Admin) -> None:
    with time_machine.travel(time.time() + LATER_SECONDS, tick=True):
        admin.open_sidebar("acme", 105)
        assert admin.status()["user"] == {"id": 105, "role": "admin", "can_manage": True, "reason": None}
    assert len(admin.calls(grant_type="refresh_token")) == 1


def test_a_slow_refresh_goes_on_and_serves_the_next_look(admin: Admin) -> None:
    with time_machine.travel(time.time() + LATER_SECONDS, tick=True):
        admin.open_sidebar("acme", 105)
        admin.meets({"where": "token", "kind": "hold", "after_effect": True})
        assert status_without_patience(admin)["user"]["reason"] == "zendesk_unavailable"
        admin.simulator.world.wait_until_held(1)
        admin.meets()
        wait_until(lambda: not is_at_work(admin.app))
        assert admin.status()["user"]["role"] == "admin"
    assert len(admin.calls(grant_type="refresh_token")) == 1


# --- the integrations ---


@pytest.mark.parametrize(
    ("kind", "state", "detail"),
    [("mismatch", "mismatch", "Authorization failed due to integration mismatch"),
     ("http_404", "not_registered", "Not found"),
     ("http_403_admin", "forbidden", "Only admin user is allowed"),
     ("http_403_scope", "forbidden", "Missing the following required scopes: read"),
     ("http_500_zis", "unavailable", "Something went wrong"),
     ("http_429", "unavailable", "Number of allowed API requests per minute exceeded"),
     ("oauth_error", "unavailable", "A simulated refusal.")],
)  # fmt: skip
@pytest.mark.parametrize("cache_seconds", ["15", "0"])
def test_an_integrations_state_is_learnt_from_its_lists(
    kind: str, state: str, detail: str, cache_seconds: str, make_admin: MakeAdmin
) -> None:
    admin = make_admin(LIST_CACHE_SECONDS=cache_seconds)
    admin.connect("acme")
    assert states(admin) == dict.fromkeys(INTEGRATIONS, "ready")
    admin.meets({"where": "registry:acme_orders", "kind": kind})
    admin.list_fresh()
    told = {one["name"]: one for one in admin.status()["integrations"]}
    assert told["acme_orders"] == {"name": "acme_orders", "state": state, "detail": detail}
    assert told["acme_archive"]["state"] == "ready"
    admin.meets()
    admin.list_fresh()
    assert states(admin)["acme_orders"] == "ready"


@pytest.mark.parametrize("kind", ["http_401_html", "http_403_html", "http_404_html", "http_404_text"])
def test_a_gateways_page_says_nothing_of_the_admin_the_token_or_the_integration(kind: str, admin: Admin) -> None:
    admin.meets({"where": "all", "kind": kind})
    reply = admin.list_fresh()
    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")
    assert "upstream_detail" not in reply.get_json()
    told = admin.status()
    assert (told["connection"]["state"], told["connection"]["reason"]) == ("connected", None)
    assert {one["state"] for one in told["integrations"]} == {"unavailable"}
    assert "<" not in str(told["integrations"])
    assert admin.calls(grant_type="refresh_token") == []
    admin.meets()
    assert admin.list_fresh().status_code == 200


def test_another_403_is_forbidden(admin: Admin) -> None:
    admin.meets({"where": "registry:acme_orders", "kind": "no_json_error", "status": 403})
    admin.list_fresh()
    assert states(admin)["acme_orders"] == "forbidden"


def test_an_integration_without_a_client_is_not_registered(make_admin: MakeAdmin) -> None:
    admin = make_admin(ZIS_INTEGRATIONS="{subdomain}_orders,{subdomain}_nothing")
    admin.connect("acme")
    assert states(admin) == {"acme_orders": "ready", "acme_nothing": "not_registered"}


def test_direct_mode_has_one_integration(make_admin: MakeAdmin) -> None:
    admin = make_admin(**DIRECT)
    admin.connect("acme")
    assert states(admin) == {"acme_orders": "ready"}


def test_what_was_learnt_is_forgotten_with_the_account(admin: Admin, redis: Redis) -> None:
    assert redis.exists("zis:{acme}:probes")
    admin.disconnect()
    assert states(admin) == dict.fromkeys(INTEGRATIONS, "unknown")


@pytest.mark.parametrize("query", ["?verbose=1", "?account=globex"])
def test_status_takes_no_parameters(query: str, admin: Admin) -> None:
    reply = admin.call("GET", f"/status{query}")
    assert (reply.status_code, reply.get_json()["code"]) == (400, "invalid_request")
    assert admin.call("GET", "/status").headers["Cache-Control"] == "no-store"
