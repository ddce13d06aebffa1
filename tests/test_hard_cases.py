"""What an attack on the whole found: each case ends as a person would expect."""

import json
import socket
import time
from collections.abc import Callable

import pytest
import time_machine
from redis import Redis

from service.grants.access_tokens import AccessTokens
from service.grants.grants import Grants
from service.grants.pending_pairs import PendingPairs
from service.ground.deadlines import Deadline
from service.ground.errors import AuthorizationRequired, InvalidRequest, ServiceError, ZendeskUnavailable
from service.ground.settings import Settings, SettingsError
from service.ground.subdomains import Subdomain
from service.zendesk.replies import Reply
from service.zendesk.users import ZendeskUser
from service.zendesk.zis_registry import _next_cursor, parse_name
from tests.conftest import MakeAdmin
from tests.steps import Admin, below_origin, collaborator
from tests.stored_grants import expire
from tests.workers import LiveService, at_once

ACME = Subdomain("acme")


@pytest.mark.parametrize("status", ["http_404", "http_403_scope"])
def test_an_outsider_stays_out_when_zendesk_no_longer_says_who_they_are(status: str, admin: Admin) -> None:
    admin.open_sidebar("acme", 103)
    assert admin.call("GET", "/job_specs").get_json()["code"] == "agent_required"
    admin.meets({"where": "users", "kind": status})
    with time_machine.travel(time.time() + 400):
        assert admin.call("POST", "/session").status_code == 200
        assert admin.call("GET", "/job_specs").get_json()["code"] == "agent_required"
    admin.meets()
    assert admin.call("GET", "/job_specs").get_json()["code"] == "agent_required"


def test_a_revocation_nobody_needs_holds_up_nobody_else(make_admin: MakeAdmin) -> None:
    admin = make_admin(LIST_CACHE_SECONDS="0", ZIS_INTEGRATIONS="{subdomain}_orders")
    admin.connect("acme")
    admin.status()
    account = admin.simulator.world.account("acme")
    with time_machine.travel(time.time() + 120):
        account.expire_access_tokens("zis_acme_orders")
        admin.meets({"where": "revoke", "kind": "hang"})

        def call(number: int) -> int:
            if number == 0:
                return admin.call("GET", "/job_specs").status_code
            admin.simulator.world.wait_until_held(1)
            # The first caller is held by its revocation; the token it minted serves already.
            status = admin.call("GET", "/job_specs").status_code
            admin.simulator.release()
            return status

        assert at_once(2, call) == [200, 200]


def test_a_hurried_caller_does_not_decide_for_one_with_time(make_admin: MakeAdmin) -> None:
    admin = make_admin(ZIS_INTEGRATIONS="{subdomain}_orders")
    admin.connect("acme")
    admin.status()
    admin.simulator.world.account("acme").expire_access_tokens("zis_acme_orders")
    expire(admin)
    with time_machine.travel(time.time() + 120):
        hurried = admin.call("GET", "/job_specs", headers={"X-Request-Start": str(int((time.time() - 14) * 1000))})
        assert hurried.get_json()["code"] == "zendesk_timeout"
        assert admin.call("GET", "/job_specs").status_code == 200


def test_without_a_cache_an_older_release_s_list_is_not_shown(make_admin: MakeAdmin) -> None:
    before = make_admin(ZIS_INTEGRATIONS="{subdomain}_orders")
    before.connect("acme")
    before.job_specs()
    after = make_admin(ZIS_INTEGRATIONS="{subdomain}_orders", LIST_CACHE_SECONDS="0")
    after.open_sidebar("acme")
    after.meets({"where": "list", "kind": "http_500_text"})
    assert after.call("GET", "/job_specs").get_json()["code"] == "zendesk_unavailable"


@pytest.mark.parametrize("seconds", ["0", "15"])
def test_a_full_store_still_lists(seconds: str, make_admin: MakeAdmin, redis: Redis) -> None:
    admin = make_admin(LIST_CACHE_SECONDS=seconds)
    admin.connect("acme")
    redis.config_set("maxmemory", 1)
    try:
        assert len(admin.job_specs()["job_specs"]) == 260
    finally:
        redis.config_set("maxmemory", 0)


