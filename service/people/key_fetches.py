"""App keys being fetched: one question an account, and a share for each of those who make us ask.

Whoever comes here has proven nothing yet. So nobody is turned away who could be served, and nobody takes what others
need: an address, an account, or all made-up accounts together take one more place only while they hold fewer than are
free. Alone each of them gets half.
"""

import threading
from collections.abc import Callable, Hashable

from joserfc.jwk import RSAKey

from service.ground.deadlines import Deadline
from service.ground.errors import Failure, InternalError, ServiceError, ZendeskTimeout
from service.ground.shares import Shares
from service.zendesk.bulkhead import Bulkhead, Busy

# Questions to Zendesk at once.
FETCHES_AT_ONCE = 8
# A limit later than another by this is more time; less is the same burst of requests.
MORE_TIME_SECONDS = 0.5


class _Fetch:
    """A question under way; `outcome` is set before `done`."""

    def __init__(self, limit: Deadline) -> None:
        self.limit = limit
        self.done = threading.Event()
        self.outcome: RSAKey | Failure = Failure.of(InternalError("The key was not fetched to the end."))


class KeyFetches:
    """Fetches keys for all threads of this process."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self._changed = threading.Condition()
        self._under_way: dict[Hashable, _Fetch] = {}
        self._places = Shares(FETCHES_AT_ONCE)

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
            Busy: enough wait already, or no question could begin within the limit.
            ZendeskTimeout: no answer within the limit.
            ServiceError: what the asking thread met.
        """
        by_asker = () if asker is None else (("asker", asker),)
        waiting = (("about", about), *by_asker)
        asking = (*by_asker, *(("made up",) if is_made_up else ()))
        with self._bulkhead.unproven(*waiting):
            fetch, leads = self._led_or_joined(about, asking, limit)
            if leads:
                return self._lead(about, asking, fetch, ask)
            if not fetch.done.wait(max(0.0, limit.left())):
                raise ZendeskTimeout("The app's public key did not come in time. Reload the app.", retry_after=2)
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
            while (fetch := self._under_way.get(about)) is None and not self._places.take(*asking):
                if limit.left() <= 0:
                    raise _busy()
                self._changed.wait(max(0.0, limit.left()))
            if fetch is not None:
                return fetch, False
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
                self._places.give_back(*asking)
                self._changed.notify_all()
            fetch.done.set()
        return key


def _busy() -> Busy:
    return Busy("Other apps' public keys are being fetched. Reload the app in a moment.", retry_after=3)
