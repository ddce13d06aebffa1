"""Every answer's headers, and the one form of every error, through HTTP."""

import io
import time
from html import unescape

import pytest
import time_machine
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sandbox.simulator import Simulator, public_key_pem
from sandbox.simulator.faults import Fault
from service.web.answers import LARGEST_BODY_BYTES
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import PUBLIC_URL, Admin

MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}
SECURE = {"PUBLIC_URL": "https://zis.example.com", "ZENDESK_URL_TEMPLATE": None}
PUBLIC_GETS = ["/", "/livez", "/readyz", "/robots.txt", "/favicon.ico", "/sidebar", "/static/sidebar.css"]
NOWHERE = ["/nowhere", "/oauth/nowhere", "/sidebar/nowhere", "/static/nowhere.css", "/api/nowhere", "/api"]


@pytest.fixture
def browser(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


def policy(reply: TestResponse) -> dict[str, str]:
    directives = reply.headers["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (one.partition(" ") for one in directives)}


def assert_problem(reply: TestResponse, status: int, code: str) -> dict[str, object]:
    """Check the members every problem has; return it."""
    assert reply.status_code == status, reply.text
    assert reply.content_type == "application/problem+json"
    problem: dict[str, object] = reply.get_json()
    assert set(problem) >= MEMBERS
    assert problem["type"] == f"{PUBLIC_URL}/docs#{code}"
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == reply.headers["X-Request-Id"]
    assert None not in problem.values()
    if "retry_after" in problem:
        assert reply.headers["Retry-After"] == str(problem["retry_after"])
    return problem


# --- headers ---


@pytest.mark.parametrize("path", [*PUBLIC_GETS, *NOWHERE, "/api/v1/status", "/oauth/authorize", "/oauth/callback"])
def test_every_answer_carries_the_common_headers(browser: FlaskClient, path: str) -> None:
    reply = browser.get(path, buffered=True)

    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert reply.headers["X-Request-Id"]
    assert "Cross-Origin-Opener-Policy" not in reply.headers
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert "Strict-Transport-Security" not in reply.headers
    if path != "/static/sidebar.css":
        assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [*PUBLIC_GETS, *NOWHERE, "/api/v1/status", "/oauth/callback"])
def test_nothing_inline_may_run_and_no_form_is_stopped(browser: FlaskClient, simulator: Simulator, path: str) -> None:
    directives = policy(browser.get(path, buffered=True))

    assert directives["default-src"] == "'none'"
    assert directives["base-uri"] == "'none'"
    assert directives["style-src"] == "'self'"
    # The simulated Zendesk serves a stand-in for the SDK.
    sdk = f" {simulator.address}" if path.startswith("/sidebar") else ""
    assert directives["script-src"] == f"'self'{sdk}"
    assert "form-action" not in directives


def test_the_sdk_comes_from_zendesk_where_that_is_not_simulated(make_app: MakeApp) -> None:
    reply = make_app(**SECURE).test_client().get("/sidebar", headers={"X-Forwarded-Proto": "https"})

    assert policy(reply)["script-src"] == "'self' https://static.zdassets.com"


@pytest.mark.parametrize("path", [path for path in [*PUBLIC_GETS, *NOWHERE] if not path.startswith("/sidebar")])
def test_only_the_sidebar_may_be_framed(browser: FlaskClient, path: str) -> None:
    reply = browser.get(path, buffered=True)

    assert policy(reply)["frame-ancestors"] == "'none'"
    assert reply.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sidebar"),
        ("GET", "/sidebar/"),
        ("HEAD", "/sidebar"),
        ("POST", "/sidebar"),
        ("POST", "/sidebar/"),
        ("PUT", "/sidebar"),
        ("OPTIONS", "/sidebar"),
        ("GET", "/sidebar/nowhere"),
    ],
)
def test_an_unverified_answer_of_the_sidebar_may_be_framed_by_zendesk_and_holds_nothing(
    make_app: MakeApp, simulator: Simulator, method: str, path: str
) -> None:
    for changes, framing in ((SECURE, "https://*.zendesk.com"), ({}, simulator.address)):
        reply = make_app(**changes).test_client().open(path, method=method)

        assert policy(reply)["frame-ancestors"] == framing
        assert "X-Frame-Options" not in reply.headers
        assert not any(tag in reply.text for tag in ("bootstrap", "<button", "<a ", "<form", "<script"))


