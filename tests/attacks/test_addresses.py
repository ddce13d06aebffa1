"""Open redirects, the Host a request claims, and what proxies are said to have forwarded."""

import re
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Flask

from tests.attacks.attackers import SECURE, Answer, ask, bearer, directives
from tests.attacks.test_deputies import ADDRESSES, routes_of
from tests.conftest import MakeAdmin, MakeApp

pytestmark = pytest.mark.attacks

EVIL = "evil.example"
# Names under which others look for an address to send the browser to (CVE-2020-5233, CVE-2020-4037).
REDIRECT_NAMES = (
    "next",
    "rd",
    "url",
    "uri",
    "return_to",
    "returnTo",
    "redirect",
    "redirect_uri",
    "continue",
    "origin",
    "state",
)
# What such a parameter or an account's name could hold.
ELSEWHERE = ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example",
             "///evil.example", "javascript:alert(1)", "data:text/html,x", "/%09/evil.example", "\t//evil.example",
             "https://acme.zendesk.com@evil.example", "https://evil.example/.zendesk.com",
             "evil.example#.zendesk.com", "acme.zendesk.com.evil.example", "acme\r\nLocation: //evil.example",
             "acme\n.zendesk.com", "\u3002evil.example", "evil\uff0eexample", "http://[::1]", "127.0.0.1",
             "0x7f000001", "localhost"]  # fmt: skip
# Headers by which proxies tell, and attackers would like to tell, where a request came from and went to.
FORWARDED = {
    "Forwarded": 'for=192.0.2.1;host=evil.example;proto=https;by="_x"',
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Server": EVIL,
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Path": "/evil",
    "X-Forwarded-Uri": "/api/v1/status",
    "X-Forwarded-Method": "DELETE",
    "X-Forwarded-User": "101",
    "X-Original-Url": "/livez",
    "X-Original-Uri": "/livez",
    "X-Rewrite-Url": "/livez",
    "X-Script-Name": "/evil",
    "X-Http-Method-Override": "DELETE",
    "X-Method-Override": "DELETE",
    "X-Host": EVIL,
    "Front-End-Https": "on",
    "True-Client-Ip": "192.0.2.1",
    "X-Real-Ip": "192.0.2.1",
}
# No host at all, or one that no host name can be: some of these Werkzeug refuses to route.
BAD_HOSTS = ["..", ".", "a..b", "x" * 300, f"{'x' * 64}.example", "[", "[::1", "a:b:c", "evil.example:99999999",
             "user@evil.example", "evil.example/path", "<script>alert(1)</script>", "{{7*7}}", "a b", "\xff\xfe",
             "evil.example\r\nX-Evil: 1", "", " ", "\0"]  # fmt: skip


def locations(app: Flask, query: str, **options: Any) -> set[str]:
    """Return where any public route sends a browser with that query."""
    found = set()
    for rule, method in routes_of(app):
        if not rule.startswith("/api") and method in {"GET", "POST", "HEAD"}:
            address = ADDRESSES.get(rule, rule).partition("?")
            reply = ask(app, method, address[0], "&".join(part for part in (address[2], query) if part), **options)
            found |= {
                reply.headers[name] for name in ("Location", "Refresh", "Content-Location") if name in reply.headers
            }
    return found


# --- open redirects ---


def test_no_parameter_says_where_a_browser_goes(make_app: MakeApp) -> None:
    app = make_app(**SECURE, ZENDESK_SUBDOMAINS="*", RATE_LIMITS="off")
    query = urlencode([(name, value) for name in REDIRECT_NAMES for value in ELSEWHERE[:3]])

    assert {urlsplit(one)[:3] for one in locations(app, query)} == {
        ("https", "acme.zendesk.com", "/oauth/authorizations/new")
    }


@pytest.mark.parametrize("name", ["account", "subdomain"])
def test_no_account_is_another_host(make_app: MakeApp, name: str) -> None:
    app = make_app(**SECURE, ZENDESK_SUBDOMAINS="*", RATE_LIMITS="off")
    path = {"account": "/", "subdomain": "/oauth/authorize"}[name]
    led: dict[str, str] = {}
    for value in ELSEWHERE:
        reply = ask(app, "GET", path, urlencode({name: value}))
        if reply.status not in {400, 403}:
            led[value] = reply.headers["Location"]

    # What names one label is an account of Zendesk's, whatever it looks like, unless it is known to be none.
    assert set(led) == {"account": {"0x7f000001", "localhost"}, "subdomain": {"0x7f000001"}}[name]
    for value, location in led.items():
        own = re.fullmatch(r"/oauth/authorize\?subdomain=[a-z0-9-]+", location)
        assert own or urlsplit(location).netloc == f"{value}.zendesk.com"


