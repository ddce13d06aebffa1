"""How long a request may take, counted from its arrival at the router; and instants on the wire."""

import time

import pytest
import time_machine

from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.timestamps import parse_timestamp, timestamp

NOW = 1_800_000_000
ROUNDING_SECONDS = 0.001


def leaves(request_start: str | None, seconds: float) -> bool:
    """Return whether a request of now has that long; the monotonic clock runs on while the wall clock stands still."""
    with time_machine.travel(NOW, tick=False):
        earliest = time.monotonic()
        deadline = Deadline.of_request(request_start)
        latest = time.monotonic()
    return earliest - ROUNDING_SECONDS <= deadline.at - seconds <= latest + ROUNDING_SECONDS


@pytest.mark.parametrize(
    ("request_start", "left"),
    [
        (f"{NOW - 10}000", 15.0),
        (f"{NOW - 10}500", 15.5),
        (f"t={NOW - 10}.250", 15.25),
        (f"{NOW - 10}.5", 15.5),
        (f"{NOW - 10}", 15.0),
        (f"{NOW}000", 25.0),
        (f"{NOW - 30}000", -5.0),
    ],
)
def test_time_spent_at_the_router_counts(request_start: str, left: float) -> None:
    assert leaves(request_start, left)


@pytest.mark.parametrize(
    "request_start",
    [
        None,
        "",
        "now",
        "-5",
        f"{NOW - 31}000",
        f"{NOW + 1}000",
        f"{NOW - 10}000, {NOW}000",
        f"{NOW - 10}000000",
        f"{NOW - 10}000\n",
        f" {NOW - 10}000",
        "١٨٠٠٠٠٠٠٠٠",
        "9" * 5000,
    ],
)
def test_an_arrival_that_cannot_be_is_ignored(request_start: str | None) -> None:
    assert leaves(request_start, REQUEST_BUDGET_SECONDS)


def test_a_deadline_passes() -> None:
    assert Deadline.after(-2).left() < 0
    assert Deadline(time.monotonic() - 2).left() < 0


def test_a_sooner_deadline_is_never_later() -> None:
    deadline = Deadline.after(50)

    assert deadline.sooner(30).at < deadline.at
    assert deadline.sooner(90) == deadline


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, None), (0, "1970-01-01T00:00:00Z"), (NOW + 0.9, "2027-01-15T08:00:00Z")]
)
def test_an_instant_is_written_in_utc_without_fractions(seconds: float | None, text: str | None) -> None:
    assert timestamp(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15T09:00:00+01:00", NOW),
        ("2027-01-15T08:00:00", None),
        ("soon", None),
        ("", None),
        (None, None),
        (NOW, None),
    ],
)
def test_an_instant_is_read_only_with_its_zone(text: object, seconds: float | None) -> None:
    assert parse_timestamp(text) == seconds


def test_a_step_of_the_wall_clock_changes_nothing() -> None:
    deadline = Deadline.after(5)

    with time_machine.travel(NOW + 3600, tick=False):
        assert 0 < deadline.left() <= 5
