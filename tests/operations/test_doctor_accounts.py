"""`doctor` on accounts and on Zendesk: whatever is wrong there is a warning, and no grant is harmed by asking."""

import json
import signal
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
import time_machine
from redis import Redis

from sandbox.simulator import public_key_pem
from sandbox.simulator.messages import Reply
from service.grants.grants import Grants
from service.ground.deadlines import Deadline
from service.ground.subdomains import Subdomain
from service.operations.doctor.account_checks import KnownAccount
from service.operations.doctor.command import make_examination
from service.operations.doctor.findings import Finding
from service.operations.doctor.zendesk_checks import check_clock
from service.people.key_fetches import FETCHES_AT_ONCE
from tests.conftest import MakeAdmin, MakeApp
from tests.endpoint import Endpoint
from tests.operations.checks import examine, found, trouble, verdict
from tests.operations.console import STARTING_SECONDS, LiveCommand, run
from tests.steps import DIRECT, ORDERS_ONLY, Admin, collaborator, services
from tests.stored_grants import change_grant
from tests.test_upkeep import age

ACME = Subdomain("acme")
LATER_SECONDS = 1801


@pytest.fixture(params=["mint", "direct"])
def anybody(request: pytest.FixtureRequest, make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, in either token mode."""
    person = make_admin(**(DIRECT if request.param == "direct" else {"ZENDESK_SUBDOMAINS": "acme"}))
    person.connect("acme")
    return person


def said(admin: Admin, check: str, account: str = "acme") -> tuple[str, str]:
    return verdict(examine(admin.app), check, account)


# --- an account that works ---


def test_everything_about_an_account_is_a_line(admin: Admin) -> None:
    lines = [line for line in run(admin.app, "doctor").lines() if " acme: " in line]
    assert [line.partition("acme: ")[2].partition(":")[0] for line in lines] == [
        "connection",
        "refresh token",
        "scope",
        "admin",
        "client zis_acme_archive",
        "integration acme_archive",
        "client zis_acme_orders",
        "integration acme_orders",
        "client zis_acme_shipping",
        "integration acme_shipping",
        "app key",
    ]
    assert "ok   acme: admin: Ada Morgan is an admin." in lines
    assert any(line.startswith("ok   acme: connection: It was connected by Ada Morgan on 20") for line in lines)
    assert "ok   acme: refresh token: 88 days are left." in lines


def test_in_direct_mode_there_is_no_other_client_to_look_for(make_admin: MakeAdmin) -> None:
    admin = make_admin(**DIRECT)
    admin.connect("acme")
    checks = [one["check"] for one in examine(admin.app) if one["account"] == "acme"]
    assert checks == ["connection", "refresh token", "scope", "admin", "integration acme_orders", "app key"]


def test_accounts_that_may_connect_are_looked_at_too(admin: Admin) -> None:
    checks = examine(admin.app)
    assert [one["check"] for one in checks if one["account"] == "globex"] == ["app key"]


# --- the grant ---


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"dead": "grant_revoked"}, "revoked or has expired"), ({"client_id": "another"}, "another OAuth client"),
     ({"dead": "refresh_outcome_unknown"}, "was lost on the way")],
    ids=["revoked", "other client", "outcome unknown"],
)  # fmt: skip
def test_a_grant_that_cannot_be_used_is_explained_and_nothing_is_asked_with_it(
    fields: dict[str, Any], words: str, admin: Admin
) -> None:
    change_grant(admin, **fields)
    admin.simulator.world.clear_calls()
    checks = examine(admin.app)
    status, says = verdict(checks, "connection", "acme")
    assert status == "warn"
    assert words in says
    assert "http://localhost:9001/oauth/authorize?subdomain=acme" in says
    assert [one["check"] for one in checks if one["account"] == "acme"] == ["connection", "app key"]
    assert all(call.token_client is None for call in admin.calls())
    assert run(admin.app, "doctor").status == 0


def test_an_account_that_was_taken_off_the_list_is_named_and_not_asked(admin: Admin, make_app: MakeApp) -> None:
    checks = examine(make_app(ZENDESK_SUBDOMAINS="globex"))
    status, says = verdict(checks, "connection", "acme")
    assert (status, "disconnect acme" in says) == ("warn", True)
    assert [one["check"] for one in checks if one["account"] == "acme"] == ["connection"]
    assert admin.session_token


@pytest.mark.parametrize(("share", "status"), [(0.5, "ok"), (0.74, "ok"), (0.76, "warn")])
def test_a_refresh_token_near_its_end_says_what_should_have_happened(share: float, status: str, admin: Admin) -> None:
    age(admin, ACME, share)
    found_status, says = said(admin, "refresh token")
    assert found_status == status
    assert ("refresh-tokens" in says) is (status == "warn")


@pytest.mark.parametrize("changes", [{"refresh_token": None, "expires_at": None}, {"refresh_token_expires_at": None}])
def test_a_grant_without_an_announced_end_is_in_order(changes: dict[str, Any], admin: Admin) -> None:
    change_grant(admin, **changes)
    assert said(admin, "refresh token")[0] == "ok"


def test_a_wider_scope_asks_to_connect_again(admin: Admin, make_app: MakeApp) -> None:
    checks = examine(make_app(ZENDESK_SCOPE="read write tickets:read zis:write"))
    status, says = verdict(checks, "scope", "acme")
    assert (status, "'read write' was granted" in says) == ("warn", True)
    assert verdict(checks, "admin", "acme")[0] == "ok"
    assert admin.session_token


# --- the admin ---


@pytest.mark.parametrize(
    ("change", "words"),
    [({"role": "agent"}, "is an agent now"), ({"role": "end-user"}, "is an end user now")],
    ids=str,
)
def test_an_admin_who_is_none_any_more_is_named(change: dict[str, Any], words: str, admin: Admin) -> None:
    admin.simulator.world.account("acme").set_user(101, **change)
    status, says = said(admin, "admin")
    assert status == "warn"
    assert "Ada Morgan" in says
    assert words in says
    assert "connects it again" in says


def test_a_suspended_admin_is_told_by_zendesks_words(admin: Admin) -> None:
    admin.simulator.world.account("acme").set_user(101, suspended=True)
    status, says = said(admin, "admin")
    assert status == "warn"
    assert "403" in says
    checks = examine(admin.app)
    assert verdict(checks, "integration acme_orders", "acme")[0] == "warn"
    assert "Only admin user is allowed" in verdict(checks, "integration acme_orders", "acme")[1]


def test_an_inactive_admin_is_no_admin(admin: Admin, make_app: MakeApp, endpoint: Endpoint) -> None:
    endpoint.by_path["/users/me"] = user_reply(role="admin", active=False)
    checks = examine(make_app(ZENDESK_URL_TEMPLATE=endpoint.template))
    assert "is a deleted admin now" in verdict(checks, "admin", "acme")[1]
    assert admin.session_token


def test_a_token_of_a_renamed_account_is_told(admin: Admin, make_app: MakeApp, endpoint: Endpoint) -> None:
    endpoint.by_path["/users/me"] = user_reply(role="admin", url="https://acme-new.zendesk.com/api/v2/users/101.json")
    status, says = verdict(examine(make_app(ZENDESK_URL_TEMPLATE=endpoint.template)), "admin", "acme")
    assert (status, "acme-new" in says) == ("warn", True)
    assert admin.session_token


def test_nobody_is_sent_to_the_address_of_an_account_that_is_gone(admin: Admin) -> None:
    account = admin.simulator.world.account("acme")
    account.renamed_to = "acme-new"
    # The first run finds it out, the second one knows.
    first, checks = (examine(admin.app), [one for one in examine(admin.app) if one["account"] == "acme"])
    for run_of in (first, checks):
        assert "oauth/authorize" not in str(run_of)
        assert "not registered" not in str(run_of)
        assert "[account_gone]" in verdict(run_of, "admin", "acme")[1]
    status, says = verdict(checks, "connection", "acme")
    assert status == "warn"
    assert "ZENDESK_SUBDOMAINS" in says
    account.renamed_to = None
    examine(admin.app)
    checks = examine(admin.app)
    assert verdict(checks, "connection", "acme")[0] == "ok"


@pytest.mark.parametrize("answer", ["401", "403", "404"])
def test_where_the_token_may_not_read_users_the_registry_vouches(answer: str, make_admin: MakeAdmin) -> None:
    admin = make_admin(**DIRECT)
    admin.switch(zis_token_on_api_v2=answer)
    admin.connect("acme")
    checks = examine(admin.app)
    status, says = verdict(checks, "admin", "acme")
    assert (status, "vouches" in says) == ("ok", True)
    assert verdict(checks, "integration acme_orders", "acme")[0] == "ok"
    assert trouble(checks) == set()


# --- integrations ---


def test_an_integration_without_its_client_is_not_asked_for(make_admin: MakeAdmin) -> None:
    admin = make_admin(ZIS_INTEGRATIONS="acme_orders,acme_nothing")
    admin.connect("acme")
    checks = [one for one in examine(admin.app) if one["account"] == "acme"]
    status, says = verdict(checks, "client zis_acme_nothing", "acme")
    assert status == "warn"
    assert "it has no OAuth client zis_acme_nothing" in says
    assert "integration acme_nothing" not in {one["check"] for one in checks}
    assert verdict(checks, "integration acme_orders", "acme")[0] == "ok"


@pytest.mark.parametrize(
    ("fault", "words"),
    [({"kind": "mismatch"}, "Authorization failed due to integration mismatch [integration_mismatch]"),
     ({"kind": "http_403_admin"}, "Only admin user is allowed [admin_required]"),
     ({"kind": "http_403_scope"}, "[scope_insufficient]"),
     ({"kind": "http_429", "retry_after": 40}, "Try again in 40 s. [rate_limited]"),
     ({"kind": "http_502_html"}, "[zendesk_unavailable]"),
     ({"kind": "http_403_html"}, "Something in front of Zendesk answered in its place"),
     ({"kind": "redirect"}, "answered with a redirect")],
    ids=["mismatch", "admin", "scope", "limit", "down", "gateway", "redirect"],
)  # fmt: skip
def test_what_stands_against_an_integration_is_told_in_zendesks_words(
    fault: dict[str, Any], words: str, anybody: Admin
) -> None:
    anybody.meets({"where": "registry:acme_orders", **fault})
    checks = examine(anybody.app)
    status, says = verdict(checks, "integration acme_orders", "acme")
    assert status == "warn"
    assert words in says
    assert trouble(checks) == {("warn", "acme", "integration acme_orders")}
    assert run(anybody.app, "doctor").status == 0


def test_a_plan_without_integration_services_is_told_in_zendesks_words(
    admin: Admin, make_app: MakeApp, endpoint: Endpoint
) -> None:
    endpoint.by_path["/users/me"] = user_reply(role="admin")
    endpoint.by_path["/job_specs?page%5Bsize%5D=100"] = Reply(403, b"ZIS is not part of your plan", "text/plain")
    app = make_app(**{**DIRECT, "ZENDESK_URL_TEMPLATE": endpoint.template})
    change_grant(admin, client_id="zis_acme_orders")
    status, says = verdict(examine(app), "integration acme_orders", "acme")
    assert status == "warn"
    assert "Zendesk's words (403): ZIS is not part of your plan" in says


def test_what_it_learns_of_an_integration_is_there_for_the_sidebar(admin: Admin) -> None:
    admin.meets({"where": "registry:acme_orders", "kind": "mismatch"})
    examine(admin.app)
    admin.meets()
    states = {one["name"]: one["state"] for one in admin.status()["integrations"]}
    assert states["acme_orders"] == "mismatch"
    examine(admin.app)
    states = {one["name"]: one["state"] for one in admin.status()["integrations"]}
    assert states["acme_orders"] == "ready"


def test_an_account_that_is_down_is_a_warning_for_each_thing_that_cannot_be_seen(admin: Admin) -> None:
    admin.connect("globex")
    admin.meets({"where": "all", "kind": "http_503_html"})
    checks = examine(admin.app)
    assert {account for _, account, _ in trouble(checks)} == {"acme"}
    assert verdict(checks, "clock")[0] == "ok"
    assert verdict(checks, "admin", "acme")[0] == "warn"
    assert verdict(checks, "client zis_acme_orders", "acme")[0] == "warn"
    assert found(checks, "integration globex_orders", "globex")["status"] == "ok"


# --- the app's key ---


def test_an_app_without_a_key_is_a_warning_for_its_account(admin: Admin, make_app: MakeApp) -> None:
    checks = examine(make_app(ZENDESK_APPS="acme:7,globex:500001,initech:500001"))
    status, says = verdict(checks, "app key", "acme")
    assert status == "warn"
    assert "gave no public key for the app 7" in says
    assert verdict(checks, "app key", "globex")[0] == "ok"
    assert admin.session_token


def test_a_configured_key_is_not_fetched(admin: Admin, make_app: MakeApp) -> None:
    admin.simulator.world.clear_calls()
    checks = examine(make_app(ZENDESK_APP_PUBLIC_KEY=public_key_pem()))
    assert all(one["check"] != "app key" for one in checks)
    assert "so is the app's public key" in verdict(checks, "zendesk app")[1]
    assert admin.calls("public_key") == []


def test_more_accounts_than_keys_may_be_fetched_at_once_are_no_trouble(make_app: MakeApp, endpoint: Endpoint) -> None:
    endpoint.reply = Reply(200, public_key_pem().encode(), "text/plain")
    names = ",".join(f"account{number}" for number in range(12))
    checks = examine(make_app(ZENDESK_SUBDOMAINS=names, ZENDESK_URL_TEMPLATE=endpoint.template))
    assert trouble(checks) == {("warn", None, "accounts")}
    assert sum(request.target.endswith("public_key.pem") for request in endpoint.requests) == 12


def test_a_key_that_there_is_no_time_to_fetch_is_a_warning(admin: Admin, redis: Redis) -> None:
    redis.delete("zis:{acme}:app_key:500001")
    with admin.app.app_context():
        checks = make_examination()._account_checks
    for _ in range(FETCHES_AT_ONCE):
        checks._fetches.acquire()
    (finding,) = checks.check(KnownAccount(ACME, None), Deadline.after(0))
    assert finding.line() == "warn acme: app key: There was no time to fetch it. Run doctor again."


# --- the clock ---


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint(Reply(404, b"{}", "application/json"))
    yield server
    server.stop()


def user_reply(**fields: Any) -> Reply:
    user = {"id": 101, "name": "Ada Morgan", **fields}
    return Reply(200, json.dumps({"user": user}).encode(), "application/json")


def clock_of(app: Any, *accounts: Subdomain, seconds: float = 10.0) -> Finding:
    return check_clock(services(app).clients, list(accounts), Deadline.after(seconds))


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [(0, "ok", "within 30 s"), (28, "ok", "within 30 s"), (-28, "ok", "within 30 s"), (300, "warn", "300 s behind"),
     (-300, "warn", "300 s ahead of")],
)  # fmt: skip
def test_the_clock_is_compared_by_the_date_of_an_answer(
    ahead: int, status: str, words: str, make_app: MakeApp, endpoint: Endpoint
) -> None:
    app = make_app(ZENDESK_URL_TEMPLATE=endpoint.template)
    with time_machine.travel(1_800_000_000, tick=False):
        date = formatdate(time.time() + ahead, usegmt=True)
        endpoint.reply = Reply(401, b"{}", "application/json", (("Date", date),))
        finding = clock_of(app, ACME)
    assert finding.status == status
    assert words in finding.says
    assert "authorization" not in endpoint.requests[0].headers


def test_an_answer_without_a_date_is_a_warning(make_app: MakeApp, endpoint: Endpoint) -> None:
    endpoint.reply = Reply(401, b"{}", "application/json", (("Date", "yesterday"),))
    finding = clock_of(make_app(ZENDESK_URL_TEMPLATE=endpoint.template), ACME)
    assert (finding.status, "no readable Date" in finding.says) == ("warn", True)


def test_an_account_that_does_not_answer_says_nothing_about_the_clock(admin: Admin) -> None:
    admin.meets({"where": "all", "kind": "reset"})
    assert clock_of(admin.app, ACME, Subdomain("globex")).status == "ok"
    finding = clock_of(admin.app, ACME)
    assert (finding.status, "[zendesk_unavailable]" in finding.says) == ("warn", True)
    assert clock_of(admin.app, *[ACME] * 3, Subdomain("globex")).status == "warn"


# --- no grant is harmed ---


def test_an_expired_token_is_refreshed_once_for_all_that_is_asked(anybody: Admin) -> None:
    with time_machine.travel(time.time() + LATER_SECONDS, tick=True):
        anybody.simulator.world.clear_calls()
        assert trouble(examine(anybody.app)) == set()
        assert len(anybody.calls(grant_type="refresh_token")) == 1
        anybody.open_sidebar()
        assert anybody.status()["connection"]["state"] == "connected"


def test_a_fresh_token_is_used_as_it_is(anybody: Admin) -> None:
    before = collaborator(anybody.app, Grants).get(ACME)
    examine(anybody.app)
    assert collaborator(anybody.app, Grants).get(ACME) == before
    assert anybody.calls(grant_type="refresh_token") == []


def test_a_client_that_zendesk_refuses_costs_no_grant(admin: Admin, make_app: MakeApp) -> None:
    with time_machine.travel(time.time() + LATER_SECONDS, tick=True):
        app = make_app(ZENDESK_CLIENT_SECRET="wrong")
        status, says = verdict(examine(app), "admin", "acme")
        assert (status, "[client_misconfigured]" in says) == ("warn", True)
        grant = collaborator(admin.app, Grants).get(ACME)
        assert grant is not None
        assert (grant.dead, grant.refresh_begun_at) == (None, None)
        assert run(app, "doctor").status == 0


def test_a_grant_that_zendesk_has_ended_is_found_out(anybody: Admin) -> None:
    with time_machine.travel(time.time() + LATER_SECONDS, tick=True):
        anybody.meets({"where": "token", "kind": "oauth_error", "error": "invalid_grant"})
        checks = examine(anybody.app)
        status, says = verdict(checks, "admin", "acme")
        assert (status, "[authorization_required]" in says) == ("warn", True)
        assert "/oauth/authorize?subdomain=acme" in verdict(checks, "integration acme_orders", "acme")[1]
        assert len(anybody.calls(grant_type="refresh_token")) == 1
        anybody.open_sidebar()
        # That nobody is connected is not the integration's fault.
        assert anybody.status()["integrations"][0]["state"] == "ready"


# --- time ---


def test_accounts_beyond_the_time_are_named_as_not_checked(admin: Admin) -> None:
    admin.simulator.world.clear_calls()
    with admin.app.app_context():
        findings = list(make_examination(accounts_end_seconds=14.0).findings())
    assert [one.line() for one in findings if one.account] == [
        f"warn {account}: not checked: It was not checked: no time was left. Run doctor again."
        for account in ("acme", "globex", "initech")
    ]
    assert all(call.token_client is None for call in admin.calls())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_is_unforeseen_in_one_account_keeps_no_other_waiting(admin: Admin) -> None:
    admin.connect("globex")
    # As a release that counts in milliseconds would have written it, before it was rolled back.
    change_grant(admin, authorized_at=1_800_000_000_000)
    checks = examine(admin.app)
    status, says = verdict(checks, "not checked", "acme")
    assert (status, says) == (
        "warn",
        "It was not checked to the end: something unforeseen happened. Run doctor again.",
    )
    assert verdict(checks, "integration globex_orders", "globex")[0] == "ok"


def test_whoever_stops_it_gets_what_was_found_so_far(admin: Admin, environment: dict[str, str]) -> None:
    admin.meets({"where": "clients", "kind": "hold", "times": 1})
    command = LiveCommand({**environment, **ORDERS_ONLY}, "doctor")
    admin.simulator.world.wait_until_held(1, timeout_seconds=STARTING_SECONDS)
    command.signal(signal.SIGINT)
    command.wait_until_it_says("warn acme: not checked")
    admin.simulator.release()
    answer = command.ended()
    assert answer.status == 1
    assert "ok   acme: admin: Ada Morgan is an admin." in answer.lines()
    assert (
        "warn acme: not checked: It was not checked to the end: this was stopped. Run doctor again." in answer.lines()
    )
    assert not any("integration acme_orders" in line for line in answer.lines())


def test_stopped_before_its_accounts_it_begins_none(admin: Admin, environment: dict[str, str]) -> None:
    admin.meets({"where": "users", "kind": "hold", "times": 1})
    command = LiveCommand({**environment, **ORDERS_ONLY}, "doctor")
    # The first to ask for a user is the clock, without a token.
    admin.simulator.world.wait_until_held(1, timeout_seconds=STARTING_SECONDS)
    command.signal(signal.SIGINT)
    command.wait_until_it_says("Stopping")
    admin.simulator.release()
    answer = command.ended()
    assert answer.status == 1
    assert "warn acme: not checked: It was not checked: this was stopped. Run doctor again." in answer.lines()
