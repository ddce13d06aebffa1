"""Signing in with Zendesk: who gets a session, by which token, and what is left of that."""

import json
import re
import time
from html import unescape
from typing import Any

import pytest
import time_machine
from redis import Redis
from werkzeug.test import TestResponse

from sandbox.simulator import CLIENT_ID, Account
from sandbox.simulator.faults import Fault
from service.grants.granted import grant_key
from service.ground.subdomains import Subdomain
from tests.attacks.attackers import cookies_of, query_of
from tests.attacks.scripted import scripted_zendesk, targets, user_reply, visitor
from tests.conftest import MakeAdmin
from tests.front_end import FRONT_END, FrontEnd
from tests.operations.console import run
from tests.seeding import seed
from tests.steps import DIRECT, ORDERS_ONLY, SECRET_KEYS, Admin
from tests.workers import at_once

GRANT_KEY = grant_key(Subdomain("acme"))
_KEPT = re.compile(r'<script type="application/json" id="kept-session">(.*?)</script>', re.DOTALL)


def kept_in(page: TestResponse) -> dict[str, Any] | None:
    """Return the session that a page keeps in the browser."""
    kept: dict[str, Any] | None = json.loads(_KEPT.findall(page.text)[0])
    return kept


def begin(person: Admin, account: str = "acme") -> str:
    reply = person.browser.get(f"/signin?subdomain={account}")
    assert reply.status_code == 302, reply.text
    return str(reply.location)


def sign_in(person: Admin, user_id: int = 101, account: str = "acme") -> TestResponse:
    return person.come_back(person.simulator.consent(begin(person, account), user_id))


def assert_refused(reply: TestResponse, status: int, code: str) -> None:
    assert reply.status_code == status, reply.text
    assert f"code: {code}" in reply.text
    assert "Not signed in" in reply.text
    assert kept_in(reply) is None


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    """Somebody with a browser; acme was connected by Ada Morgan."""
    person = make_admin(**ORDERS_ONLY, ALLOWED_ORIGINS=FRONT_END)
    seed(person.app, person.simulator, "acme", 101)
    return person


@pytest.fixture
def acme(person: Admin) -> Account:
    return person.simulator.world.account("acme")


@pytest.fixture
def front_end(person: Admin) -> FrontEnd:
    return FrontEnd(person)


# --- who gets a session ---


@pytest.mark.parametrize(("user_id", "role", "can_manage"), [(101, "admin", True), (102, "agent", False)])
def test_whoever_consents_gets_a_session_of_their_own_role(
    person: Admin, user_id: int, role: str, can_manage: bool
) -> None:
    page = sign_in(person, user_id)
    kept = kept_in(page)

    assert page.status_code == 200
    assert kept is not None
    assert (kept["account"], kept["expires_in"]) == ("acme", 900)
    person.session_token = kept["session_token"]
    assert person.status()["user"] == {"id": user_id, "role": role, "can_manage": can_manage, "reason": None}
    assert person.job_specs()["job_specs"]


def test_a_session_of_a_sign_in_is_renewed_for_twelve_hours(person: Admin) -> None:
    kept = kept_in(sign_in(person))
    assert kept is not None
    person.session_token = kept["session_token"]

    with time_machine.travel(time.time() + 12 * 3600 - 60, tick=True):
        assert person.call("POST", "/session").status_code == 200
    with time_machine.travel(time.time() + 12 * 3600 + 60, tick=True):
        assert person.call("POST", "/session").status_code == 401


def test_an_end_user_gets_none(person: Admin, acme: Account) -> None:
    before = acme.live_tokens()
    assert_refused(sign_in(person, 103), 403, "agent_required")
    assert acme.live_tokens() == before


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"suspended": True}, 403, "agent_required"),
        ({"active": False}, 403, "agent_required"),
        ({"role": "end-user"}, 403, "agent_required"),
        ({"role": "somebody"}, 403, "agent_required"),
        ({"id": None}, 403, "agent_required"),
        ({"url": "https://globex.zendesk.com/api/v2/users/101.json"}, 403, "account_mismatch"),
    ],
    ids=["suspended", "deleted", "end user", "unknown role", "nobody", "somebody of another account"],
)
def test_whom_the_account_does_not_have_as_an_agent_gets_none(
    make_admin: MakeAdmin, members: dict[str, Any], status: int, code: str
) -> None:
    with scripted_zendesk() as zendesk:
        zendesk.by_path["/users/me"] = user_reply(**members)
        person = visitor(make_admin, zendesk)
        state = query_of(begin(person))["state"]
        page = person.browser.get("/oauth/callback", query_string={"state": state, "code": "a-code"})
        person.settle()
        deleted = [path for method, path in targets(zendesk) if method == "DELETE"]

    assert_refused(page, status, code)
    assert deleted == ["/a/acme/api/v2/oauth/tokens/current"], "its token is revoked all the same"


