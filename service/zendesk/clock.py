"""Tells the log where this machine's clock is far from Zendesk's, by the `Date` of replies."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import structlog

# Signed requests and tokens are judged with a leeway of a minute at most.
MOST_SECONDS_APART = 60.0
# Between two looks: reading a date takes longer than all else that a reply's headers are read for.
LOOK_SECONDS = 60.0
# Between two lines about it.
TELL_SECONDS = 3600.0

_log = structlog.get_logger(__name__)


class ClockWatch:
    """Compares now and then; `clock` is Unix seconds, `monotonic` seconds."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._looked_at = self._told_at = float("-inf")

    def compare(self, date: str | None) -> None:
        """Log that the clock is off if the `Date` of a reply that has just come says so (RFC 9110, section 6.6.1)."""
        now = self._monotonic()
        if date is None or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            apart = self._clock() - parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        if abs(apart) > MOST_SECONDS_APART and now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            direction = "ahead of" if apart > 0 else "behind"
            _log.error(
                "clock_off",
                seconds=round(abs(apart)),
                says=f"this machine's clock is {direction} Zendesk's: signed requests and tokens may seem expired",
            )
