"""Who may frame, keep or read an answer from another site: one account the sidebar, nobody anything else."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from sandbox.simulator import public_key_pem
from sandbox.simulator.messages import json_reply
from service.web.answers import LARGEST_BODY_BYTES
from service.web.rate_limits import REFUSED_REQUESTS
from tests.attacks.attackers import SECURE, Answer, Outline, ask, bearer, claims_of, directives, signed_by_zendesk
from tests.attacks.scripted import scripted_zendesk
from tests.attacks.test_deputies import ADDRESSES, routes_of
from tests.conftest import MakeAdmin
from tests.steps import Admin

pytestmark = pytest.mark.attacks

RS256 = {"alg": "RS256", "typ": "JWT"}
FORM: dict[str, Any] = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
ANY_ACCOUNT = "https://*.zendesk.com"
PREFLIGHT = {
    "Origin": "https://acme.zendesk.com",
    "Access-Control-Request-Method": "DELETE",
    "Access-Control-Request-Headers": "authorization, content-type",
    "Access-Control-Request-Private-Network": "true",
}


@pytest.fixture
def earnest(make_admin: MakeAdmin) -> Admin:
    """A service with Zendesk's real hosts, whose key is configured: nothing has to be asked."""
    return make_admin(**SECURE, ZENDESK_APP_PUBLIC_KEY=public_key_pem())


def post(person: Admin, body: bytes, *, headers: dict[str, str] | None = None, **environ: Any) -> Answer:
    return ask(person.app, "POST", "/sidebar", headers=headers, body=body, **(FORM | environ))


def form_of(token: str) -> bytes:
    return f"token={token}".encode()


# --- framing ---


@pytest.mark.parametrize(("account", "user_id"), [("acme", 101), ("globex", 201), ("initech", 301)])
def test_a_verified_page_may_be_framed_by_its_account_and_nobody_else(
    earnest: Admin, account: str, user_id: int
) -> None:
    for issuer in (f"{account}.zendesk.com", f"https://{account.upper()}.zendesk.com"):
        claims = claims_of(earnest, account, user_id) | {"iss": issuer}
        page = post(earnest, form_of(signed_by_zendesk(RS256, claims)))
        assert page.status == 200
        assert directives(page.headers)["frame-ancestors"] == f"https://{account}.zendesk.com"
        assert "X-Frame-Options" not in page.headers


Refuse = Callable[[Admin, MakeAdmin], Answer]


def good(person: Admin) -> bytes:
    return form_of(signed_by_zendesk(RS256, claims_of(person)))


def limited(person: Admin, _: MakeAdmin) -> Answer:
    for _number in range(REFUSED_REQUESTS.amount):
        post(person, b"")
    return post(person, b"")


def unknown_key(_: Admin, make_admin: MakeAdmin) -> Answer:
    """The only case that has to ask somebody: a Zendesk on loopback stands for it, and so does its origin."""
    with scripted_zendesk(json_reply(500, {})) as zendesk:
        return post(person := make_admin(ZENDESK_URL_TEMPLATE=zendesk.template), good(person))


REFUSALS: dict[str, tuple[int, Refuse]] = {
    "no token": (401, lambda person, _: post(person, b"")),
    "no form": (401, lambda person, _: post(person, good(person), CONTENT_TYPE="text/plain")),
    "unsigned": (401, lambda person, _: post(person, form_of("e30.e30."))),
    "wrongly signed": (401, lambda person, _: post(person, good(person) + b"A")),
    "expired": (401, lambda person, _: post(person, form_of(person.simulator.sign("acme", 101, expired=True)))),
    "not on the list": (
        403,
        lambda person, make_admin: post(
            make_admin(**SECURE, ZENDESK_APP_PUBLIC_KEY=public_key_pem(), ZENDESK_SUBDOMAINS="globex"), good(person)
        ),
    ),
    "no app": (403, lambda person, make_admin: post(make_admin(**SECURE, ZENDESK_APPS=None), good(person))),
    "another address": (404, lambda person, _: ask(person.app, "POST", "/sidebar/x", body=good(person), **FORM)),
    "opened by hand": (405, lambda person, _: ask(person.app, "GET", "/sidebar")),
    "another verb": (405, lambda person, _: ask(person.app, "PUT", "/sidebar", body=good(person), **FORM)),
    "too large": (413, lambda person, _: post(person, b"x" * (LARGEST_BODY_BYTES + 1))),
    "cut off": (400, lambda person, _: post(person, b"token=", CONTENT_LENGTH="100")),
    "unreadable address": (400, lambda person, _: ask(person.app, "POST", "/sidebar", "origin=\xff", body=b"")),
    "no host": (400, lambda person, _: post(person, good(person), headers={"Host": ".."})),
    "waited too long": (
        504,
        lambda person, _: post(person, good(person), headers={"X-Request-Start": f"{int(time.time() - 26)}000"}),
    ),
    "limited": (429, limited),
    "no key": (502, unknown_key),
}


@pytest.mark.parametrize(("status", "refuse"), REFUSALS.values(), ids=REFUSALS)
def test_every_refusal_shows_in_any_accounts_frame_and_holds_nothing(
    earnest: Admin, make_admin: MakeAdmin, status: int, refuse: Refuse
) -> None:
    """Contract: where no account is verified, Zendesk's hosts may frame a page without data and without a control."""
    page = refuse(earnest, make_admin)
    assert page.status == status, page.text
    framing = directives(page.headers)["frame-ancestors"]
    assert framing == ANY_ACCOUNT or (status == 502 and framing.startswith("http://127.0.0.1:"))
    assert "X-Frame-Options" not in page.headers
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    elements = {name for name, _ in Outline(page.text).elements}
    assert elements & {"a", "button", "form", "input", "script", "iframe", "object", "embed", "img", "base"} == set()
    assert not any(text in page.text for text in ("bootstrap", "session_token", "authorize?subdomain", "Ada Morgan"))