@pytest.mark.parametrize("url", ["http://[", "https://", "https://globex/", "//", "", "http://acme.zendesk.com:x/"])
def test_an_odd_address_of_a_user_names_no_account(url: str) -> None:
    body = json.dumps({"user": {"id": 1, "role": "admin", "url": url}}).encode()
    assert ZendeskUser.from_reply(Reply(200, {}, body)).account in {None, "acme"}


def test_a_cursor_that_cannot_be_sent_is_unreadable() -> None:
    with pytest.raises(ZendeskUnavailable):
        _next_cursor({"meta": {"has_more": True, "after": "\ud800"}})


def test_a_refresh_that_was_not_sent_is_not_a_lost_answer(admin: Admin, redis: Redis) -> None:
    expire(admin)
    admin.meets({"where": "token", "kind": "redirect", "times": 1})
    tokens = collaborator(admin.app, AccessTokens)
    with pytest.raises(ServiceError):
        tokens.get(ACME, Deadline.after(25))
    redis.delete("zis:{acme}:cool_down")
    admin.simulator.world.account("acme").revoke_grants()
    with pytest.raises(ServiceError):
        tokens.get(ACME, Deadline.after(25))
    assert admin.status()["connection"]["reason"] == "grant_revoked"


def test_an_account_taken_off_the_list_does_not_finish_connecting(make_admin: MakeAdmin) -> None:
    admin = make_admin()
    location = admin.simulator.consent(admin.authorize("acme"), 101)
    shrunk = make_admin(ZENDESK_SUBDOMAINS="globex")
    for cookie in (admin.browser.get_cookie(name) for name in _cookies(admin)):
        assert cookie is not None
        shrunk.browser.set_cookie(cookie.key, cookie.value)
    reply = shrunk.browser.get(below_origin(location))
    assert reply.status_code == 403
    assert "account_not_allowed" in reply.text
    assert collaborator(admin.app, Grants).get(ACME) is None
    assert admin.simulator.world.account("acme").live_tokens() == {}


def _cookies(admin: Admin) -> list[str]:
    return [cookie.key for cookie in admin.browser._cookies.values()]  # type: ignore[union-attr]


def test_a_manager_as_last_known_forgets_a_dead_grant(admin: Admin) -> None:
    admin.status()
    admin.simulator.world.account("acme").revoke_grants()
    expire(admin)
    with pytest.raises(AuthorizationRequired):
        collaborator(admin.app, AccessTokens).get(ACME, Deadline.after(25))
    with time_machine.travel(time.time() + 600):
        assert admin.call("DELETE", "/connection").get_json() == {"revoked": False}
    assert collaborator(admin.app, Grants).get(ACME) is None


def test_an_agent_does_not_forget_a_dead_grant(admin: Admin) -> None:
    admin.open_sidebar("acme", 102)
    admin.status()
    admin.simulator.world.account("acme").revoke_grants()
    expire(admin)
    with pytest.raises(AuthorizationRequired):
        collaborator(admin.app, AccessTokens).get(ACME, Deadline.after(25))
    with time_machine.travel(time.time() + 600):
        # Older than what decides about a change, so that it counts as what was last known.
        assert admin.call("DELETE", "/connection").get_json()["code"] == "manager_role_required"
    assert collaborator(admin.app, Grants).get(ACME) is not None


def test_a_qualified_name_of_any_other_integration_is_not_found(admin: Admin) -> None:
    assert admin.install("zis:ACME_orders:job_spec:x").get_json()["code"] == "job_spec_not_found"
    assert parse_name("zis:ACME_orders:job_spec:x").integration == "ACME_orders"
    with pytest.raises(InvalidRequest):
        parse_name("zis:acme_orders:flow:x")


@pytest.mark.parametrize(
    "sub",
    ["https://acme.zendesk.com:443/api/v2/users/x", "http://acme.zendesk.com/api/v2/users/101", "nonsense", "http://["],
)
def test_a_user_of_unknown_form_is_an_unknown_user(sub: str, make_admin: MakeAdmin) -> None:
    admin = make_admin()
    if sub == "http://[":
        assert admin.post_sidebar(admin.simulator.sign("acme", 101, claims={"sub": sub})).status_code == 401
        return
    admin.open_sidebar("acme", 101, claims={"sub": sub})
    assert admin.status()["user"]["id"] is None