def test_after_the_form_the_browser_gets(make_app: MakeApp) -> None:
    """303 and 302 turn into a GET; a 307 would send what was posted on to Zendesk (RFC 9700, section 4.12)."""
    app = make_app(RATE_LIMITS="off")
    answers = {
        (rule, method): ask(app, method, *ADDRESSES.get(rule, rule).partition("?")[::2], body=b"token=x").status
        for rule, method in routes_of(app)
    }

    assert {route: status for route, status in answers.items() if 300 <= status < 400} == {
        ("/oauth/authorize", "GET"): 302,
        ("/oauth/authorize", "HEAD"): 302,
        ("/signin", "GET"): 302,
        ("/signin", "HEAD"): 302,
    }
    assert ask(app, "GET", "/", "account=acme").status == 303


# --- the Host header ---


@pytest.mark.parametrize("host", [EVIL, "localhost:9001.evil.example", "other.zendesk.com"])
def test_no_address_is_made_from_the_host_a_request_claims(make_admin: MakeAdmin, host: str) -> None:
    person = make_admin(RATE_LIMITS="off")
    person.open_sidebar("acme")
    app = person.app
    for rule, method in routes_of(app):
        path, _, query = ADDRESSES.get(rule, rule).partition("?")
        claimed = ask(app, method, path, query, headers={"Host": host, **bearer(person)})
        headers = [value for name, value in claimed.headers if name not in {"Date", "Last-Modified", "ETag"}]
        # The front page alone says under which name it was opened, as text.
        shown = re.sub(
            r"<code>[^<]*</code>|You opened this page under [^;]*;", "", claimed.body.decode(errors="replace")
        )
        assert not any(host in text for text in [*headers, shown]), rule


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sidebar",
        "/oauth/authorize",
        "/oauth/callback",
        "/nowhere",
        "/static/sidebar.css",
        "/livez",
        "/api/v1/status",
    ],
)
def test_a_host_that_is_none_gets_the_same_manners(make_app: MakeApp, path: str) -> None:
    """An error page has to come out where nothing can be routed; before, the error ended in a bare 500 and a trace."""
    app = make_app(RATE_LIMITS="off")
    for host in BAD_HOSTS:
        reply = ask(app, "GET", path, "subdomain=acme", headers={"Host": host})
        assert reply.status < 500, host
        framing = directives(reply.headers)["frame-ancestors"]
        assert (framing == "'none'") == (path != "/sidebar"), host
        assert reply.headers["X-Request-Id"]
        assert "X-Evil" not in reply.headers
        assert "<script>alert(1)</script>" not in reply.text


def test_a_host_nobody_can_route_is_a_malformed_request(make_app: MakeApp) -> None:
    app = make_app()
    page, problem = (ask(app, "GET", path, headers={"Host": ".."}) for path in ("/", "/api/v1/status"))

    assert (page.status, problem.status) == (400, 400)
    assert "invalid_request" in page.text
    assert problem.headers["Content-Type"] == "application/problem+json"


# --- forwarded headers ---


def told_apart(answer: Answer) -> tuple[int, str, dict[str, str]]:
    """Return an answer without what differs from request to request."""
    changing = {"X-Request-Id", "Set-Cookie", "Date"}
    random = r"(?<=state=)[\w-]{43}|(?<=code_challenge=)[\w-]{43}|\b[0-9a-f]{32}\b"
    headers = {name: re.sub(random, "", value) for name, value in answer.headers if name not in changing}
    return answer.status, re.sub(random, "", answer.text), headers


@pytest.mark.parametrize("proxies", ["0", "1", "2"])
@pytest.mark.parametrize(
    "path", ["/", "/oauth/authorize?subdomain=acme", "/oauth/callback", "/sidebar", "/api/v1/status", "/livez"]
)
def test_forwarded_headers_change_nothing_but_the_address_that_is_counted(
    make_app: MakeApp, proxies: str, path: str
) -> None:
    app = make_app(**SECURE, TRUSTED_PROXIES=proxies)
    where, _, query = path.partition("?")
    plain = told_apart(ask(app, "GET", where, query))

    for name, value in FORWARDED.items():
        assert told_apart(ask(app, "GET", where, query, headers={name: value})) == plain, name
    assert told_apart(ask(app, "GET", where, query, headers=FORWARDED)) == plain
    # Where a trusted proxy says http, pages are sent to PUBLIC_URL: tests/test_errors_and_headers.py.
    http = ("http", "https,http") if proxies == "0" else ()
    for scheme in ("https", "javascript", "\0", *http):
        assert told_apart(ask(app, "GET", where, query, headers={"X-Forwarded-Proto": scheme})) == plain, scheme


def test_a_forwarded_address_that_is_none_breaks_nothing(make_app: MakeApp) -> None:
    app = make_app(TRUSTED_PROXIES="1")
    addresses = [
        "",
        ",",
        "unknown",
        "_hidden",
        "[::1]:80",
        "192.0.2.1:80",
        "x" * 4000,
        "\xff",
        "192.0.2.1, ",
        "; drop",
        "\0",
    ]

    for address in addresses:
        for path, status in (("/oauth/callback", 400), ("/api/v1/status", 401), ("/sidebar", 405)):
            assert ask(app, "GET", path, headers={"X-Forwarded-For": address}).status == status, address
