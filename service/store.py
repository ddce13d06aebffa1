"""The only door to Redis: time limits, what is repeated, and what its failures mean.

Reads are repeated once, writes and scripts never: a lost reply says nothing about the effect, and whoever wrote has to
look. Connections are opened at first use, so never before gunicorn forks.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import AuthenticationError, LockError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from service import metrics
from service.errors import StoreUnavailable
from service.settings import Settings
from service.shared_reads import SharedReads

# Small plans allow 20 connections in all; five suffice, because a command takes well under a millisecond.
CONNECTIONS_PER_PROCESS = 5
POOL_WAIT_SECONDS = 2
CONNECT_SECONDS = 1
READ_SECONDS = 2
# Below the idle time after which hosted plans close a connection (300 s).
HEALTH_CHECK_SECONDS = 60
# Above this share of maxmemory caches and one-time states give way, so that a grant always finds room.
CACHES_GIVE_WAY_AT = 0.8
MEMORY_LOOK_SECONDS = 5.0
# A monitor is not told of a Redis that is silent for less: one ping that was slow or lost is no outage.
GRACE_SECONDS = 5.0

# As metrics name a failure; the first that fits.
_KINDS: tuple[tuple[type[RedisError], str], ...] = (
    (RedisTimeoutError, "timeout"),
    (AuthenticationError, "authentication"),
    (RedisConnectionError, "connection"),
    (OutOfMemoryError, "full"),
    (ReadOnlyError, "read_only"),
    (LockError, "lease_lost"),
)

Command = tuple[object, ...]
T = TypeVar("T")


class StoreRefused(StoreUnavailable):
    """Redis answers, and does not take what is to be written: it is full, or read-only."""


class Store:
    """Runs commands and scripts in Redis. Every failure is a `StoreUnavailable`; nothing is concluded from it.

    `clock` is monotonic, in seconds. `shares_reads`: what threads read goes together; otherwise each read by itself.
    """

    def __init__(
        self, redis: "Redis", clock: Callable[[], float] = time.monotonic, *, shares_reads: bool = False
    ) -> None:
        self._redis = redis
        self._reads = SharedReads(redis) if shares_reads else None
        self._clock = clock
        self._answered_at = float("-inf")
        self._scripts: dict[str, Script] = {}
        self._room = True
        self._room_looked_at = float("-inf")

    @classmethod
    def from_settings(cls, settings: Settings) -> "Store":
        """Return a store for `REDIS_URL`; opens no connection yet."""
        options: dict[str, Any] = {}
        if settings.redis_url.startswith("rediss://"):
            if not settings.redis_tls_verify:
                options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
            elif settings.redis_tls_ca is not None:
                options["ssl_ca_certs"] = str(settings.redis_tls_ca)
        if not settings.redis_url.startswith("unix://"):
            options["socket_connect_timeout"] = CONNECT_SECONDS
        pool = BlockingConnectionPool.from_url(
            settings.redis_url,
            max_connections=CONNECTIONS_PER_PROCESS,
            timeout=POOL_WAIT_SECONDS,
            socket_timeout=READ_SECONDS,
            health_check_interval=HEALTH_CHECK_SECONDS,
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        return cls(Redis(connection_pool=pool), shares_reads=True)

    @property
    def redis(self) -> "Redis":
        """The client itself, for libraries that want one (locks, rate limits)."""
        return self._redis

    def read(self, *commands: Command) -> list[Any]:
        """Return the replies to reading commands, sent in one round trip; repeated once if that failed.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        try:
            return self._read(commands)
        except RedisError as fault:
            count_failure(fault)
            # Refused, too: a Redis that cannot save refuses a connection's health check, and takes the read after it.
            return self.translated(lambda: self._read(commands))

    def answers(self) -> bool:
        """Return whether Redis can be reached now."""
        try:
            self.ping()
        except StoreUnavailable:
            return False
        return True

    def ping(self) -> None:
        """Return if Redis can be reached now and answers reads.

        Raises:
            StoreUnavailable: it does not.
        """
        # Not PING, which a Redis that cannot save refuses like a write (MISCONF).
        self.read(("DBSIZE",))

    def require_answers(self) -> None:
        """Return if Redis can be reached now, or answered this process in the five seconds before.

        Raises:
            StoreUnavailable: neither.
        """
        # Before the ping, which may take longer than that to fail.
        silent = self._clock() - self._answered_at
        try:
            self.ping()
        except StoreUnavailable:
            if silent > GRACE_SECONDS:
                raise

    def write(self, *commands: Command) -> list[Any]:
        """Return the replies to writing commands, sent once, in one round trip.

        Raises:
            StoreUnavailable: Redis did not answer or refused; whether it took effect is not known.
        """
        return self.translated(lambda: self._send(commands))

    def run(self, script: str, keys: list[str], arguments: list[object]) -> Any:
        """Return the reply of a Lua script, run once and atomically.

        Raises:
            StoreUnavailable: as `write`.
        """
        prepared = self._scripts.get(script)
        if prepared is None:
            prepared = self._scripts[script] = self._redis.register_script(script)
        return self.translated(lambda: prepared(keys=keys, args=arguments))  # type: ignore[arg-type]  # bytes, str, numbers

    def has_room(self) -> bool:
        """Return whether there is room for what can be done without (lists, states); looked up every few seconds.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        now = self._clock()
        if now - self._room_looked_at > MEMORY_LOOK_SECONDS:
            memory = self.translated(lambda: self._redis.info("memory"))
            limit = int(memory.get("maxmemory", 0))
            used = int(memory.get("used_memory", 0))
            self._room, self._room_looked_at = limit == 0 or used < CACHES_GIVE_WAY_AT * limit, now
        return self._room

    def translated(self, operation: Callable[[], T]) -> T:
        """Return what `operation` returns.

        Raises:
            StoreUnavailable: it failed in Redis.
        """
        try:
            return operation()
        except RedisError as fault:
            raise self._unavailable(fault) from fault

    def _read(self, commands: tuple[Command, ...]) -> list[Any]:
        if self._reads is None:
            return self._send(commands)
        replies = self._reads.replies(commands)
        self._answered_at = self._clock()
        return replies

    def _send(self, commands: tuple[Command, ...]) -> list[Any]:
        if len(commands) == 1:
            replies = [self._redis.execute_command(*commands[0])]  # type: ignore[no-untyped-call]  # redis-py leaves it so
        else:
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # likewise
            replies = pipeline.execute()
        self._answered_at = self._clock()
        return replies

    def _unavailable(self, fault: RedisError) -> StoreUnavailable:
        count_failure(fault)
        if isinstance(fault, (RedisConnectionError, RedisTimeoutError)):
            return StoreUnavailable("The store (Redis) did not answer. Try again in a moment.", retry_after=2)
        if isinstance(fault, ReadOnlyError):
            # A failover may have demoted it: it keeps our connections, and only new ones lead to its successor.
            self._redis.connection_pool.disconnect(inuse_connections=False)
        return StoreRefused("The store (Redis) refused what must be kept. Its operator has to look.", retry_after=10)


def count_failure(fault: RedisError) -> None:
    """Count a failure of Redis; for those who use the client itself, too."""
    kind = next((kind for family, kind in _KINDS if isinstance(fault, family)), "other")
    metrics.REDIS_ERRORS[kind].inc()
