"""How many threads of this process may wait for Zendesk: for one account, and for people who have proven nothing yet.

Waiting costs a thread, whatever it is for and however quick Zendesk is. So a request that has to wait takes a place
first; what is at hand is served without one.
"""

from collections.abc import Hashable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

from service.ground.errors import RateLimited
from service.ground.shares import Shares
from service.ground.subdomains import Subdomain

# A caller who is refused finds a place as soon as somebody leaves; `zis-client.js` comes again by itself.
RETRY_AFTER_SECONDS = 1
# Where gunicorn does not say how many (`set_threads`).
DEFAULT_THREADS = 128
# Threads that nobody waits with, so that lists at hand and /livez are served while all of Zendesk hangs: an eighth.
RESERVE = 8
LEAST_RESERVE = 2
# Of these nobody knows yet who they are: sidebar posts that need a key, callbacks. A quarter of the threads, at most.
UNPROVEN = 4
MOST_UNPROVEN = 32

_holds_place: ContextVar[bool] = ContextVar("holds_place", default=False)


class Busy(RateLimited):
    """Too many requests wait already. Says nothing of the account."""


class Bulkhead:
    """The places of those who wait."""

    def __init__(self, threads: int = DEFAULT_THREADS) -> None:
        self.places, self.unproven_places = Shares(0), Shares(0)
        self.set_threads(threads)

    def set_threads(self, threads: int) -> None:
        """Say how many threads this process serves requests with."""
        self.places.size = max(1, threads - max(LEAST_RESERVE, threads // RESERVE))
        self.unproven_places.size = max(1, min(MOST_UNPROVEN, threads // UNPROVEN))

    @contextmanager
    def holding(self, account: Subdomain) -> Iterator[None]:
        """Hold a place for a request that may wait for `account`; one that holds one already needs no other.

        Work that an executor does for the request is done under its place.

        Raises:
            Busy: the account holds as many places as are free.
        """
        with _held((self.places, (account,))):
            yield

    @contextmanager
    def unproven(self, *holders: Hashable) -> Iterator[None]:
        """Hold a place for a request of somebody who has proven nothing yet; `holders`: whom it counts for.

        Raises:
            Busy: one of the holders, or all of these people together, hold as many places as are free.
        """
        # Together they are one among the accounts.
        with _held((self.unproven_places, holders), (self.places, (None,))):
            yield


@contextmanager
def _held(*wanted: tuple[Shares, tuple[Hashable, ...]]) -> Iterator[None]:
    if _holds_place.get():
        yield
        return
    with ExitStack() as stack:
        for places, holders in wanted:
            if not places.take(*holders):
                raise Busy(
                    "Too many requests wait for Zendesk already. Try again in a moment.",
                    retry_after=RETRY_AFTER_SECONDS,
                )
            stack.callback(places.give_back, *holders)
        stack.callback(_holds_place.reset, _holds_place.set(True))
        yield
