"""`doctor` on the environment: every fault by its name, and what is allowed but odd."""

import re

import pytest
from redis import Redis

from service.ground.settings import VARIABLES, SettingsError
from service.operations.commands import commands_alone
from service.operations.doctor.settings_checks import check_settings, faults_of, workers_in
from tests.conftest import MakeApp
from tests.operations.checks import examine, trouble, verdict
from tests.operations.console import run, run_process
from tests.steps import Admin
from tests.test_settings import make_settings

LINE = re.compile(r"(ok  |warn|FAIL) [a-z][^:]*: .+[.\]]")
PUBLIC = "https://zis.example.com"
REAL = {"PUBLIC_URL": PUBLIC, "ZENDESK_URL_TEMPLATE": "https://{subdomain}.zendesk.com"}


def judged(check: str, environ: dict[str, str] | None = None, **changes: str) -> tuple[str, str]:
    """Return (status, all that is said) of a check of settings with some variables changed."""
    settings = make_settings(**changes)
    (one,) = [one for one in check_settings(settings, environ or {}) if one.check == check]
    return one.status, f"{one.says} {one.advice or ''}"


# --- faults ---


def test_every_fault_is_a_line_of_its_own_and_ends_it_with_1() -> None:
    answer = run_process({"PUBLIC_URL": "zis.example.com", "LOG_FORMAT": "xml", "ZENDESK_SUBDOMAIN": "acme"}, "doctor")
    assert answer.status == 1
    lines = answer.lines()
    assert all(line.startswith("FAIL settings: ") for line in lines)
    assert len({line.split()[2] for line in lines}) == len(lines) == 8
    meaning = "`redis://`, `rediss://`, `unix://`"
    assert any(line.startswith(f"FAIL settings: REDIS_URL is not set. Meaning: {meaning}; ") for line in lines)
    assert any(line.startswith("FAIL settings: PUBLIC_URL must be an https:// origin") for line in lines)
    assert "ZENDESK_SUBDOMAIN " not in answer.out
    assert "Failures: 8, warnings: 0." in answer.err
    assert "Traceback" not in answer.err


def test_the_faults_are_there_for_machines_too() -> None:
    app = commands_alone(SettingsError(["REDIS_URL is not set", "SECRET_KEYS names the same key twice"]))
    answer = run(app, "doctor", "--json")
    assert answer.status == 1
    assert answer.json()["counts"] == {"ok": 0, "warn": 0, "FAIL": 2}
    assert [one["says"] for one in answer.json()["checks"]] == [
        "REDIS_URL is not set.",
        "SECRET_KEYS names the same key twice.",
    ]


def test_every_variable_has_its_meaning() -> None:
    faults = [f"{variable.name} is odd" for variable in VARIABLES]
    for variable, finding in zip(VARIABLES, faults_of(SettingsError(faults)), strict=True):
        assert finding.line() == f"FAIL settings: {variable.name} is odd. Meaning: {variable.meaning}."


@pytest.mark.parametrize(
    ("text", "workers"), [(None, 1), ("4", 4), (" 2 ", 2), ("", None), ("two", None), ("-1", None)]
)
def test_web_concurrency_is_what_gunicorn_takes(text: str | None, workers: int | None) -> None:
    environ = {} if text is None else {"WEB_CONCURRENCY": text}
    assert workers_in(environ) == workers
    says = [one.line() for one in check_settings(make_settings(), environ) if one.status == "FAIL"]
    assert len(says) == (0 if workers else 1)
    assert all("WEB_CONCURRENCY" in line for line in says)


# --- a service that works ---


def test_one_line_a_check_and_nothing_else(admin: Admin) -> None:
    answer = run(admin.app, "doctor")
    assert answer.status == 0
    assert len(answer.lines()) > 25
    for line in answer.lines():
        assert LINE.fullmatch(line), line
    assert answer.err.splitlines()[-1] == "Failures: 0, warnings: 1."


def test_a_working_service_is_in_order(admin: Admin) -> None:
    assert trouble(examine(admin.app)) == set()


def test_json_is_one_document(admin: Admin) -> None:
    answer = run(admin.app, "doctor", "--json")
    document = answer.json()
    assert (answer.status, document["counts"]["FAIL"]) == (0, 0)
    assert document["counts"]["ok"] + document["counts"]["warn"] == len(document["checks"])
    assert all(set(one) == {"status", "check", "says", "advice", "account"} for one in document["checks"])


def test_strict_counts_warnings(admin: Admin) -> None:
    for arguments in (["--strict"], ["--strict", "--json"]):
        assert run(admin.app, "doctor", *arguments).status == 1


def test_strict_passes_where_there_is_none(admin: Admin, redis: Redis) -> None:
    redis.config_set("save", "3600 1")
    answer = run(admin.app, "doctor", "--strict")
    redis.config_set("save", "")
    assert answer.status == 0
    assert "Failures: 0, warnings: 0." in answer.err


def test_nothing_secret_is_said(admin: Admin) -> None:
    answer = run(admin.app, "doctor", "--json")
    with admin.simulator.world.lock:
        tokens = [one.access_token for one in admin.simulator.world.account("acme").tokens.values()]
    assert tokens
    assert not any(token in answer.out + answer.err for token in tokens)