def test_before_anybody_has_connected_an_agent_may_sign_in_and_sees_that(make_admin: MakeAdmin) -> None:
    person = make_admin(**ORDERS_ONLY)
    kept = kept_in(sign_in(person, 102))
    assert kept is not None
    person.session_token = kept["session_token"]

    assert person.status()["connection"]["state"] == "not_connected"


# --- what it asks of Zendesk, and what is left of it ---


def test_it_asks_for_the_smallest_scope_with_state_and_pkce(person: Admin) -> None:
    asked = query_of(begin(person))

    assert (asked["scope"], asked["response_type"], asked["code_challenge_method"]) == ("users:read", "code", "S256")
    assert asked["redirect_uri"] == "http://localhost:9001/oauth/callback"
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", asked["code_challenge"])


@pytest.mark.parametrize("scope", ["zis:read zis:write", "tickets:read zis:read"])
def test_where_the_configured_scope_does_not_admit_that_it_asks_for_the_configured_one(
    make_admin: MakeAdmin, scope: str
) -> None:
    assert query_of(begin(make_admin(**ORDERS_ONLY, ZENDESK_SCOPE=scope)))["scope"] == scope


def test_its_token_is_asked_to_end_soon_and_is_revoked_at_once(person: Admin, acme: Account, redis: Redis) -> None:
    before, live = redis.hgetall(GRANT_KEY), acme.live_tokens()
    person.simulator.world.clear_calls()
    assert sign_in(person).status_code == 200

    calls = [(call.method, call.path) for call in person.calls()]
    (token_id,) = [path.rpartition("/")[2] for method, path in calls if method == "DELETE"]
    assert calls == [
        ("POST", "/oauth/authorizations/new"),
        ("POST", "/oauth/tokens"),
        ("GET", "/api/v2/users/me"),
        ("GET", "/api/v2/oauth/tokens/current"),
        ("DELETE", f"/api/v2/oauth/tokens/{token_id}"),
    ]
    assert int(token_id) not in acme.tokens
    assert acme.live_tokens() == live
    assert redis.hgetall(GRANT_KEY) == before, "the account's grant is as it was"


def test_a_token_that_may_not_revoke_itself_is_revoked_through_the_grant(person: Admin, acme: Account) -> None:
    live = acme.live_tokens()
    person.switch(self_revocation="write")

    assert sign_in(person, 102).status_code == 200
    assert acme.live_tokens() == live
    assert [call.status for call in person.calls(method="DELETE")] == [403, 204]


