"""Bodies of requests that are being read, counted by the address they come from.

Whoever sends one slowly keeps a thread until it is there; nobody gets more than a few for that.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from service.ground.errors import RateLimited

# A body is read in far less than a millisecond where it comes with its request.
BODIES_AT_ONCE = 16
RETRY_AFTER_SECONDS = 1


class Bodies:
    """The bodies that this process is reading."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: Counter[str] = Counter()

    @contextmanager
    def reading(self, address: str) -> Iterator[None]:
        """Count a body from `address` as being read while the block runs.

        Raises:
            RateLimited: `BODIES_AT_ONCE` of them are being read.
        """
        with self._lock:
            if self._reading[address] >= BODIES_AT_ONCE:
                raise RateLimited(
                    f"{BODIES_AT_ONCE} requests from this address are still on their way. Try again in a moment.",
                    retry_after=RETRY_AFTER_SECONDS,
                )
            self._reading[address] += 1
        try:
            yield
        finally:
            with self._lock:
                self._reading[address] -= 1
                if not self._reading[address]:
                    del self._reading[address]
