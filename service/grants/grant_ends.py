"""When each account's grant ends or has ended: one sorted set over all accounts, so that they are counted unopened.

It is written beside the records, after them, because in a Redis Cluster it lies on another node than they do. A write
that is lost costs a wrong number on /metrics; the day's round looks at every record and mends it. Only where Redis does
not let its user look through the keys (SCAN) are accounts found here: one that is missing is not looked after by the
day's round until its next refresh has written it again.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from service.ground.errors import StoreUnavailable
from service.ground.subdomains import Subdomain
from service.store.store import Store

# What is kept for an account without a live grant goes after this.
AFTERLIFE_SECONDS = 90 * 86_400
# No life of its own: an account leaves it with its record, or when that has long expired and another one connects.
ENDS_KEY = "zis:grant_ends"

# Counts the accounts whose grants end later and those whose have ended, and returns the next end if there is one.
_CENSUS = """
local first = redis.call('ZRANGE', KEYS[1], '(' .. ARGV[1], '(+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
local connected = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '+inf')
return {connected, redis.call('ZCOUNT', KEYS[1], ARGV[2], ARGV[1]), first[2]}
"""


@dataclass(frozen=True, slots=True)
class Census:
    """How many accounts there are, by what was last written of each."""

    connected: int
    reauthorization_required: int
    """Dead, or ended by time."""
    shortest_seconds: float | None
    """Until the first of the connected ones ends, unless it is refreshed; None: none of them ends."""


class GrantEnds:
    """Keeps the ends (Unix seconds; infinite: none is announced). Its writes fail silently: the round mends them."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def put(self, account: Subdomain, end: float) -> None:
        """Note when the account's grant ends."""
        with suppress(StoreUnavailable):
            self._store.write(("ZADD", ENDS_KEY, end, account))

    def put_first(self, account: Subdomain, end: float) -> None:
        """Note the end of a new grant, and drop accounts whose records have long expired."""
        with suppress(StoreUnavailable):
            expired = self._clock() - AFTERLIFE_SECONDS
            self._store.write(("ZADD", ENDS_KEY, end, account), ("ZREMRANGEBYSCORE", ENDS_KEY, "-inf", expired))

    def put_if_absent(self, account: Subdomain, end: float) -> None:
        """Note when the account's grant ends unless an end is noted."""
        with suppress(StoreUnavailable):
            self._store.write(("ZADD", ENDS_KEY, "NX", end, account))

    def remove(self, account: Subdomain) -> None:
        """Drop the account."""
        with suppress(StoreUnavailable):
            self._store.write(("ZREM", ENDS_KEY, account))

    def all(self) -> dict[Subdomain, float]:
        """Return what is noted.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        reply: list[Any] = self._store.read(("ZRANGE", ENDS_KEY, 0, -1, "WITHSCORES"))[0]
        # In pairs under RESP3, one after another under RESP2.
        flat = [part for item in reply for part in (item if isinstance(item, list | tuple) else (item,))]
        return {Subdomain(name.decode()): float(end) for name, end in zip(flat[::2], flat[1::2], strict=True)}

    def census(self) -> Census:
        """Return how the accounts are, by one round trip whose reply is as small for many as for few.

        What only the settings say (another client, a missing key) does not show in it.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        now = self._clock()
        connected, ended, *first = self._store.run(_CENSUS, [ENDS_KEY], [now, now - AFTERLIFE_SECONDS])
        return Census(connected, ended, float(first[0]) - now if first else None)


def rehearse(store: Store, account: Subdomain) -> bool:
    """Write an end of `account`, which no account has, and count; return whether it took effect.

    It stands before all time, where it is not counted. The day's round, which drops it, may come first.

    Raises:
        StoreUnavailable: Redis did not answer, or refused a command.
    """
    store.write(("ZADD", ENDS_KEY, "-inf", account), ("ZREMRANGEBYSCORE", ENDS_KEY, "(inf", "inf"))
    store.read(("ZRANGE", ENDS_KEY, 0, 0, "WITHSCORES"))
    counted = store.run(_CENSUS, [ENDS_KEY], [time.time(), time.time()])
    store.write(("ZREM", ENDS_KEY, account))
    return len(counted) >= 2
