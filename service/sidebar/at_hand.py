"""Status and list for a page that is being opened, as far as Redis has them; Zendesk is not asked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.account.status import Connection
from service.ground.errors import StoreUnavailable
from service.ground.settings import Settings
from service.job_specs.kept_lists import microseconds
from service.job_specs.listing import Listing
from service.job_specs.replies import list_reply
from service.people.roles import Roles
from service.people.sessions import Session
from service.store.store import Command, Store

# How long Redis is not asked again after a failure, which would cost every opening its time-out.
AWAY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of `GET /api/v1/status` and `GET /api/v1/job_specs`; None: not at hand."""

    authorize_url: str | None
    """None: nobody is at this address any more."""
    status: dict[str, Any] | None = None
    list: bytes | None = None
    """JSON. An integration of which nothing is kept stands in it without rows, as stale and never fetched."""


class AtHand:
    """Reads what a page can show at once. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        roles: Roles,
        connection: Connection,
        listing: Listing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._roles = roles
        self._connection = connection
        self._listing = listing
        self._clock = clock
        self._away_until = float("-inf")

    def of(self, session: Session) -> Documents:
        """Return what the person may see, in one round trip to Redis; nothing where that does not answer.

        Neither document is there unless Zendesk said within the last 5 minutes who the person is.
        """
        account = session.account
        integrations = list(self._settings.integrations_of(account))
        commands = self._connection.reading(session)
        replies = self._replies(("TIME",), *commands, *self._listing.reading(account, integrations))
        if replies is None:
            return Documents(self._connection.address_to_connect(account, None))
        instant, rest = replies[0], replies[1:]
        read = self._connection.read_in(session, rest[: len(commands)])
        authorize_url = self._connection.address_to_connect(account, read)
        standing = self._roles.recent(session, read.role)
        if standing is None or standing.why_outside is not None:
            return Documents(authorize_url)
        status = self._connection.described(session, read, standing)
        if read.grant is None or read.reason is not None:
            return Documents(authorize_url, status)
        now = microseconds(instant)
        answers = self._listing.at_hand(integrations, rest[len(commands) :], read.grant.id, now)
        return Documents(authorize_url, status, list_reply(answers, None, now).body if answers else None)

    def _replies(self, *commands: Command) -> list[Any] | None:
        """Return Redis's replies; None: it does not answer, or did not lately."""
        if self._clock() < self._away_until:
            return None
        try:
            return self._store.read_once(*commands)
        except StoreUnavailable:
            self._away_until = self._clock() + AWAY_SECONDS
            return None