def test_a_verified_sidebar_may_be_framed_by_its_own_account_alone(
    make_app: MakeApp, simulator: Simulator, make_admin: MakeAdmin
) -> None:
    browser = make_app(**SECURE, ZENDESK_APP_PUBLIC_KEY=public_key_pem()).test_client()
    reply = browser.post("/sidebar", data={"token": simulator.sign("acme", 101)})
    assert reply.status_code == 200
    assert policy(reply)["frame-ancestors"] == "https://acme.zendesk.com"
    assert "X-Frame-Options" not in reply.headers

    local = make_admin().post_sidebar(simulator.sign("acme", 101))
    assert policy(local)["frame-ancestors"] == simulator.address


def test_an_oversized_post_to_the_sidebar_may_be_framed_too(browser: FlaskClient, simulator: Simulator) -> None:
    reply = browser.post("/sidebar", data={"token": "x" * LARGEST_BODY_BYTES})

    assert reply.status_code == 413
    assert policy(reply)["frame-ancestors"] == simulator.address


BY_HTTP = {"X-Forwarded-Proto": "http", "Host": "evil.example"}


@pytest.mark.parametrize(
    ("address", "method"),
    [("/", "GET"), ("/?subdomain=acme&x=%C3%A9", "GET"), ("/oauth/authorize?subdomain=acme", "GET"), ("/docs", "HEAD"),
     ("/sidebar?origin=x", "POST"), ("/static/sidebar.css", "GET"), ("/nowhere", "GET")],
)  # fmt: skip
def test_a_page_by_plain_http_is_sent_to_the_public_url(address: str, method: str, make_app: MakeApp) -> None:
    app = make_app(**SECURE, TRUSTED_PROXIES="1")
    path, _, query = address.partition("?")
    reply = app.test_client().open(path, query_string=query, method=method, headers=BY_HTTP)

    assert reply.status_code == 308
    assert reply.location == f"https://zis.example.com{address}"
    assert "evil.example" not in reply.text
    assert "Set-Cookie" not in reply.headers


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/session", "/openapi.json", "/metrics"])
def test_the_api_by_plain_http_is_refused_in_words(path: str, make_app: MakeApp) -> None:
    reply = make_app(**SECURE, TRUSTED_PROXIES="1").test_client().post(path, headers=BY_HTTP)

    assert (reply.status_code, reply.get_json()["code"]) == (400, "invalid_request")
    assert "plain http" in reply.get_json()["detail"]
    assert "https://zis.example.com" in reply.get_json()["detail"]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_platforms_probes_may_come_by_plain_http(path: str, make_app: MakeApp) -> None:
    assert make_app(**SECURE, TRUSTED_PROXIES="1").test_client().get(path, headers=BY_HTTP).status_code == 200


@pytest.mark.parametrize(
    ("proxies", "scheme", "status"),
    [("1", None, 200), ("1", "https", 200), ("1", "HTTP", 308), ("1", "https, http", 308), ("1", "http, https", 200),
     ("2", "https, http", 200), ("2", "http, https", 308), ("2", "http", 200), ("0", "http", 200)],
)  # fmt: skip
def test_only_a_trusted_proxy_says_that_it_was_http(
    proxies: str, scheme: str | None, status: int, make_app: MakeApp
) -> None:
    headers = {} if scheme is None else {"X-Forwarded-Proto": scheme}
    assert make_app(**SECURE, TRUSTED_PROXIES=proxies).test_client().get("/", headers=headers).status_code == status


@pytest.mark.parametrize("public_url", [PUBLIC_URL, "https://set-me-later.invalid"])
def test_without_an_address_of_https_nobody_is_sent_away(public_url: str, make_app: MakeApp) -> None:
    app = make_app(**{**SECURE, "PUBLIC_URL": public_url}, TRUSTED_PROXIES="1")
    assert app.test_client().get("/", headers=BY_HTTP).status_code == 200


def test_https_is_remembered_by_browsers(make_app: MakeApp) -> None:
    reply = make_app(**SECURE).test_client().get("/livez")

    assert reply.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("offered", ["abc", "9f3c-1.2_3", "x" * 128])
