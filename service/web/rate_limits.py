"""Our own limits, shared through Redis, in this process's memory while Redis is away.

None is keyed by an account that a caller merely names, so no stranger can lock an account out. What costs others
something is counted, or the count looked at, before it is done: afterwards only the answer would be limited.
"""

import ipaddress
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from service.ground.errors import RateLimited
from service.ground.settings import Settings
from service.store.store import Store

T = TypeVar("T")

# The limits of the contract, each a minute.
OAUTH_REQUESTS = RateLimitItemPerMinute(300, namespace="oauth")
REFUSED_REQUESTS = RateLimitItemPerMinute(300, namespace="refused")
FAILED_EXCHANGES = RateLimitItemPerMinute(10, namespace="exchanges")
CHANGES = RateLimitItemPerMinute(60, namespace="changes")
FRESH_LISTS = RateLimitItemPerMinute(60, namespace="fresh")
# After a failure of Redis this process counts by itself for so long.
AWAY_SECONDS = 5.0
# Addresses that this process knows to be over a limit; of more than these it asks Redis when it next counts them.
REMEMBERED_OVER = 4096


class _Storage(RedisStorage):
    """Counts in Redis by redis-py alone; the library would load valkey's client beside it where that is installed."""

    DEPENDENCIES = {"redis": None}  # noqa: RUF012 - as its base declares it, for each object


class Attempt:
    """Something that counts if it fails, counted before it is made."""

    is_made = False
    """Set before it is made, and unset once it has succeeded; what is not made does not count."""


class RateLimits:
    """Counts requests in windows of a minute."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._is_on = settings.rate_limits
        self._store = store
        storage = _Storage("redis://", connection_pool=store.redis.connection_pool, key_prefix="zis:limit")
        # Our own client: in a Cluster it finds the node of each key; the library would make one around its pool.
        storage.storage = store.redis
        storage.initialize_storage("redis://")
        self._shared = FixedWindowRateLimiter(storage)
        self._away_until = float("-inf")
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._over: dict[tuple[str, str], float] = {}

    def count(self, limit: RateLimitItemPerMinute, who: str) -> None:
        """Count one request of `who`.

        Raises:
            RateLimited: it is one too many; `retry_after` says when the window ends.
        """
        if self._is_on:
            self._require(limit, who, lambda limiter: self._is_counted_within(limiter, limit, who))

    def look(self, limit: RateLimitItemPerMinute, who: str) -> None:
        """Return if one more request of `who` is within the limit, without counting it; one round trip to Redis.

        Raises:
            RateLimited: it would be one too many.
        """
        if self._is_on:
            self._require(limit, who, lambda limiter: limiter.test(limit, who))

    def look_if_over(self, limit: RateLimitItemPerMinute, who: str) -> None:
        """As `look`, where this process has counted within the last minute that `who` has none left.

        Otherwise it costs nothing.

        Raises:
            RateLimited: it would be one too many.
        """
        until = self._over.get((limit.namespace, who))
        if until is not None and time.monotonic() < until:
            # Asked all the same: how long a window lasts, only Redis knows.
            self.look(limit, who)

    @contextmanager
    def attempt(self, limit: RateLimitItemPerMinute, who: str) -> Iterator[Attempt]:
        """Count what the block attempts before it begins, and take that back unless it was made and has failed.

        Raises:
            RateLimited: it would be one too many.
        """
        self.count(limit, who)
        attempt = Attempt()
        try:
            yield attempt
        finally:
            if self._is_on and not attempt.is_made:
                self._asked(lambda limiter: limiter.hit(limit, who, cost=-1))

    def _is_counted_within(self, limiter: FixedWindowRateLimiter, limit: RateLimitItemPerMinute, who: str) -> bool:
        # Not by `hit`, which does not say how many there are: with the last one the next is known to be one too many.
        counted = limiter.storage.incr(limit.key_for(who), limit.get_expiry())
        if counted >= limit.amount:
            self._remember_over((limit.namespace, who), time.monotonic() + limit.get_expiry())
        return counted <= limit.amount

    def _require(
        self, limit: RateLimitItemPerMinute, who: str, is_within: Callable[[FixedWindowRateLimiter], bool]
    ) -> None:
        def asked(limiter: FixedWindowRateLimiter) -> float | None:
            return None if is_within(limiter) else limiter.get_window_stats(limit, who).reset_time

        reset = self._asked(asked)
        if reset is None:
            return
        seconds = max(1, math.ceil(reset - time.time()))
        when = "in a second" if seconds == 1 else f"in {seconds} seconds"
        raise RateLimited(f"Too many requests (limit: {limit.amount} a minute). Try again {when}.", retry_after=seconds)

    def _asked(self, ask: Callable[[FixedWindowRateLimiter], T]) -> T:
        """Return what `ask` finds out in Redis, or in this process's memory while that is away."""
        if time.monotonic() < self._away_until:
            return ask(self._own)
        try:
            return ask(self._shared)
        except RedisError as fault:
            self._store.note_failure(fault)
            # A Redis that does not answer would cost every request its time-out.
            self._away_until = time.monotonic() + AWAY_SECONDS
            return ask(self._own)

    def _remember_over(self, who: tuple[str, str], until: float) -> None:
        # The latest last. Several threads may do this at once, so each name may be gone already.
        self._over.pop(who, None)
        self._over[who] = until
        if len(self._over) > REMEMBERED_OVER:
            for forgotten in list(self._over)[:-REMEMBERED_OVER]:
                self._over.pop(forgotten, None)

    def rehearse(self, who: str) -> bool:
        """Count two requests of somebody who makes none, in Redis; return whether the second was one too many.

        Raises:
            StoreUnavailable: Redis did not answer, or refused.
        """
        return self._store.translated(lambda: self._rehearsed(RateLimitItemPerMinute(1, namespace="doctor"), who))

    def _rehearsed(self, only_one: RateLimitItemPerMinute, who: str) -> bool:
        limiter = self._shared
        counted = (limiter.test(only_one, who), limiter.hit(only_one, who), limiter.hit(only_one, who))
        ends = limiter.get_window_stats(only_one, who).reset_time
        limiter.clear(only_one, who)
        return counted == (True, True, False) and ends > 0


def address_group(address: str | None) -> str:
    """Return what an address is counted as: an IPv4 address itself, an IPv6 address by its /64."""
    try:
        parsed = ipaddress.ip_address((address or "").split("%", 1)[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
