"""What a callback does with a code: exchange, check, store; what a failed check revokes, and what undoes nothing."""

import time
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from redis import Redis
from werkzeug.test import TestResponse

from sandbox.simulator import CLIENT_ID, Account
from sandbox.simulator.faults import Fault
from sandbox.simulator.messages import json_reply
from service.grants.granted import grant_key
from service.ground.subdomains import Subdomain
from tests.conftest import MakeAdmin
from tests.endpoint import Endpoint
from tests.steps import DIRECT, Admin
from tests.test_oauth_callback import assert_failed, exchanges

GRANT_KEY = grant_key(Subdomain("acme"))
ONE_INTEGRATION = {"ZIS_INTEGRATIONS": "{subdomain}_orders"}


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    return make_admin(**ONE_INTEGRATION)


@pytest.fixture
def acme(person: Admin) -> Account:
    return person.simulator.world.account("acme")


def consented(person: Admin, user_id: int = 101) -> str:
    return person.simulator.consent(person.authorize("acme"), user_id)


def stored(redis: Redis) -> dict[bytes | str, bytes | str]:
    return redis.hgetall(GRANT_KEY)


def with_seconds_left(person: Admin, location: str, seconds: int) -> TestResponse:
    """Come back with a request that has spent the rest of its time at the router."""
    with time_machine.travel(int(time.time()), tick=False):
        started = f"{int(time.time()) - 25 + seconds}000"
        path = location.partition("9001")[2]
        return person.browser.get(path, headers={"X-Request-Start": started})


# --- the exchange ---


def test_the_code_goes_to_its_own_accounts_host_only(person: Admin) -> None:
    person.connect("acme")

    calls = person.simulator.world.calls(grant_type="authorization_code")
    assert [(call.account, call.method, call.path) for call in calls] == [("acme", "POST", "/oauth/tokens")]


def test_a_used_code_asks_to_connect_again(person: Admin, acme: Account, redis: Redis) -> None:
    location = consented(person)
    acme.codes.clear()
    reply = person.come_back(location)

    assert_failed(reply, 409, "authorization_required")
    assert "/oauth/authorize?subdomain=acme" in reply.text
    assert stored(redis) == {}


def test_an_expired_code_asks_to_connect_again(person: Admin) -> None:
    location = consented(person)
    with time_machine.travel(time.time() + 121):
        assert_failed(person.come_back(location), 409, "authorization_required")


