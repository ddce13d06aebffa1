"""Counts and times calls to Zendesk, by what they are for and how they ended."""

import time
from types import TracebackType
from typing import Literal, Self

from service.ground import metrics
from service.ground.errors import ZendeskTimeout

Kind = Literal["token", "mint", "client", "list", "change", "user", "revoke", "key", "other"]
"""What a call is for: a grant's pair, an integration's token and the client it is made from, the list of job specs,
installing and uninstalling, a person, the end of a token, an app's public key."""


class Measured:
    """One call, while the block runs; whoever makes it notes the reply's status."""

    def __init__(self, kind: Kind) -> None:
        self.status: int | None = None
        """None: no reply came."""
        self._kind = kind
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        metrics.ZENDESK_CALL_DURATION.labels(self._kind).observe(time.monotonic() - self._began)
        metrics.ZENDESK_CALLS.labels(self._kind, _result(self.status, failure)).inc()


def _result(status: int | None, failure: BaseException | None) -> str:
    """Return how a call ended, in one of eight words."""
    match status:
        case None:
            return "timeout" if isinstance(failure, ZendeskTimeout) else "unreachable"
        case 401:
            return "unauthorized"
        case 429:
            return "rate_limited"
    if status < 400:
        return "ok" if status < 300 else "redirected"
    return "refused" if status < 500 else "unavailable"
