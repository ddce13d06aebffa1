"""App keys being fetched: one question an account, and a share for each of those who make us ask.

Whoever comes here has proven nothing yet. So nobody is turned away who could be served, and nobody takes what others
need: an address, an account, or all made-up accounts together take one more place only while they hold fewer than are
free. Alone each of them gets half.
"""

import threading
from collections import Counter
from collections.abc import Callable, Hashable

from joserfc.jwk import RSAKey

from service.deadlines import Deadline
from service.errors import Failure, InternalError, ServiceError, ZendeskTimeout, ZendeskUnavailable

# Questions to Zendesk at once.
FETCHES_AT_ONCE = 8
# Threads that ask or wait, of the 128 that serve a process; never more than half of them.
WAITING_AT_ONCE = 32
# A limit later than another by this is more time; less is the same burst of requests.
MORE_TIME_SECONDS = 0.5


class Busy(ZendeskUnavailable):
    """As many keys are being fetched, or waited for, as may be at once. Says nothing of the account."""


class _Shares:
    """Places that nobody takes all of. Not safe by itself: `KeyFetches` looks and takes under its lock."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._held: Counter[Hashable] = Counter()
        self._taken = 0

    def have_room(self, holders: tuple[Hashable, ...]) -> bool:
        free = self.size - self._taken
        return free > 0 and all(self._held[holder] < free for holder in holders)

    def take(self, holders: tuple[Hashable, ...]) -> None:
        self._taken += 1
        self._held.update(holders)

    def give_back(self, holders: tuple[Hashable, ...]) -> None:
        self._taken -= 1
        self._held.subtract(holders)
        for holder in holders:
            if not self._held[holder]:
                del self._held[holder]


class _Fetch:
    """A question under way; `outcome` is set before `done`."""

    def __init__(self, limit: Deadline) -> None:
        self.limit = limit
        self.done = threading.Event()
        self.outcome: RSAKey | Failure = Failure.of(InternalError("The key was not fetched to the end."))


class KeyFetches:
    """Fetches keys for all threads of this process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way: dict[Hashable, _Fetch] = {}
        self._places = _Shares(FETCHES_AT_ONCE)
        self._waiting = _Shares(WAITING_AT_ONCE)

    def set_threads(self, threads: int) -> None:
        """Say how many threads this process serves requests with."""
        self._waiting.size = min(WAITING_AT_ONCE, threads // 2)

    def is_under_way(self, about: Hashable) -> bool:
        """Return whether this key is being fetched."""
        return about in self._under_way

    def join(
        self, about: Hashable, asker: str | None, limit: Deadline, ask: Callable[[], RSAKey], *, is_made_up: bool
    ) -> RSAKey:
        """Return the key that `ask` brings, or another thread that asks already.

        `asker` is the address that makes us ask; None: this service itself. `is_made_up`: nothing tells the account
        from a name that somebody has just made up.

        Raises:
            Busy: there was no place within the limit.
            ZendeskTimeout: no answer within the limit.
            ServiceError: what the asking thread met.
        """
        by_asker = () if asker is None else (("asker", asker),)
        waiting = (("about", about), *by_asker)
        asking = (*by_asker, *(("made up",) if is_made_up else ()))
        with self._changed:
            if not self._waiting.have_room(waiting):
                raise _busy()
            self._waiting.take(waiting)
        try:
            fetch, leads = self._led_or_joined(about, asking, limit)
            if leads:
                return self._lead(about, asking, fetch, ask)
            if not fetch.done.wait(max(0.0, limit.left())):
                raise ZendeskTimeout("The app's public key did not come in time. Reload the app.", retry_after=2)
        finally:
            with self._changed:
                self._waiting.give_back(waiting)
        outcome = fetch.outcome
        if not isinstance(outcome, Failure):
            return outcome
        if issubclass(outcome.kind, ZendeskTimeout) and limit.at > fetch.limit.at + MORE_TIME_SECONDS:
            # Whoever has more time than the one who asked does not share that one's hurry.
            return self.join(about, asker, limit, ask, is_made_up=is_made_up)
        raise outcome.error()

    def _led_or_joined(self, about: Hashable, asking: tuple[Hashable, ...], limit: Deadline) -> tuple[_Fetch, bool]:
        """Return the question, and whether this thread has to ask it; whoever waits for a place joins what begins."""
        with self._changed:
            while (fetch := self._under_way.get(about)) is None and not self._places.have_room(asking):
                if limit.left() <= 0:
                    raise _busy()
                self._changed.wait(max(0.0, limit.left()))
            if fetch is not None:
                return fetch, False
            self._places.take(asking)
            fetch = self._under_way[about] = _Fetch(limit)
            self._changed.notify_all()
            return fetch, True

    def _lead(self, about: Hashable, asking: tuple[Hashable, ...], fetch: _Fetch, ask: Callable[[], RSAKey]) -> RSAKey:
        try:
            key = fetch.outcome = ask()
        except ServiceError as failure:
            fetch.outcome = Failure.of(failure)
            raise
        finally:
            with self._changed:
                del self._under_way[about]
                self._places.give_back(asking)
                self._changed.notify_all()
            fetch.done.set()
        return key


def _busy() -> Busy:
    return Busy("Other apps' public keys are being fetched. Reload the app in a moment.", retry_after=3)
