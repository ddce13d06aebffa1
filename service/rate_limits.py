"""Our own limits, shared through Redis, in this process's memory while Redis is away.

None is keyed by an account that a caller merely names, so no stranger can lock an account out.
"""

import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from service.errors import RateLimited
from service.settings import Settings
from service.store import Store

# The limits of the contract, each a minute.
OAUTH_REQUESTS = RateLimitItemPerMinute(300, namespace="oauth")
REFUSED_REQUESTS = RateLimitItemPerMinute(300, namespace="refused")
CHANGES = RateLimitItemPerMinute(60, namespace="changes")
FRESH_LISTS = RateLimitItemPerMinute(60, namespace="fresh")
# After a failure of Redis this process counts by itself for so long.
AWAY_SECONDS = 5.0


class RateLimits:
    """Counts requests in windows of a minute."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._is_on = settings.rate_limits
        self._store = store
        storage = RedisStorage("redis://", connection_pool=store.redis.connection_pool, key_prefix="zis:limit")
        self._shared = FixedWindowRateLimiter(storage)
        self._away_until = float("-inf")
        self._own = FixedWindowRateLimiter(MemoryStorage())

    def count(self, limit: RateLimitItemPerMinute, who: str) -> None:
        """Count one request of `who`.

        Raises:
            RateLimited: it is one too many; `retry_after` says when the window ends.
        """
        if not self._is_on:
            return
        is_away = time.monotonic() < self._away_until
        try:
            within, reset = _counted(self._own if is_away else self._shared, limit, who)
        except RedisError as fault:
            self._store.note_failure(fault)
            # A Redis that does not answer would cost every request its time-out.
            self._away_until = time.monotonic() + AWAY_SECONDS
            within, reset = _counted(self._own, limit, who)
        if not within:
            raise RateLimited(
                f"More than {limit.amount} such requests came within a minute. Try again when the time given is over.",
                retry_after=max(1, math.ceil(reset - time.time())),
            )


def _counted(limiter: FixedWindowRateLimiter, limit: RateLimitItemPerMinute, who: str) -> tuple[bool, float]:
    within = limiter.hit(limit, who)
    return within, 0.0 if within else limiter.get_window_stats(limit, who).reset_time


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
