"""One line an event, with the request's id, and of an exception only where it came from."""

import json
import logging

import pytest
import structlog

from service.operations.logs import configure_logs
from tests.conftest import MakeApp


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
