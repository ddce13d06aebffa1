"""A clock that is far from Zendesk's is told in the log, now and then."""

from email.utils import formatdate

import pytest

from service.server.logs import configure_logs
from service.zendesk.clock import LOOK_SECONDS, TELL_SECONDS, ClockWatch
from tests.raw_server import RawServer, http_reply, make_client

NOW = 1_800_000_000.0


class Clock:
    """A monotonic clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(600, "seconds=600 says=\"this machine's clock is ahead of"), (-600, "is behind"), (30, None), (-30, None)],
)
def test_a_clock_that_is_minutes_off_is_told(
    seconds: float, words: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("logfmt")
    ClockWatch(lambda: NOW).compare(formatdate(NOW - seconds, usegmt=True))
    told = capsys.readouterr().out
    assert ("event=clock_off" in told, (words or "") in told) == (words is not None, True)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_reply_without_a_date_says_nothing(date: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("logfmt")
    ClockWatch(lambda: NOW).compare(date)
    assert capsys.readouterr().out == ""


def test_it_is_told_once_an_hour(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("logfmt")
    monotonic = Clock()
    watch, wrong = ClockWatch(lambda: NOW, monotonic), formatdate(NOW - 600, usegmt=True)
    for moment in (0.0, LOOK_SECONDS / 2, LOOK_SECONDS, TELL_SECONDS - 1, TELL_SECONDS + LOOK_SECONDS):
        monotonic.now = moment
        watch.compare(wrong)
    assert capsys.readouterr().out.count("clock_off") == 2


def test_calls_look_at_the_clock(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("logfmt")
    with RawServer(lambda _: [http_reply(b"{}", "Date: " + formatdate(NOW - 1e9, usegmt=True))]) as server:
        make_client(environment, server.address).get("/x")
    assert "event=clock_off" in capsys.readouterr().out