def test_a_wrong_secret_is_our_fault_and_costs_no_grant(
    make_admin: MakeAdmin, admin: Admin, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stored(redis)
    other = make_admin(ZENDESK_CLIENT_SECRET="a-wrong-secret")

    assert_failed(other.come_back(consented(other)), 500, "client_misconfigured")
    assert stored(redis) == before
    assert admin.status()["connection"]["state"] == "connected"
    logged = capsys.readouterr().out
    assert "client_misconfigured" in logged
    assert "a-wrong-secret" not in logged


TOKEN_FAULTS = [
    (Fault("token", "http_500_text"), 502, "zendesk_unavailable"),
    (Fault("token", "http_502_html"), 502, "zendesk_unavailable"),
    (Fault("token", "http_503_html", retry_after=5), 502, "zendesk_unavailable"),
    (Fault("token", "http_429", retry_after=1), 429, "rate_limited"),
    (Fault("token", "redirect"), 502, "zendesk_unavailable"),
    (Fault("token", "reset"), 502, "zendesk_unavailable"),
    (Fault("token", "cut"), 502, "zendesk_unavailable"),
    (Fault("token", "html_200"), 502, "zendesk_unavailable"),
    (Fault("token", "empty_200"), 502, "zendesk_unavailable"),
    (Fault("token", "truncated_json"), 502, "zendesk_unavailable"),
    (Fault("token", "wrong_types"), 502, "zendesk_unavailable"),
    (Fault("token", "big_body"), 502, "zendesk_unavailable"),
    (Fault("token", "no_json_error"), 502, "zendesk_unavailable"),
    (Fault("token", "http_404"), 502, "zendesk_unavailable"),
    (Fault("token", "http_401_text"), 502, "zendesk_unavailable"),
    (Fault("token", "http_401_html"), 502, "zendesk_unavailable"),
    (Fault("token", "http_403_html"), 502, "zendesk_unavailable"),
    (Fault("token", "account_gone"), 409, "account_gone"),
    (Fault("token", "oauth_error", error="invalid_client"), 500, "client_misconfigured"),
    (Fault("token", "oauth_error", error="unauthorized_client"), 500, "client_misconfigured"),
    (Fault("token", "oauth_error", error="invalid_scope"), 403, "scope_insufficient"),
    (Fault("token", "oauth_error", error="server_error"), 502, "zendesk_unavailable"),
]


@pytest.mark.parametrize(
    ("fault", "status", "code"), TOKEN_FAULTS, ids=[f"{fault.kind}-{fault.error}" for fault, _, _ in TOKEN_FAULTS]
)
def test_a_failed_exchange_is_translated_and_never_repeated(
    person: Admin, acme: Account, redis: Redis, fault: Fault, status: int, code: str
) -> None:
    location = consented(person)
    acme.faults = [fault]

    assert_failed(person.come_back(location), status, code)
    assert exchanges(person.simulator) == 1
    assert stored(redis) == {}


@pytest.mark.parametrize("where", ["token", "users"])
def test_a_zendesk_that_does_not_answer_ends_with_the_requests_own_time(
    person: Admin, acme: Account, redis: Redis, where: str
) -> None:
    location = consented(person)
    acme.faults = [Fault(where, "hang")]
    try:
        assert_failed(with_seconds_left(person, location, 1), 504, "zendesk_timeout")
    finally:
        person.simulator.release()
    assert stored(redis) == {}
    person.settle()
    assert acme.live_tokens() == {}


# --- the checks ---


def test_a_smaller_scope_is_refused_and_revoked(person: Admin, acme: Account, redis: Redis) -> None:
    location = consented(person)
    acme.switches.granted_scope = "read"
    reply = person.come_back(location)

    assert_failed(reply, 403, "scope_insufficient")
    assert "granted the scope 'read', but 'read write' is needed" in unescape(reply.text)
    assert acme.live_tokens() == {}
    assert stored(redis) == {}


def test_a_scope_that_is_not_said_is_the_requested_one(person: Admin, acme: Account) -> None:
    acme.switches.scope_in_answers = "absent"
    person.connect("acme")

    assert person.status()["connection"]["scope"] == "read write"


@pytest.mark.parametrize("user_id", [102, 103], ids=["agent", "end user"])
def test_who_is_no_admin_is_refused_and_what_they_granted_revoked(
    person: Admin, acme: Account, redis: Redis, user_id: int
) -> None:
    assert_failed(person.come_back(consented(person, user_id)), 403, "admin_required")
    assert acme.live_tokens() == {}
    assert stored(redis) == {}


@pytest.mark.parametrize("is_suspended", [True, False], ids=["suspended", "inactive"])
def test_an_admin_who_lost_access_meanwhile_is_refused(
    person: Admin, acme: Account, redis: Redis, is_suspended: bool
) -> None:
    location = consented(person)
    acme.set_user(101, suspended=is_suspended, active=is_suspended)

    assert_failed(person.come_back(location), 403, "admin_required")
    assert stored(redis) == {}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"suspended": True}, 403),
        ({"active": False}, 403),
        ({"role": "agent"}, 403),
        ({"role": "end-user", "id": None}, 403),
        ({"id": None}, 403),
    ],
    ids=["admin", "suspended", "inactive", "agent", "anonymous", "no id"],
)
def test_only_an_active_admin_whom_zendesk_names_may_connect(
    make_admin: MakeAdmin, redis: Redis, changes: dict[str, object], status: int
) -> None:
    user = {"id": 101, "name": "Ada Morgan", "role": "admin", "active": True, "suspended": False, "url": None}
    endpoint = Endpoint(json_reply(404, {"error": "RecordNotFound"}))
    endpoint.by_path = {
        "/oauth/tokens": json_reply(200, {"access_token": "t", "token_type": "bearer", "scope": "read write"}),
        "/users/me": json_reply(200, {"user": user | changes}),
    }
    try:
        person = make_admin(ZENDESK_URL_TEMPLATE=endpoint.template, **ONE_INTEGRATION)
        state = parse_qs(urlsplit(person.authorize("acme")).query)["state"][0]
        reply = person.browser.get(f"/oauth/callback?code=x&state={state}")
    finally:
        endpoint.stop()
    assert reply.status_code == status
    assert ("admin_required" in reply.text) == (status == 403)
    assert bool(stored(redis)) == (status == 200)


def test_a_grant_of_another_account_is_refused_naming_both(person: Admin, acme: Account, redis: Redis) -> None:
    location = consented(person)
    acme.subdomain = "globex"
    reply = person.come_back(location)

    assert_failed(reply, 403, "account_mismatch")
    assert "You connected acme, but Zendesk says that this authorization belongs to globex" in unescape(reply.text)
    assert acme.live_tokens() == {}
    assert stored(redis) == {}


