"""/oauth/callback: the state, once and for one browser; what Zendesk may send back; the page that tells the opener."""

import json
import re
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from sandbox.simulator import Simulator
from service.connecting.routes import LONGEST_PARAMETER
from tests.conftest import MakeAdmin
from tests.steps import PUBLIC_URL, Admin
from tests.workers import at_once

RESULT = re.compile(r'<script type="application/json" id="oauth-result">(.*?)</script>', re.DOTALL)


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    return make_admin()


def result_of(reply: TestResponse) -> dict[str, object]:
    found: dict[str, object] = json.loads(RESULT.findall(reply.text)[0])
    return found


def state_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]


def call_back(person: Admin, **query: str) -> TestResponse:
    return person.browser.get(f"/oauth/callback?{urlencode(query)}")


def cookies_of(person: Admin) -> dict[str, str]:
    """Return the cookies the person's browser holds."""
    return {cookie.key: cookie.value for cookie in (person.browser._cookies or {}).values()}


def exchanges(simulator: Simulator) -> int:
    return len(simulator.world.calls(grant_type="authorization_code"))


def assert_failed(reply: TestResponse, status: int, code: str) -> None:
    assert reply.status_code == status, reply.text
    assert result_of(reply) == {"result": "failed", "code": code, "origin": PUBLIC_URL, "stay": False}
    assert code in reply.text
    assert reply.headers["X-Request-Id"] in reply.text
    assert reply.headers["Cache-Control"] == "no-store"


def test_the_page_tells_the_opener_and_closes(person: Admin) -> None:
    reply = person.connect("acme")

    assert reply.status_code == 200
    assert result_of(reply) == {"result": "connected", "code": None, "origin": PUBLIC_URL, "stay": False}
    assert "oauth-result.js" in reply.text
    assert "acme is connected" in reply.text


def test_no_code_state_or_token_stands_in_the_page(person: Admin) -> None:
    location = person.simulator.consent(person.authorize("acme"))
    query = parse_qs(urlsplit(location).query)
    reply = person.come_back(location)

    tokens = person.simulator.world.account("acme").tokens.values()
    secrets = [query["code"][0], query["state"][0], *(token.access_token for token in tokens)]
    assert len(secrets) > 2
    assert not any(secret in reply.text or secret in str(reply.headers) for secret in secrets)


def test_the_used_cookie_is_dropped_whatever_came_of_it(person: Admin) -> None:
    for user_id in (101, 102):
        location = person.simulator.consent(person.authorize("acme"), user_id)
        reply = person.come_back(location)
        dropped = SimpleCookie("\n".join(reply.headers.getlist("Set-Cookie")))
        assert [(one.value, one["path"]) for one in dropped.values()] == [("", "/")]
    assert cookies_of(person) == {}


@pytest.mark.parametrize("state", ["", "unknown", "é", "x" * LONGEST_PARAMETER, "\0"])
def test_an_unknown_state_is_refused(person: Admin, state: str) -> None:
    assert_failed(call_back(person, state=state, code="x"), 400, "invalid_state")
    assert exchanges(person.simulator) == 0


def test_a_callback_without_state_is_refused(person: Admin) -> None:
    assert_failed(person.browser.get("/oauth/callback"), 400, "invalid_state")


def test_an_expired_state_is_refused(person: Admin, redis: Redis) -> None:
    location = person.simulator.consent(person.authorize("acme"))
    for key in redis.keys("zis:state:*"):
        redis.expireat(key, 1)

    assert_failed(person.come_back(location), 400, "invalid_state")
    assert exchanges(person.simulator) == 0


def test_a_state_works_once(person: Admin) -> None:
    location = person.simulator.consent(person.authorize("acme"))
    cookies = cookies_of(person)
    assert person.come_back(location).status_code == 200
    for name, value in cookies.items():
        person.browser.set_cookie(name, value)

    assert_failed(person.come_back(location), 400, "invalid_state")
    assert exchanges(person.simulator) == 1


def test_of_racing_callbacks_only_one_wins(person: Admin) -> None:
    location = person.simulator.consent(person.authorize("acme"))
    cookie = "; ".join(f"{name}={value}" for name, value in cookies_of(person).items())
    path = location.removeprefix(PUBLIC_URL)

    def come_back(_: int) -> int:
        browser = person.app.test_client(use_cookies=False)
        return browser.get(path, headers={"Cookie": cookie}).status_code

    assert sorted(at_once(4, come_back)) == [200, 400, 400, 400]
    assert exchanges(person.simulator) == 1


def test_another_browser_cannot_use_a_state_and_burns_it(person: Admin, make_admin: MakeAdmin) -> None:
    location = person.simulator.consent(person.authorize("acme"))
    stranger = make_admin(app=person.app)
    stranger.authorize("acme")

    assert_failed(stranger.come_back(location), 400, "invalid_state")
    assert_failed(person.come_back(location), 400, "invalid_state")
    assert exchanges(person.simulator) == 0