def test_a_service_that_nobody_is_connected_to_is_warned_of(make_app: MakeApp) -> None:
    checks = examine(make_app(ZENDESK_SUBDOMAINS="*"))
    assert trouble(checks) == {
        ("warn", None, "accounts"),
        ("warn", None, "allowed accounts"),
        ("warn", None, "clock"),
    }
    assert "Open http://localhost:9001/" in verdict(checks, "accounts")[1]
    assert "No account is known yet" in verdict(checks, "clock")[1]


# --- odd settings ---


@pytest.mark.parametrize(
    ("check", "environ", "changes", "status", "words"),
    [
        ("outbound proxy", {}, {}, "ok", "directly"),
        ("outbound proxy", {"https_proxy": "http://10.0.0.1:80"}, {}, "warn", "https_proxy is set, and ignored"),
        (
            "outbound proxy",
            {"HTTPS_PROXY": "http://p:80", "ALL_PROXY": "x"},
            {},
            "warn",
            "ALL_PROXY, HTTPS_PROXY are set",
        ),
        (
            "outbound proxy",
            {"HTTPS_PROXY": "http://p:80"},
            {"OUTBOUND_PROXY": "http://user:canary@10.0.0.1:3128"},
            "ok",
            "through http://10.0.0.1:3128.",
        ),
        ("rate limits", {}, {}, "ok", "on"),
        ("rate limits", {}, {"RATE_LIMITS": "off"}, "warn", "RATE_LIMITS is off"),
        ("allowed accounts", {}, {}, "ok", "names 2"),
        ("allowed accounts", {}, {"ZENDESK_SUBDOMAINS": "*"}, "warn", "client secret"),
        ("metrics", {}, {}, "ok", "404"),
        ("metrics", {}, {"METRICS_TOKEN": "canary-0123456789"}, "ok", "is set"),
        ("oauth client", {}, {"ZENDESK_CLIENT_ID": "12345"}, "warn", "the client's number"),
        ("oauth client", {}, {"ZENDESK_CLIENT_ID": "job_specs_2"}, "ok", "mint"),
        ("other front ends", {}, {}, "ok", "only this service's own pages"),
        ("other front ends", {}, {**REAL, "ALLOWED_ORIGINS": "https://a.example"}, "ok", "lets in https://a.example."),
        ("other front ends", {}, {**REAL, "ALLOWED_ORIGINS": f"https://a.example,{PUBLIC}"}, "warn", "needs no entry"),
        ("other front ends", {}, {**REAL, "ALLOWED_ORIGINS": "http://localhost:3000"}, "warn", "Remove it"),
        (
            "other front ends",
            {},
            {"PUBLIC_URL": "http://localhost:9001", "ALLOWED_ORIGINS": "http://localhost:3000"},
            "ok",
            "lets in http://localhost:3000.",
        ),
        ("address", {}, REAL, "ok", f"{PUBLIC}/oauth/callback"),
        ("address", {"DYNO": "web.1"}, {"PUBLIC_URL": "http://localhost:9001"}, "warn", "Nobody but this machine"),
        ("proxies", {}, {**REAL, "TRUSTED_PROXIES": "1"}, "ok", "is 1"),
        ("proxies", {}, {**REAL, "TRUSTED_PROXIES": "0"}, "warn", "number of proxies"),
        ("proxies", {"DYNO": "web.1"}, REAL, "ok", "router"),
        ("proxies", {"DYNO": "web.1"}, {**REAL, "TRUSTED_PROXIES": "2"}, "warn", "router is one"),
        ("proxies", {}, {"PUBLIC_URL": "http://localhost:9001", "TRUSTED_PROXIES": "1"}, "warn", "set it to 0"),
        ("proxies", {}, {"PUBLIC_URL": "http://localhost:9001", "TRUSTED_PROXIES": "0"}, "ok", "is 0"),
        ("zendesk app", {}, {"ZENDESK_APPS": ""}, "warn", "package-app"),
        ("zendesk app", {}, {"ZENDESK_APPS": "5"}, "ok", "fetched from Zendesk"),
        (
            "zendesk app",
            {},
            {"ZENDESK_SUBDOMAINS": "acme,globex,initech", "ZENDESK_APPS": "globex:5"},
            "warn",
            "no app for acme, initech",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 15 else None,
)
def test_what_is_allowed_but_odd_is_a_warning(
    check: str, environ: dict[str, str], changes: dict[str, str], status: str, words: str
) -> None:
    said = judged(check, environ, **changes)
    assert said[0] == status
    assert words in said[1]
    assert "canary" not in said[1]


def test_the_simulated_zendesk_is_named(make_app: MakeApp, environment: dict[str, str]) -> None:
    status, words = verdict(examine(make_app()), "address")
    assert status == "ok"
    assert environment["ZENDESK_URL_TEMPLATE"] in words


def test_a_missing_app_is_a_warning_and_no_key_is_looked_for(make_app: MakeApp) -> None:
    checks = examine(make_app(ZENDESK_APPS=None))
    assert verdict(checks, "zendesk app")[0] == "warn"
    assert all(one["check"] != "app key" for one in checks)