def test_a_body_that_cannot_be_read_is_a_malformed_request(live_service: Callable[..., LiveService]) -> None:
    service = live_service(1)
    port = int(service.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"POST /sidebar HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400")


def test_a_path_does_not_break_out_of_its_log_line(live_service: Callable[..., LiveService]) -> None:
    service = live_service(1)
    port = int(service.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /foo%0D%0Aevent=connected%20account=evil?code=canary HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 404")
    service.stop()
    log = service.final_log
    assert "/foo%0D%0Aevent=connected%20account=evil" in log
    assert "\nevent=connected" not in log
    assert "canary" not in log
    assert "request_id=" in log


@pytest.mark.usefixtures("quick_second_look")
def test_after_a_disagreement_a_look_that_fails_is_no_success(admin: Admin) -> None:
    admin.status()
    admin.meets(
        # Zendesk says 200 and does nothing; then it lists once and fails.
        {"where": "change", "kind": "empty_200"},
        {"where": "list", "kind": "http_500_text", "every": 2, "times": 1},
    )
    reply = admin.install("zis:acme_orders:job_spec:escalate_vip_order")
    assert reply.status_code == 502, reply.text
    assert not admin.has_installed("acme_orders", "escalate_vip_order")


@pytest.mark.usefixtures("quick_second_look")
@pytest.mark.parametrize("after_effect", [True, False])
def test_a_gateway_s_answer_to_a_change_is_settled_by_reading_back(after_effect: bool, admin: Admin) -> None:
    admin.status()
    admin.meets({"where": "change", "kind": "http_502_html", "after_effect": after_effect})
    reply = admin.install("zis:acme_orders:job_spec:escalate_vip_order")
    assert (reply.status_code, reply.get_json().get("verified")) == ((200, True) if after_effect else (502, None))
    assert len(admin.changes_sent()) == 1


def test_openings_that_were_never_verified_are_limited_whatever_they_cost(make_admin: MakeAdmin) -> None:
    admin = make_admin(ZENDESK_SUBDOMAINS="*")

    def forged(number: int) -> int:
        token = admin.simulator.sign("acme", 101, claims={"iss": f"stranger{number}.zendesk.com"})
        return admin.post_sidebar(token).status_code

    answers = [forged(number) for number in range(310)]
    assert 429 not in answers[:300]
    assert set(answers[300:]) == {429}
    # The count is looked at before a signature, so whoever could be verified waits as well; at another address nobody.
    valid = {"token": admin.simulator.sign("acme", 101)}
    elsewhere = {"REMOTE_ADDR": "192.0.2.9"}
    assert admin.browser.post("/sidebar", data=valid).status_code == 429
    assert admin.browser.post("/sidebar", data=valid, environ_base=elsewhere).status_code == 200


@pytest.mark.usefixtures("quick_retries")
def test_a_pair_is_not_given_up_for_something_unforeseen(pending_pairs: PendingPairs) -> None:
    tries = []

    def settle() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("unforeseen")

    pending_pairs.keep(ACME, settle)
    pending_pairs.finish(10)
    assert len(tries) == 2
    assert not pending_pairs.holds(ACME)


def test_disconnecting_under_another_client_leaves_no_live_token(admin: Admin, make_admin: MakeAdmin) -> None:
    admin.status()
    other = make_admin(ZENDESK_CLIENT_ID="another_client")
    other.open_sidebar("acme")
    assert other.status()["connection"]["reason"] == "client_changed"
    assert other.call("DELETE", "/connection").status_code == 200
    assert admin.simulator.world.account("acme").live_tokens() == {}
    assert other.status()["connection"]["state"] == "not_connected"


def test_a_name_that_becomes_too_long_for_an_account_is_a_fault(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_env({**environment, "ZIS_INTEGRATIONS": "{subdomain}_" + "x" * 60})
    assert "becomes longer than 64" in refusal.value.message