def test_the_cookie_of_another_attempt_does_not_fit(person: Admin) -> None:
    location = person.simulator.consent(person.authorize("acme"))
    person.browser.set_cookie(next(iter(cookies_of(person))), "somebody-elses-secret")

    assert_failed(person.come_back(location), 400, "invalid_state")
    assert exchanges(person.simulator) == 0


def test_a_state_sealed_under_a_key_that_is_gone_is_refused(person: Admin, make_admin: MakeAdmin) -> None:
    location = person.simulator.consent(person.authorize("acme"))
    other = make_admin(SECRET_KEYS="another-key-of-the-callback-tests-0123456789")
    for name, value in cookies_of(person).items():
        other.browser.set_cookie(name, value)

    assert_failed(other.come_back(location), 400, "invalid_state")


def test_several_tabs_work_at_once(person: Admin) -> None:
    urls = [person.authorize(account) for account in ("acme", "globex", "acme")]
    users = (101, 201, 105)
    locations = [person.simulator.consent(url, user_id) for url, user_id in zip(urls, users, strict=True)]

    pages = [person.come_back(location) for location in reversed(locations)]
    assert [page.status_code for page in pages] == [200, 200, 200]
    assert ["Eve Lindqvist" in pages[0].text, "Finn Baker" in pages[1].text, "Ada Morgan" in pages[2].text] == [
        True,
        True,
        True,
    ]


def test_a_denial_says_so_and_how_to_go_on(person: Admin) -> None:
    location = person.simulator.consent(person.authorize("acme"), decision="deny")
    reply = person.come_back(location)

    assert_failed(reply, 403, "access_denied")
    assert "/oauth/authorize?subdomain=acme" in reply.text
    assert exchanges(person.simulator) == 0


def test_a_state_is_consumed_before_an_error_is_looked_at(person: Admin) -> None:
    location = person.simulator.consent(person.authorize("acme"), decision="deny")
    person.come_back(location)

    assert_failed(person.come_back(location), 400, "invalid_state")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("server_error", 502, "zendesk_unavailable"),
        ("temporarily_unavailable", 502, "zendesk_unavailable"),
        ("invalid_scope", 400, "invalid_request"),
        ("unauthorized_client", 400, "invalid_request"),
        ("\x1b[31m", 400, "invalid_request"),
        ("<script>alert(1)</script>", 400, "invalid_request"),
    ],
    ids=["server", "temporary", "scope", "client", "control characters", "markup"],
)
def test_a_refusal_in_the_redirect_is_translated(person: Admin, error: str, status: int, code: str) -> None:
    state = state_of(person.authorize("acme"))
    reply = call_back(person, state=state, error=error, code="ignored")

    assert_failed(reply, status, code)
    assert "<script>alert" not in reply.text
    assert "\x1b" not in reply.text
    assert exchanges(person.simulator) == 0


def test_neither_code_nor_error_is_refused(person: Admin) -> None:
    state = state_of(person.authorize("acme"))

    assert_failed(call_back(person, state=state), 400, "invalid_request")


@pytest.mark.parametrize("name", ["state", "code", "error", "iss"])
def test_a_repeated_parameter_is_refused(person: Admin, name: str) -> None:
    location = person.simulator.consent(person.authorize("acme"))
    location += f"&{name}=x" if name in location else f"&{name}=x&{name}=y"

    assert_failed(person.come_back(location), 400, "invalid_request")
    assert exchanges(person.simulator) == 0


def test_a_parameter_that_is_too_long_is_refused(person: Admin) -> None:
    location = person.simulator.consent(person.authorize("acme"))

    assert_failed(person.come_back(location + "x" * LONGEST_PARAMETER), 400, "invalid_request")


@pytest.mark.parametrize("issuer", ["https://globex.zendesk.com", "acme", "https://acme.zendesk.com.evil.com"])
def test_an_answer_of_another_issuer_is_refused(person: Admin, issuer: str) -> None:
    location = person.simulator.consent(person.authorize("acme"))

    assert_failed(person.come_back(f"{location}&{urlencode({'iss': issuer})}"), 400, "invalid_state")
    assert exchanges(person.simulator) == 0


@pytest.mark.parametrize("issuer", ["https://acme.zendesk.com", "https://acme.zendesk.com/", "own address"])
def test_the_accounts_own_issuer_is_fine(person: Admin, issuer: str) -> None:
    location = person.simulator.consent(person.authorize("acme"))
    if issuer == "own address":
        issuer = person.simulator.url_template.replace("{subdomain}", "acme")

    assert person.come_back(f"{location}&{urlencode({'iss': issuer})}").status_code == 200


def test_parameters_nobody_knows_are_ignored(person: Admin) -> None:
    location = person.simulator.consent(person.authorize("acme"))

    assert person.come_back(f"{location}&session_state=x").status_code == 200