def test_a_routers_request_id_is_taken_over(browser: FlaskClient, offered: str) -> None:
    reply = browser.get("/api/v1/status", headers={"X-Request-Id": offered})

    assert reply.headers["X-Request-Id"] == offered
    assert reply.get_json()["request_id"] == offered


@pytest.mark.parametrize("offered", ["", "a b", 'x"y', "x" * 129, "<script>", "a=b", "é"])
def test_a_request_id_that_could_do_harm_is_replaced(browser: FlaskClient, offered: str) -> None:
    ids = {browser.get("/livez", headers={"X-Request-Id": offered}).headers["X-Request-Id"] for _ in range(2)}

    assert offered not in ids
    assert [len(one) for one in ids] == [32, 32]


# --- forms of errors ---


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nowhere", "/api/v1/job_specs/x", "/openapi.json/x", "/livez/x"]
)
def test_an_unknown_address_for_programs_is_a_problem(browser: FlaskClient, path: str) -> None:
    assert_problem(browser.get(path), 404, "not_found")


@pytest.mark.parametrize("path", ["/nowhere", "/apix", "/oauth", "/oauth/nowhere", "/sidebar/x", "/static/x", "/%00"])
def test_an_unknown_address_for_people_is_a_page_that_shows_the_same(browser: FlaskClient, path: str) -> None:
    reply = browser.get(path)

    assert reply.status_code == 404
    assert reply.content_type == "text/html; charset=utf-8"
    shown = unescape(reply.text)
    assert all(text in shown for text in ("Not found", "not_found", "404", reply.headers["X-Request-Id"]))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/livez", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/readyz", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/api/v1/session", {"POST", "OPTIONS"}),
        ("GET", "/api/v1/connection", {"DELETE", "OPTIONS"}),
        ("GET", "/api/v1/job_specs/x/install", {"POST", "DELETE", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(browser: FlaskClient, method: str, path: str, allowed: set[str]) -> None:
    reply = browser.open(path, method=method)

    assert_problem(reply, 405, "method_not_allowed")
    assert set(reply.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(("method", "path"), [("POST", "/"), ("POST", "/oauth/callback"), ("PUT", "/sidebar")])
def test_a_wrong_method_of_a_page_is_a_page(browser: FlaskClient, method: str, path: str) -> None:
    reply = browser.open(path, method=method)

    assert reply.status_code == 405
    assert "method_not_allowed" in reply.text
    assert reply.headers["Allow"]


def test_getting_the_sidebar_says_where_it_lives(browser: FlaskClient) -> None:
    reply = browser.get("/sidebar")

    assert reply.status_code == 405
    assert "POST" in reply.headers["Allow"]
    assert "Open this app in Zendesk" in reply.text


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/robots.txt"])
def test_head_answers_as_get_without_a_body(browser: FlaskClient, path: str) -> None:
    reply = browser.head(path)

    assert reply.status_code == 200
    assert reply.data == b""
    assert reply.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/livez/", "/oauth/authorize/", "/api/v1/status/", "/sidebar/", "/static/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_address_is_mended_by_a_redirect(browser: FlaskClient, method: str, path: str) -> None:
    assert browser.open(path, method=method).status_code not in range(300, 400)


@pytest.mark.parametrize("path", ["/api/v1/session", "/livez"])
def test_a_declared_body_over_64_kib_is_refused(browser: FlaskClient, path: str) -> None:
    assert_problem(browser.post(path, data=b"x" * (LARGEST_BODY_BYTES + 1)), 413, "payload_too_large")


def test_a_body_of_unknown_length_is_refused_while_it_is_read(browser: FlaskClient) -> None:
    body = io.BytesIO(b"token=" + b"x" * LARGEST_BODY_BYTES)
    reply = browser.post(
        "/sidebar",
        input_stream=body,
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
    )

    assert reply.status_code == 413
    assert "payload_too_large" in reply.text


def test_a_short_body_of_unknown_length_is_read(browser: FlaskClient, simulator: Simulator) -> None:
    reply = browser.post(
        "/sidebar",
        input_stream=io.BytesIO(f"token={simulator.sign('acme', 101)}".encode()),
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
    )

    assert reply.status_code == 200


def test_a_form_of_very_many_parts_is_refused(browser: FlaskClient) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    reply = browser.post("/sidebar", data=part * 1100 + b"--b--\r\n", content_type="multipart/form-data; boundary=b")

    assert reply.status_code == 413
    assert "payload_too_large" in reply.text


def test_a_body_that_breaks_off_is_a_malformed_request(browser: FlaskClient) -> None:
    reply = browser.post(
        "/sidebar",
        input_stream=io.BytesIO(b"token="),
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"CONTENT_LENGTH": "100"},
    )

    assert reply.status_code == 400
    assert "invalid_request" in reply.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/status?unknown=1"),
        ("GET", "/status?%ff=1"),
        ("DELETE", "/connection?uninstall=true&uninstall=true"),
        ("DELETE", "/connection?uninstall=maybe"),
        ("DELETE", "/connection?uninstall=%ff"),
        ("DELETE", "/connection?uninstall=%00"),
        ("DELETE", "/connection?unknown=1"),
    ],
)
def test_a_parameter_that_is_unknown_repeated_or_unreadable_is_refused(
    make_admin: MakeAdmin, method: str, path: str
) -> None:
    person = make_admin()
    person.open_sidebar()
    person.simulator.world.clear_calls()

    assert_problem(person.call(method, path), 400, "invalid_request")
    assert person.simulator.world.calls() == []


