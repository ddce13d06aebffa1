"""Places shared so that no holder takes them all: a dynamic threshold, without quotas, clocks or reservations."""

import threading
from collections import Counter
from collections.abc import Hashable


class Shares:
    """A number of places, of which a holder gets one more only while it holds fewer than are free.

    Alone it gets half, two greedy ones get a third each, and as many stay free as the greediest holds.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._held: Counter[Hashable] = Counter()
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many places are held by all."""
        return self._taken

    def take(self, *holders: Hashable) -> bool:
        """Take one place in the name of every holder; False: there is none for one of them."""
        with self._lock:
            free = self.size - self._taken
            if free <= 0 or any(self._held[holder] >= free for holder in holders):
                return False
            self._taken += 1
            self._held.update(holders)
            return True

    def give_back(self, *holders: Hashable) -> None:
        """Give back one place that was taken in the name of these holders."""
        with self._lock:
            self._taken -= 1
            for holder in holders:
                self._held[holder] -= 1
                if not self._held[holder]:
                    del self._held[holder]