@pytest.mark.parametrize(
    "kind",
    ["http_500_text", "redirect", "html_200", "empty_200", "wrong_types", "reset", "http_401_html", "http_403_html",
     "http_404_html"],
)  # fmt: skip
def test_a_check_that_cannot_be_made_revokes_what_was_granted(
    person: Admin, acme: Account, redis: Redis, kind: str
) -> None:
    location = consented(person)
    acme.faults = [Fault("users", kind)]

    assert_failed(person.come_back(location), 502, "zendesk_unavailable")
    assert acme.live_tokens() == {}
    assert stored(redis) == {}


def test_a_revocation_that_fails_does_not_hide_the_refusal(person: Admin, acme: Account) -> None:
    location = consented(person, 102)
    acme.faults = [Fault("revoke", "http_500_text")]

    assert_failed(person.come_back(location), 403, "admin_required")


def test_a_failed_attempt_leaves_an_older_grant_untouched(admin: Admin, redis: Redis) -> None:
    account = admin.simulator.world.account("acme")
    before, live = stored(redis), account.live_tokens()

    assert_failed(admin.come_back(consented(admin, 102)), 403, "admin_required")
    assert stored(redis) == before
    assert account.live_tokens() == live
    assert admin.job_specs("?integration=acme_orders")["integrations"][0]["error"] is None


UNREADABLE = ["http_401_invalid_token", "http_403_scope", "http_404"]


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("mode", ["mint", "direct"])
def test_where_users_cannot_be_read_the_registry_vouches(make_admin: MakeAdmin, mode: str, kind: str) -> None:
    person = make_admin(**(DIRECT if mode == "direct" else ONE_INTEGRATION))
    acme = person.simulator.world.account("acme")
    acme.faults = [Fault("users", kind)]

    assert person.connect("acme").status_code == 200
    connection = person.status()["connection"]
    assert (connection["state"], connection["authorized_by"]) == ("connected", None)
    expected = {"zis_acme_orders": 1} | ({CLIENT_ID: 1} if mode == "mint" else {})
    assert acme.live_tokens() == expected


@pytest.mark.parametrize("where", ["token", "users", "clients", "mint", "list"])
def test_an_account_that_is_found_gone_while_it_is_connected_again_is_known_to_be_gone(
    make_admin: MakeAdmin, redis: Redis, where: str
) -> None:
    person = make_admin(**ONE_INTEGRATION)
    person.connect("acme")
    location = consented(person)
    gone = Fault(where, "account_gone")
    # Without a reader of users the registry has to vouch, and for that a token is minted.
    person.simulator.world.account("acme").faults = [gone] if where == "users" else [Fault("users", "http_404"), gone]
    assert_failed(person.come_back(location), 409, "account_gone")
    told = person.status()
    assert (told["connection"]["reason"], told["authorize_url"]) == ("account_gone", None)
    assert stored(redis) != {}


def test_nothing_is_noted_of_an_account_that_is_gone_and_has_never_connected(person: Admin, redis: Redis) -> None:
    location = consented(person)
    person.simulator.world.account("acme").faults = [Fault("token", "account_gone")]
    assert_failed(person.come_back(location), 409, "account_gone")
    assert redis.keys("zis:{acme}:account_gone") == []


REGISTRY_REFUSALS = [
    ("http_403_admin", 403, "admin_required"),
    ("mismatch", 409, "integration_mismatch"),
    ("http_500_zis", 502, "zendesk_unavailable"),
    ("http_403_html", 502, "zendesk_unavailable"),
    ("http_404_text", 502, "zendesk_unavailable"),
    ("account_gone", 409, "account_gone"),
    ("http_429", 429, "rate_limited"),
    # Whatever stands in front of Zendesk answers 200, too.
    ("empty_200", 502, "zendesk_unavailable"),
    ("list_200", 502, "zendesk_unavailable"),
    ("wrong_types", 502, "zendesk_unavailable"),
]


@pytest.mark.parametrize(("refusal", "status", "code"), REGISTRY_REFUSALS, ids=[row[0] for row in REGISTRY_REFUSALS])
@pytest.mark.parametrize("mode", ["mint", "direct"])
def test_where_nobody_vouches_the_grant_is_revoked_with_what_was_minted(
    make_admin: MakeAdmin, redis: Redis, mode: str, refusal: str, status: int, code: str
) -> None:
    person = make_admin(**(DIRECT if mode == "direct" else ONE_INTEGRATION))
    acme = person.simulator.world.account("acme")
    location = consented(person)
    acme.faults = [Fault("users", "http_404"), Fault("list", refusal, retry_after=60)]

    assert_failed(person.come_back(location), status, code)
    assert acme.live_tokens() == {}
    assert stored(redis) == {}
    assert len(person.simulator.world.calls(method="DELETE", status=204)) == (2 if mode == "mint" else 1)