def test_a_body_of_64_kib_is_read(browser: FlaskClient) -> None:
    reply = browser.post("/sidebar", data={"token": "x" * (LARGEST_BODY_BYTES - len("token="))})

    assert reply.status_code == 401


@pytest.mark.parametrize("age_seconds", [25, 30])
def test_a_request_that_waited_too_long_is_not_begun_unless_a_monitor_asks(
    browser: FlaskClient, age_seconds: int
) -> None:
    with time_machine.travel(int(time.time()), tick=False):
        started = f"{int(time.time()) - age_seconds}000"
        reply = browser.get("/openapi.json", headers={"X-Request-Start": started})
        health = [browser.get(path, headers={"X-Request-Start": started}) for path in ("/livez", "/readyz")]

    problem = assert_problem(reply, 504, "zendesk_timeout")
    assert problem["retry_after"] == 1
    assert [one.status_code for one in health] == [200, 200]


def test_without_redis_only_what_needs_it_fails(make_app: MakeApp) -> None:
    browser = make_app(REDIS_URL="redis://127.0.0.1:1/0").test_client()

    assert browser.get("/livez").status_code == 200
    assert_problem(browser.get("/readyz"), 503, "store_unavailable")
    assert "store_unavailable" in browser.get("/oauth/authorize?subdomain=acme").text


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("users", "http_500_text"), 502, "zendesk_unavailable"),
        (Fault("users", "http_429", retry_after=30), 429, "rate_limited"),
        (Fault("users", "http_429"), 429, "rate_limited"),
    ],
    ids=["5xx", "limit", "limit without Retry-After"],
)
def test_zendesks_failure_is_shown_with_its_status_and_words(
    admin: Admin, fault: Fault, status: int, code: str
) -> None:
    admin.simulator.world.account("acme").faults = [fault]
    with time_machine.travel(time.time() + 301):
        reply = admin.install("refund_record_created")

    problem = assert_problem(reply, status, code)
    assert problem["upstream_status"] == (500 if status == 502 else 429)
    assert problem["upstream_detail"]
    assert ("retry_after" in problem) == (status == 429)


def test_an_error_that_connecting_would_mend_says_where(make_admin: MakeAdmin) -> None:
    person = make_admin()
    person.open_sidebar()

    problem = assert_problem(person.call("GET", "/job_specs"), 409, "authorization_required")
    assert problem["authorize_url"] == f"{PUBLIC_URL}/oauth/authorize?subdomain=acme"


@pytest.mark.parametrize("path", ["/api/boom", "/boom"])
def test_the_unforeseen_is_logged_and_its_text_never_shown(
    make_app: MakeApp, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    app = make_app()

    def boom() -> str:
        raise ZeroDivisionError("canary-secret")

    app.add_url_rule(path, view_func=boom)
    reply = app.test_client().get(path)

    assert reply.status_code == 500
    assert "internal_error" in reply.text
    logged = capsys.readouterr().out
    assert "ZeroDivisionError" in logged
    assert reply.headers["X-Request-Id"] in logged
    assert "canary" not in reply.text + logged
