"""One line an event, with its request and account, at the level of whoever has to do something about it."""

import json
import logging
import re
import time
from typing import Any

import pytest
import structlog
import time_machine
from redis import Redis

from service.grants.access_tokens import AccessTokens
from service.grants.grants import Grants
from service.grants.upkeep import Upkeep
from service.ground.deadlines import Deadline
from service.ground.errors import ServiceError
from service.ground.subdomains import Subdomain
from service.server.logs import configure_logs
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import ORDERS_ONLY, Admin, collaborator
from tests.stored_grants import expire

ACME = Subdomain("acme")
VIP = "escalate_vip_order"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_json_lines_carry_time_level_event_and_request(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    browser = make_app(LOG_FORMAT="json", REDIS_URL="redis://127.0.0.1:1/0").test_client()
    browser.get("/readyz", headers={"X-Request-Id": "the-request"})

    event = json.loads(lines(capsys)[-1])
    assert event["event"] == "request_failed"
    assert (event["level"], event["code"], event["route"]) == ("error", "store_unavailable", "/readyz")
    assert event["request_id"] == "the-request"
    assert event["at"].endswith("Z")


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_a_field_without_a_value_is_left_out(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logs(log_format)
    structlog.get_logger("tests").warning("broken", cause=None, upstream_status=None, entries=0, is_kept=False)

    (line,) = lines(capsys)
    assert "cause" not in line
    assert "upstream_status" not in line
    assert "entries" in line
    assert "is_kept" in line


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_an_exception_is_named_with_its_place_and_without_its_words(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logs(log_format)
    try:
        raise KeyError("canary")
    except KeyError as fault:
        structlog.get_logger("tests").error("broken", exc_info=fault, account="acme")

    (line,) = lines(capsys)
    assert "KeyError" in line
    assert "test_logs.py" in line
    assert "canary" not in line
    assert "request_id" not in line


def test_logfmt_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("logfmt")
    structlog.get_logger("tests").info("two\nlines", detail='a "quoted" text')

    (line,) = lines(capsys)
    assert line.startswith("at=")
    assert "level=info" in line


def test_what_libraries_say_at_debug_stays_unsaid(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("logfmt")
    structlog.get_logger("tests").debug("detail")

    assert lines(capsys) == []
    assert not logging.getLogger("authlib").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("urllib3").isEnabledFor(logging.DEBUG)


# --- whose line it is ---


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """Return the logfmt lines since the last look, without their instants; none of ours has a space in a value."""
    return [dict(re.findall(r"(\w+)=(\S*)", line.partition(" ")[2])) for line in lines(capsys)]


def of(name: str, found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [event for event in found if event["event"] == name]


@pytest.fixture
def admin(make_admin: MakeAdmin, capsys: pytest.CaptureFixture[str]) -> Admin:
    """Acme's admin, connected, on a service with one integration; nothing of that is in the log any more."""
    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    person.status()
    capsys.readouterr()
    return person


@pytest.mark.parametrize("path", ["/job_specs", "/session"])
def test_a_line_names_the_account_of_its_request(
    admin: Admin, make_admin: MakeAdmin, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    away = make_admin(REDIS_URL="redis://127.0.0.1:1/0")
    away.app.view_functions["session.renew_session"] = break_down
    away.session_token = admin.session_token
    away.call("POST" if path == "/session" else "GET", path, headers={"X-Request-Id": "the-request"})

    (failed,) = of("request_failed", events(capsys))
    assert (failed["account"], failed["request_id"]) == ("acme", "the-request")


def break_down() -> str:
    raise KeyError


def test_a_handshake_names_its_account_from_its_state_on(admin: Admin, capsys: pytest.CaptureFixture[str]) -> None:
    admin.meets({"where": "token", "kind": "http_500_text"})
    admin.come_back(admin.simulator.consent(admin.authorize("acme")))
    assert [event["account"] for event in of("request_failed", events(capsys))] == ["acme"]


def test_the_beginning_of_a_handshake_names_its_account(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    make_app(REDIS_URL="redis://127.0.0.1:1/0").test_client().get("/oauth/authorize?subdomain=acme")
    assert [event["account"] for event in of("request_failed", events(capsys))] == ["acme"]


def test_threads_of_a_request_name_it_too(
    admin: Admin, make_admin: MakeAdmin, capsys: pytest.CaptureFixture[str]
) -> None:
    three = make_admin()
    three.session_token = admin.session_token
    admin.meets({"where": "list", "kind": "http_500_zis"})
    three.call("GET", "/job_specs", headers={"X-Request-Id": "of-three-threads"})

    failed = of("list_failed", events(capsys))
    assert len(failed) == 3
    assert {event["request_id"] for event in failed} == {"of-three-threads"}


def test_a_line_after_a_request_does_not_name_it(admin: Admin, capsys: pytest.CaptureFixture[str]) -> None:
    admin.status()
    structlog.get_logger("tests").info("later")
    admin.browser.get("/api/v1/status", headers={"Authorization": "Bearer nothing"})
    structlog.get_logger("tests").info("later")

    for event in of("later", events(capsys)):
        assert set(event) == {"level", "event"}


def test_one_request_does_not_name_the_account_of_another(
    admin: Admin, make_app: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.status()
    make_app(REDIS_URL="redis://127.0.0.1:1/0").test_client().get("/readyz")
    (failed,) = of("request_failed", events(capsys))
    assert "account" not in failed


# --- how bad it is ---


def levels(found: list[dict[str, str]]) -> dict[str, str]:
    """Return the levels by event; one event has one of them."""
    told = {event["event"]: event["level"] for event in found}
    assert len({(event["event"], event["level"]) for event in found}) == len(told)
    return told


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"where": "list", "kind": "http_500_zis"}, {"list_failed": "warning", "request_failed": "warning"}),
        ({"where": "list", "kind": "reset"}, {"list_failed": "warning", "request_failed": "warning"}),
        # Neither a failure of ours nor of Zendesk's: it is said to the caller alone.
        ({"where": "list", "kind": "http_429"}, {"list_failed": "warning"}),
    ],
    ids=["fails", "breaks off", "limits"],
)
def test_what_is_zendesks_to_mend_is_a_warning(
    admin: Admin, capsys: pytest.CaptureFixture[str], fault: dict[str, Any], told: dict[str, str]
) -> None:
    admin.meets(fault)
    assert admin.list_fresh().status_code >= 400
    assert levels(events(capsys)) == told


def test_a_failed_change_is_a_warning_and_one_that_was_made_is_not(
    admin: Admin, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.install(VIP)
    made = events(capsys)
    admin.meets({"where": "change", "kind": "http_429"})
    admin.install(VIP)

    assert [event["level"] for event in of("installed", made)] == ["info"]
    # It was installed already, so this one would have been armed anew.
    assert [event["level"] for event in of("rearm_failed", events(capsys))] == ["warning"]


def test_a_store_that_is_away_is_an_error_that_names_its_kind(
    admin: Admin, make_admin: MakeAdmin, capsys: pytest.CaptureFixture[str]
) -> None:
    away = make_admin(REDIS_URL="redis://127.0.0.1:1/0")
    away.session_token = admin.session_token
    away.call("GET", "/job_specs")
    (failed,) = of("request_failed", events(capsys))
    assert (failed["level"], failed["cause"]) == ("error", "ConnectionError")


def refresh(admin: Admin) -> None:
    with pytest.raises(ServiceError):
        collaborator(admin.app, AccessTokens).get(ACME, Deadline.after(25))


@pytest.mark.parametrize(
    ("fault", "level"),
    [
        ({"where": "token", "kind": "http_500_text"}, "warning"),
        ({"where": "token", "kind": "oauth_error", "error": "invalid_client"}, "error"),
    ],
    ids=["of Zendesk's", "of our settings"],
)
def test_a_refresh_that_fails_is_an_error_only_if_it_is_ours(
    admin: Admin, capsys: pytest.CaptureFixture[str], fault: dict[str, Any], level: str
) -> None:
    expire(admin)
    admin.meets(fault)
    refresh(admin)
    assert levels(events(capsys)) == {"refresh_failed": level}


def test_a_grant_that_was_revoked_is_a_warning(admin: Admin, capsys: pytest.CaptureFixture[str]) -> None:
    expire(admin)
    admin.simulator.world.account("acme").revoke_grants()
    refresh(admin)
    assert levels(events(capsys)) == {"grant_dead": "warning"}


def test_a_grant_that_was_lost_on_the_way_is_an_error(
    admin: Admin, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    expire(admin)
    admin.meets({"where": "token", "kind": "reset", "after_effect": True})
    refresh(admin)
    admin.meets()
    redis.delete("zis:{acme}:cool_down")
    refresh(admin)
    assert levels(events(capsys)) == {"refresh_failed": "warning", "grant_dead": "error"}


def test_the_upkeep_says_of_each_account_what_became_of_it(
    admin: Admin, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    grants, upkeep = collaborator(admin.app, Grants), collaborator(admin.app, Upkeep)
    grant = grants.get(ACME)
    assert grant is not None
    now = time.time()
    assert grants.update(
        ACME, grant, grant.changed(obtained_at=now - 6_000_000, refresh_token_expires_at=now + 1_000_000)
    )
    admin.meets({"where": "token", "kind": "http_500_text"})
    upkeep.go_round()
    failed = levels(events(capsys))
    admin.meets()
    redis.delete("zis:{acme}:cool_down", "zis:upkeep")
    upkeep.go_round()

    assert failed == {"refresh_failed": "warning", "upkeep_refresh_failed": "warning"}
    assert levels(events(capsys)) == {"refreshed": "info", "upkeep_refreshed": "info"}


def test_an_app_key_that_cannot_be_fetched_is_told_while_the_last_one_serves(
    admin: Admin, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.meets({"where": "public_key", "kind": "http_404"})
    with time_machine.travel(time.time() + 25 * 3600, tick=True):
        admin.open_sidebar("acme")
    assert levels(events(capsys)) == {"app_key_not_fetched": "warning"}
