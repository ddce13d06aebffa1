"""How long a request may still take. Knows nothing of what it is used for."""

import math
import re
import time
from dataclasses import dataclass

# The router gives up 30 s after it has the request and does not tell us (Heroku's H12); 5 s are left for the way back.
REQUEST_BUDGET_SECONDS = 25.0
# An older (or future) arrival time is a clock that is off, not a request that waited.
ARRIVAL_WINDOW_SECONDS = 30.0

_REQUEST_START = re.compile(r"(?:t=)?(\d{10})(?:\.(\d{1,6})|(\d{3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock; seconds."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the moment `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @classmethod
    def over(cls) -> "Deadline":
        """Return a moment that has passed: nobody waits."""
        return cls(-math.inf)

    @classmethod
    def of_request(cls, request_start: str | None) -> "Deadline":
        """Return the deadline of a request that the router took at `request_start`.

        `request_start` is the router's `X-Request-Start`: Unix milliseconds (Heroku) or seconds with a fraction and an
        optional `t=` (nginx). None, unreadable or not within the last 30 s: the request arrived now.
        """
        waited = 0.0
        match = _REQUEST_START.fullmatch(request_start or "")
        if match:
            seconds, fraction, milliseconds = match.groups()
            arrived = int(seconds) + float(f"0.{fraction or milliseconds or 0}")
            age = time.time() - arrived
            waited = age if 0 <= age <= ARRIVAL_WINDOW_SECONDS else 0.0
        return cls.after(REQUEST_BUDGET_SECONDS - waited)

    def left(self) -> float:
        """Return the seconds left; negative when it has passed."""
        return self.at - time.monotonic()

    def sooner(self, seconds: float) -> "Deadline":
        """Return this deadline, or the moment `seconds` from now if that comes first."""
        return Deadline(min(self.at, time.monotonic() + seconds))
