"""Pages of other origins: let in where ALLOWED_ORIGINS has exactly theirs, and nowhere else."""

import pytest

from tests.attacks.attackers import ask, bearer
from tests.attacks.test_deputies import ADDRESSES, routes_of
from tests.attacks.test_framing import PREFLIGHT
from tests.conftest import MakeAdmin
from tests.seeding import seed
from tests.steps import Admin

ASKING = {name: value for name, value in PREFLIGHT.items() if name != "Origin"}
pytestmark = pytest.mark.attacks

ALLOWED = "https://app.example.com"
LOCAL = "http://localhost:8080"
# Browsers write none of these for the allowed page; some servers let them in all the same.
LOOK_ALIKES = [
    "null",
    "*",
    "",
    "https://app.example.com.",
    "https://app.example.com/",
    "https://app.example.com:443",
    "https://app.example.com:8443",
    "http://app.example.com",
    "HTTPS://APP.EXAMPLE.COM",
    "https://app.example.com.evil.example",
    "https://evil.example?https://app.example.com",
    "https://evilapp.example.com",
    "https://x.app.example.com",
    "https://example.com",
    "https://app-example.com",
    "https://app.example.com, https://evil.example",
    "http://localhost:9001",
    "http://localhost",
    "https://acme.zendesk.com",
]


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, on a service that lets two front ends in."""
    person = make_admin(ALLOWED_ORIGINS=f"{ALLOWED}, {LOCAL}", RATE_LIMITS="off")
    seed(person.app, person.simulator, "acme", 101)
    person.take_session("acme", 101)
    return person


def permissions(person: Admin, method: str, path: str, origin: str, **headers: str) -> dict[str, str]:
    """Return the headers that let a page read an answer, or say that it may ask."""
    told = {**bearer(person), **headers, "Origin": origin}
    answer = ask(person.app, method, *path.partition("?")[::2], headers=told)
    return {name: value for name, value in answer.headers if name.startswith("Access-Control-")}


@pytest.mark.parametrize("origin", [ALLOWED, LOCAL])
@pytest.mark.parametrize(
    ("method", "path", "authorization", "status"),
    [
        ("GET", "/api/v1/status", True, 200),
        ("GET", "/api/v1/job_specs", True, 200),
        ("POST", "/api/v1/session", True, 200),
        ("GET", "/api/v1/status?unknown=1", True, 400),
        ("GET", "/api/v1/status", False, 401),
        ("GET", "/api/v1/nothing", True, 404),
        ("PUT", "/api/v1/status", True, 405),
        ("GET", "/static/zis-client.js", False, 302),
        ("GET", "/static/0/zis-client.js", False, 200),
        ("GET", "/static/nothing.js", False, 404),
    ],
)
def test_an_allowed_page_reads_answers_and_refusals_alike(
    person: Admin, origin: str, method: str, path: str, authorization: bool, status: int
) -> None:
    told = {"Origin": origin} | (bearer(person) if authorization else {})
    answer = ask(person.app, method, *path.partition("?")[::2], headers=told)

    assert answer.status == status
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [origin]
    assert answer.headers["Access-Control-Expose-Headers"] == "Age, ETag, Retry-After, X-Request-Id"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"].split(", ")


@pytest.mark.parametrize("origin", LOOK_ALIKES)
def test_no_origin_that_resembles_an_allowed_one_is_let_in(person: Admin, origin: str) -> None:
    for path in ("/api/v1/status", "/api/v1/nothing", "/static/zis-client.js", "/static/0/zis-client.js"):
        assert permissions(person, "GET", path, origin) == {}
        assert permissions(person, "OPTIONS", path, origin, **ASKING) == {}


def test_an_answer_is_kept_apart_by_the_origin_that_asked(person: Admin) -> None:
    """A cache between us and the browser must not give one page's permission to another, nor none to both."""
    for path in ("/api/v1/job_specs", "/static/zis-client.js", "/static/0/zis-client.js"):
        without = ask(person.app, "GET", path, headers=bearer(person))
        assert "Origin" in ", ".join(without.headers.getlist("Vary"))
    listed = ask(person.app, "GET", "/api/v1/job_specs", headers=bearer(person))
    assert listed.headers["Vary"] == "Authorization, Origin"


def test_nothing_but_the_api_and_the_files_opens_to_an_allowed_origin(person: Admin) -> None:
    for rule, _ in routes_of(person.app) | {("/nowhere", "GET"), ("/api/v2/x", "GET"), ("/api", "GET")}:
        path = ADDRESSES.get(rule, rule)
        if not path.startswith(("/api/v1/", "/static/")):
            for method in ("GET", "POST", "OPTIONS"):
                assert permissions(person, method, path, ALLOWED, **ASKING) == {}, path


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/connection", "/api/v1/job_specs/x/install", "/api/v1/no"])
def test_a_preflight_passes_the_guard_and_does_nothing(person: Admin, path: str) -> None:
    """It comes without Authorization, whatever is to follow."""
    person.simulator.world.clear_calls()
    answer = ask(person.app, "OPTIONS", path, headers=PREFLIGHT | {"Origin": ALLOWED})

    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, DELETE"
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert sorted(allowed) == ["Authorization", "Cache-Control", "Content-Type", "If-None-Match"]
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert answer.headers["Vary"] == "Origin"
    assert answer.headers["X-Request-Id"]
    assert person.simulator.world.calls() == []


@pytest.mark.parametrize("headers", [{}, {"Origin": ALLOWED}, {"Access-Control-Request-Method": "GET"}])
def test_options_that_are_no_preflight_meet_the_guard(person: Admin, headers: dict[str, str]) -> None:
    assert ask(person.app, "OPTIONS", "/api/v1/status", headers=headers).status == 401


def test_an_allowed_page_needs_a_session_like_everybody(person: Admin) -> None:
    answer = ask(person.app, "GET", "/api/v1/status", headers={"Origin": ALLOWED})
    assert answer.status == 401