def test_a_token_that_cannot_be_revoked_is_logged_and_ends_by_itself(
    person: Admin, acme: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    live = acme.live_tokens()
    acme.faults = [Fault("revoke", "http_403_scope")]

    assert kept_in(sign_in(person)) is not None
    assert "event=revocation_failed account=acme" in capsys.readouterr().out
    with time_machine.travel(time.time() + 301, tick=True):
        assert acme.live_tokens() == live


@pytest.mark.parametrize("refusal", [{"small_scope": "invalid_scope"}, {"users": "not_by_small_scope"}])
def test_where_zendesk_refuses_the_small_scope_it_begins_again_with_the_configured_one(
    person: Admin, acme: Account, refusal: dict[str, str]
) -> None:
    live = acme.live_tokens()
    person.switch(**refusal)
    again = sign_in(person)

    assert again.status_code == 302
    assert query_of(again.location or "")["scope"] == "read write"
    page = person.come_back(person.simulator.consent(again.location or "", 101))
    assert kept_in(page) is not None
    assert acme.live_tokens() == live


def test_a_refusal_of_the_small_scope_on_the_consent_page_begins_again(person: Admin) -> None:
    state = query_of(begin(person))["state"]
    again = person.browser.get("/oauth/callback", query_string={"state": state, "error": "invalid_scope"})
    assert query_of(again.location or "")["scope"] == "read write"

    state = query_of(again.location or "")["state"]
    end = person.browser.get("/oauth/callback", query_string={"state": state, "error": "invalid_scope"})
    assert_refused(end, 400, "invalid_request")


def test_where_no_token_reads_users_it_says_so_and_why(make_admin: MakeAdmin) -> None:
    person = make_admin(**DIRECT)
    person.switch(zis_token_on_api_v2="403")
    again = sign_in(person)
    page = person.come_back(person.simulator.consent(again.location or "", 101))

    assert_refused(page, 403, "scope_insufficient")
    assert "OAuth client read who signs in to acme" in unescape(page.text)


def test_a_second_authorization_that_ends_the_grants_token_heals(person: Admin, acme: Account) -> None:
    person.switch(second_authorization="ends_access")
    kept = kept_in(sign_in(person))
    assert kept is not None
    person.session_token = kept["session_token"]

    assert person.status()["user"]["role"] == "admin"
    assert person.list_fresh().status_code == 200
    assert len(person.calls(grant_type="refresh_token")) == 1
    assert acme.live_tokens()[CLIENT_ID] == 1


def test_somebody_who_presses_deny_is_not_signed_in(person: Admin) -> None:
    denied = person.come_back(person.simulator.consent(begin(person), 101, decision="deny"))

    assert_refused(denied, 403, "access_denied")
    assert "Connect the account" not in denied.text


def test_a_code_that_is_no_longer_valid_is_told(person: Admin, acme: Account) -> None:
    location = person.simulator.consent(begin(person), 101)
    acme.codes.clear()
    assert_refused(person.come_back(location), 400, "invalid_state")


@pytest.mark.parametrize("kind", ["http_500_text", "reset", "http_401_html", "wrong_types"])
def test_where_zendesk_does_not_say_who_it_is_nobody_is_signed_in(person: Admin, acme: Account, kind: str) -> None:
    live = acme.live_tokens()
    location = person.simulator.consent(begin(person), 101)
    acme.faults = [Fault("users", kind)]

    assert_refused(person.come_back(location), 502, "zendesk_unavailable")
    person.settle()
    assert acme.live_tokens() == live


def test_an_account_that_is_not_on_the_list_is_refused(person: Admin) -> None:
    assert person.browser.get("/signin?subdomain=umbrella").status_code == 403
    assert person.browser.get("/signin").status_code == 400


# --- who has just connected ---


def test_an_admin_who_has_just_connected_is_signed_in_by_that(make_admin: MakeAdmin) -> None:
    person = make_admin(**ORDERS_ONLY)
    page = person.come_back(person.simulator.consent(person.authorize("acme"), 105))
    kept = kept_in(page)
    assert kept is not None
    person.session_token = kept["session_token"]

    assert person.status()["user"]["id"] == 105
    assert 'href="/console"' in page.text


def test_where_it_is_not_known_who_connected_nobody_is_signed_in(make_admin: MakeAdmin) -> None:
    person = make_admin(**ORDERS_ONLY)
    person.switch(users="not_readable")
    page = person.come_back(person.simulator.consent(person.authorize("acme"), 101))

    assert page.status_code == 200
    assert kept_in(page) is None


# --- a front end of another origin ---


def test_a_front_end_fetches_the_session_of_whoever_signed_in(person: Admin, front_end: FrontEnd) -> None:
    consent = front_end.post()
    waiting = front_end.fetch()
    assert (waiting.status_code, waiting.data, waiting.headers["Retry-After"]) == (202, b"", "2")
    page = front_end.come_back(person.simulator.consent(consent, 102))
    assert page.status_code == 200
    assert kept_in(page) is None, "the window that signed in has no session"
    fetched = front_end.fetch()

    assert fetched.status_code == 200
    assert set(fetched.get_json()) == {"session_token", "expires_at", "expires_in"}
    assert fetched.headers["Access-Control-Allow-Origin"] == FRONT_END
    person.session_token = fetched.get_json()["session_token"]
    assert person.status()["user"]["id"] == 102


def test_a_session_is_fetched_once(front_end: FrontEnd) -> None:
    assert front_end.sign_in().status_code == 200
    again = front_end.fetch()
    assert (again.status_code, again.get_json()["code"]) == (404, "not_found")


def test_of_several_that_fetch_at_once_one_gets_it(front_end: FrontEnd, person: Admin) -> None:
    front_end.come_back(person.simulator.consent(front_end.post(), 101))
    fetchers = [FrontEnd(Admin(person.app, person.simulator)) for _ in range(8)]

    statuses = at_once(8, lambda number: fetchers[number].fetch(front_end.claim).status_code)
    assert sorted(statuses) == [200] + [404] * 7


def test_a_session_that_nobody_fetches_is_kept_five_minutes(front_end: FrontEnd, person: Admin) -> None:
    front_end.come_back(person.simulator.consent(front_end.post(), 101))
    with time_machine.travel(time.time() + 301, tick=True):
        assert front_end.fetch().status_code == 404
    with time_machine.travel(time.time() + 290, tick=True):
        assert front_end.fetch().status_code == 200


def test_a_sign_in_that_ends_badly_is_told_once(front_end: FrontEnd, person: Admin) -> None:
    front_end.come_back(person.simulator.consent(front_end.post(), 103))
    told = front_end.fetch()

    assert (told.status_code, told.get_json()["code"]) == (403, "agent_required")
    assert "end user of acme" in told.get_json()["detail"]
    assert told.headers["Access-Control-Allow-Origin"] == FRONT_END
    assert front_end.fetch().status_code == 404


def test_a_denied_consent_is_told(front_end: FrontEnd, person: Admin) -> None:
    front_end.come_back(person.simulator.consent(front_end.post(), 101, decision="deny"))
    assert front_end.fetch().get_json()["code"] == "access_denied"


def test_what_begins_again_with_more_scope_is_fetched_with_the_same_claim(front_end: FrontEnd, person: Admin) -> None:
    person.switch(small_scope="invalid_scope")
    again = front_end.come_back(person.simulator.consent(front_end.post(), 102))
    assert front_end.fetch().status_code == 202, "that is no failure"
    front_end.come_back(person.simulator.consent(again.location or "", 102))

    assert front_end.fetch().status_code == 200


def test_an_account_taken_off_the_list_meanwhile_gives_no_session(
    make_admin: MakeAdmin, front_end: FrontEnd, person: Admin
) -> None:
    front_end.come_back(person.simulator.consent(front_end.post(), 101))
    elsewhere = FrontEnd(make_admin(**ORDERS_ONLY, ALLOWED_ORIGINS=FRONT_END, ZENDESK_SUBDOMAINS="globex"))

    assert elsewhere.fetch(front_end.claim).get_json()["code"] == "account_not_allowed"


def test_rotating_keys_keeps_sign_ins_under_way(make_admin: MakeAdmin, front_end: FrontEnd, person: Admin) -> None:
    new, settings = "a-newer-key-of-the-sign-in-tests-0123456789", {**ORDERS_ONLY, "ALLOWED_ORIGINS": FRONT_END}
    consent = front_end.post()
    ended = FrontEnd(person)
    ended.come_back(person.simulator.consent(ended.post(), 102))
    both = make_admin(**settings, SECRET_KEYS=f"{new},{SECRET_KEYS}")
    assert run(both.app, "rotate-keys").status == 0
    after = make_admin(**settings, SECRET_KEYS=new)
    for name, value in cookies_of(person).items():
        after.browser.set_cookie(name, value)

    assert FrontEnd(after).fetch(ended.claim).status_code == 200
    page = after.come_back(person.simulator.consent(consent, 101))
    assert page.status_code == 200


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"claim": null}', '{"claim": "short"}', '{"claim": ["x"]}', "x", "[" * 60_000, b"\xff\xfe\xff"],
    ids=lambda body: str(body[:20]),
)
def test_what_is_no_claim_is_refused(person: Admin, body: str | bytes) -> None:
    headers = {"Origin": FRONT_END, "Content-Type": "application/json"}
    reply = person.browser.post("/api/v1/session/claim", data=body, headers=headers)
    assert (reply.status_code, reply.get_json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "form",
    [
        {"challenge": "short"},
        {"challenge": "x" * 44},
        {"challenge": ["a" * 43, "b" * 43]},
        {"subdomain": ["acme", "globex"]},
        {"subdomain": "https://acme.zendesk.com"},
    ],
)
def test_a_faulty_form_begins_nothing(front_end: FrontEnd, redis: Redis, form: dict[str, Any]) -> None:
    assert front_end.begin(**form).status_code == 400
    assert redis.keys("zis:signin:*") == []


def test_signing_in_and_claiming_are_limited_by_address(make_admin: MakeAdmin) -> None:
    person = make_admin(ALLOWED_ORIGINS=FRONT_END)
    front_end = FrontEnd(person)
    statuses = [front_end.fetch().status_code for _ in range(300)]

    assert set(statuses) == {202}
    assert front_end.fetch().get_json()["code"] == "rate_limited"
    assert person.browser.get("/signin?subdomain=acme").status_code == 429