def test_nothing_but_the_sidebar_may_be_framed(make_admin: MakeAdmin) -> None:
    person = make_admin(**SECURE, RATE_LIMITS="off", ZENDESK_APP_PUBLIC_KEY=public_key_pem())
    person.session_token = "no session"
    for rule, method in routes_of(person.app) | {
        ("/nowhere", "GET"),
        ("/sidebarx", "GET"),
        ("/Sidebar", "GET"),
        ("/api/v1/sidebar", "POST"),
    }:
        if rule != "/sidebar":
            path, _, query = ADDRESSES.get(rule, rule).partition("?")
            for headers in ({}, bearer(person), {"Host": ".."}, {"X-Request-Start": f"{int(time.time() - 26)}000"}):
                answer = ask(person.app, method, path, query, headers=headers)
                assert directives(answer.headers)["frame-ancestors"] == "'none'", (rule, method, headers)
                assert answer.headers["X-Frame-Options"] == "DENY"


# --- caches ---


def test_nothing_of_anybody_is_kept_by_a_cache(admin: Admin) -> None:
    """But for files that are everybody's, and the list, which is asked for again each time."""
    listed = ask(admin.app, "GET", "/api/v1/job_specs", headers=bearer(admin))
    assert listed.headers["Cache-Control"] == "private, no-cache"
    assert listed.headers["Vary"] == "Authorization"
    may_keep = {"/static/<path:filename>", "/api/v1/job_specs"}
    for rule, method in routes_of(admin.app):
        path, _, query = ADDRESSES.get(rule, rule).partition("?")
        for headers in ({}, bearer(admin)):
            answer = ask(admin.app, method, path, query, headers=headers)
            if rule not in may_keep or answer.status >= 400:
                assert answer.headers["Cache-Control"] == "no-store", (rule, method, answer.status)
                assert "ETag" not in answer.headers


def test_a_list_that_is_known_is_not_confirmed_to_somebody_else(admin: Admin, make_admin: MakeAdmin) -> None:
    """The tag of one account's list says nothing to another's caller, and none at all to a stranger."""
    etag = admin.call("GET", "/job_specs").headers["ETag"]
    other = make_admin(app=admin.app)
    other.connect("globex")

    assert admin.call("GET", "/job_specs", headers={"If-None-Match": etag}).status_code == 304
    for tag in (etag, "*"):
        assert admin.app.test_client().get("/api/v1/job_specs", headers={"If-None-Match": tag}).status_code == 401
    answer = other.call("GET", "/job_specs", headers={"If-None-Match": etag})
    assert answer.status_code == 200
    assert {row["integration"] for row in answer.get_json()["job_specs"]} <= {
        "globex_orders",
        "globex_shipping",
        "globex_archive",
    }


# --- other sites ---


def test_no_other_site_may_read_an_answer(admin: Admin) -> None:
    """CORS: never a header of it, whatever is asked for and whoever asks; a preflight gets no permission."""
    origins = ["https://acme.zendesk.com", "https://evil.example", "null", "http://localhost:9001"]
    admin.simulator.world.clear_calls()
    for rule, _ in routes_of(admin.app) | {("/nowhere", "GET")}:
        path, _, query = ADDRESSES.get(rule, rule).partition("?")
        for method in ("OPTIONS", "GET"):
            for origin in origins:
                told = PREFLIGHT | {"Origin": origin}
                for headers in (told, told | bearer(admin)):
                    named = {name.lower() for name, _ in ask(admin.app, method, path, query, headers=headers).headers}
                    assert not any(
                        name.startswith(("access-control-", "timing-allow-", "cross-origin-")) for name in named
                    )
    assert {call.method for call in admin.simulator.world.calls()} <= {"GET"}


def test_only_the_handshake_sets_a_cookie(admin: Admin) -> None:
    """So no form or script of another site finds anybody signed in here."""
    with_cookies = set()
    for rule, method in routes_of(admin.app):
        path, _, query = ADDRESSES.get(rule, rule).partition("?")
        answer = ask(
            admin.app, method, path, f"{query}&state=x" if "callback" in rule else query, headers=bearer(admin)
        )
        if "Set-Cookie" in answer.headers:
            with_cookies.add(rule)
            assert "HttpOnly" in answer.headers["Set-Cookie"]
            assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert with_cookies == {"/oauth/authorize", "/oauth/callback", "/signin"}


def test_a_page_takes_its_parts_from_here(admin: Admin, redis: Redis) -> None:
    """No other host is loaded from, but for Zendesk's SDK in the sidebar; so nobody hears of a code in a Referer."""
    assert redis.ping()
    pages = [
        ask(admin.app, "GET", "/"), ask(admin.app, "GET", "/oauth/callback"), ask(admin.app, "GET", "/nowhere"),
        ask(admin.app, "GET", "/sidebar"), post(admin, good(admin)),
    ]  # fmt: skip
    for page in pages:
        policy = directives(page.headers)
        assert policy["default-src"] == "'none'"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        sources = [
            link for link in Outline(page.text).links if link and not link.startswith(("/", "http://localhost:9001"))
        ]
        assert sources == []
        assert {value for name, value in policy.items() if name.endswith("-src")} <= {
            "'none'", "'self'", f"'self' {admin.simulator.address}",
        }  # fmt: skip
