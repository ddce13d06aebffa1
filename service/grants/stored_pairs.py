"""Pairs that the store took lately. They are looked at for a while, because a failover may lose what was answered.

A master that was replaced takes writes until somebody tells it, and a replica may lack the last one. The pair before is
spent, so the process that stored a pair remembers it, in memory, and stores it again where it is gone.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from service.grants.granted import Grant
from service.ground.errors import ServiceError, StoreUnavailable
from service.ground.subdomains import Subdomain

# As often as that a process that asked with the spent pair finds the new one before it concludes anything.
LOOK_SECONDS = 1.0
# Looks that were answered; those for which the store is away do not count. A master that was replaced knows it within
# ten seconds where Sentinels tell it, and at once in a Cluster.
LOOKS = 30
# Of the accounts of one process that were refreshed within that time; 2 KB each.
MOST = 1000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class StoredPair:
    """What the store took."""

    account: Subdomain
    spent: Grant
    """With the pair that was refreshed."""
    written: Grant
    """With the new one."""

    def is_lost_in(self, current: Grant | None) -> bool:
        """Return whether a record holds the pair that is spent.

        An absent one, and one of another authorization, was disconnected or connected anew: nothing is undone.
        """
        return (
            current is not None
            and current.id == self.written.id
            and current.access_token == self.spent.access_token
            and current.access_token != self.written.access_token
        )

    def replaces_the_same_as(self, other: "StoredPair") -> bool:
        """Return whether both came of one refresh."""
        return self.account == other.account and self.spent.access_token == other.spent.access_token


class StoredPairs:
    """Remembers pairs, and has each of them looked at: `look` raises StoreUnavailable where it could not."""

    def __init__(self, look: Callable[[StoredPair], None]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._left: dict[StoredPair, int] = {}
        """How many looks each has left; the next in turn comes first."""
        self._is_ending = False

    def start(self) -> None:
        """Look from a thread of this process; to be called after fork."""
        try:
            threading.Thread(target=self._run, name="stored-pairs", daemon=True).start()
        except RuntimeError as fault:
            # The machine gives none. Refreshes of this process still look before they ask.
            _log.error("no_thread", name="stored-pairs", exc_info=fault)

    def stop(self) -> None:
        """Look once more, and no more after that; for a process that ends."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        self.look()

    def remember(self, account: Subdomain, spent: Grant, written: Grant) -> None:
        """Have it looked at that the store keeps `written`, which it took in the place of `spent`."""
        pair = StoredPair(account, spent, written)
        with self._changed:
            # The same one, which was lost and is stored again.
            before = [one for one in self._left if one.replaces_the_same_as(pair)]
            if not before and len(self._left) >= MOST:
                before = [next(iter(self._left))]
            for one in before:
                del self._left[one]
            self._left[pair] = LOOKS
            self._changed.notify_all()

    def lost_in(self, account: Subdomain, current: Grant) -> StoredPair | None:
        """Return the pair that this process has stored in the place of what `current` holds; None: it has none."""
        with self._lock:
            ours = [pair for pair in self._left if pair.account == account]
        return next((pair for pair in ours if pair.is_lost_in(current)), None)

    def look(self) -> None:
        """Look at all of them; where the store does not answer, that one comes last the next time."""
        with self._lock:
            pairs = list(self._left)
        for pair in pairs:
            try:
                self._look(pair)
            except StoreUnavailable:
                self._count(pair, 0)
                return
            except ServiceError as outcome:
                _log.info("dropped", account=pair.account, code=outcome.code)
                self._count(pair, LOOKS)
            else:
                self._count(pair, 1)

    def _count(self, pair: StoredPair, looks: int) -> None:
        with self._lock:
            left = self._left.pop(pair, 0) - looks
            if left > 0:
                self._left[pair] = left

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._left and not self._is_ending:
                    self._changed.wait()
                self._changed.wait_for(lambda: self._is_ending, LOOK_SECONDS)
                if self._is_ending:
                    return
            try:
                self.look()
            except Exception:  # noqa: BLE001 - without this thread a lost pair is a lost grant, and nobody notices
                _log.exception("looking_at_stored_pairs_crashed")
