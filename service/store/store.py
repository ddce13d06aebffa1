"""The only door to Redis: time limits, what is repeated, and what its failures mean.

Reads are repeated once, writes and scripts never: a lost reply says nothing about the effect, and whoever wrote has to
look. Connections are opened at first use, so never before gunicorn forks.
"""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import structlog
from redis import Redis
from redis import __version__ as redis_py_version
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.crc import key_slot
from redis.driver_info import DriverInfo
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from service.ground import metrics
from service.ground.addresses import Addresses
from service.ground.errors import StoreUnavailable
from service.ground.redis_address import RedisAddress
from service.ground.settings import Settings
from service.store.redis_cluster import Cluster, ClusterPool, Nodes, SlotDisputed, asking
from service.store.redis_faults import BUSY_POOL, TOO_MANY, Cause, cause_of, words_of
from service.store.redis_pool import Connections, InTime, InTimeTLS
from service.store.redis_sentinel import MasterUnknown, Sentinels, ToMaster, ToMasterTLS
from service.store.shared_reads import SharedReads

# Small plans allow 20 connections in all; five suffice, because a command takes well under a millisecond.
CONNECTIONS_PER_PROCESS = 5
POOL_WAIT_SECONDS = 2
CONNECT_SECONDS = 1
READ_SECONDS = 2
# Above these shares of maxmemory Redis is not given what can be done without, so that a grant always finds room. Lists
# first, which are as long as an account makes them; then states, which are as many as strangers ask for; activity last,
# which is nowhere else.
LISTS_GIVE_WAY_AT = 0.7
STATES_GIVE_WAY_AT = 0.8
ACTIVITY_GIVES_WAY_AT = 0.95
MEMORY_LOOK_SECONDS = 5.0
# A shorter silence of Redis is not reported to a monitor: one slow or lost ping is no outage.
GRACE_SECONDS = 5.0
# Keys that Redis looks at for one SCAN: a fraction of a millisecond of its time.
SCANNED_AT_ONCE = 1000

# How often a lasting failure is logged.
TELL_EVERY_SECONDS = 60.0

_log = structlog.get_logger(__name__)

Command = tuple[object, ...]
T = TypeVar("T")


class StoreRefused(StoreUnavailable):
    """Redis answers, and does not take what is to be written: it is full, or read-only."""


class KeysHidden(StoreRefused):
    """Redis does not let this user look through its keys (SCAN), as some hosts do."""


class Store:
    """Runs commands and scripts in Redis. Every failure is a `StoreUnavailable`; nothing is concluded from it.

    `clock` is monotonic, in seconds. `shares_reads`: what threads read goes together; otherwise each read by itself.
    `has_successors`: a new connection may lead to another server than an old one.
    """

    def __init__(
        self,
        redis: "Redis",
        clock: Callable[[], float] = time.monotonic,
        *,
        shares_reads: bool = False,
        has_successors: bool = False,
    ) -> None:
        self._redis = redis
        self._shares_reads = shares_reads
        self._reads = SharedReads(redis) if shares_reads and not isinstance(redis, Cluster) else None
        self._clock = clock
        self._has_successors = has_successors
        self._answered_at = float("-inf")
        self._scripts: dict[str, Script] = {}
        self._memory_limit = 0.0
        self._memory_used = 0.0
        self._room_looked_at = float("-inf")
        self._told_at: dict[str, float] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> "Store":
        """Return a store for `REDIS_URL`; opens no connection yet."""
        address = settings.redis_address
        tls: dict[str, Any] = {}
        if address.is_tls and not settings.redis_tls_verify:
            tls = {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
        elif address.is_tls and settings.redis_tls_ca is not None:
            tls = {"ssl_ca_certs": str(settings.redis_tls_ca)}
        shared: dict[str, Any] = {
            "retry": Retry(NoBackoff(), 0),
            # Otherwise redis-py reads the package's metadata for every connection: 2 ms of the 3 that one takes.
            "driver_info": DriverInfo(lib_version=redis_py_version),
            **tls,
        }
        if not address.url.startswith("unix://"):
            # Its own look-ups: name servers that are silent for Zendesk's hosts would hold Redis up.
            shared |= {"addresses": Addresses(), "socket_connect_timeout": CONNECT_SECONDS}
        options: dict[str, Any] = {
            **shared,
            "max_connections": CONNECTIONS_PER_PROCESS,
            "timeout": POOL_WAIT_SECONDS,
            "socket_timeout": READ_SECONDS,
        }
        if address.kind == "cluster":
            return cls(_cluster(address, {**address.options, **options}), shares_reads=True, has_successors=True)
        if address.service is not None:
            asked = {**shared, **address.options}
            sentinels = Sentinels(address.nodes, address.service, asked, is_tls=address.is_tls)
            kind = ToMasterTLS if address.is_tls else ToMaster
            pool = Connections(connection_class=kind, sentinels=sentinels, **address.options, **options)
            return cls(Redis(connection_pool=pool), shares_reads=True, has_successors=True)
        if not address.url.startswith("unix://"):
            options["connection_class"] = InTimeTLS if address.is_tls else InTime
        pool = Connections.from_url(address.url, **options)
        return cls(Redis(connection_pool=pool), shares_reads=True)

    @property
    def redis(self) -> "Redis":
        """The client itself, for libraries that want one (locks, rate limits)."""
        return self._redis

    def close(self) -> None:
        """Close every connection; the next command opens one again."""
        self._redis.connection_pool.disconnect()

    def read(self, *commands: Command, near: str | None = None) -> list[Any]:
        """Return the replies to reading commands, sent in one round trip; repeated once if that failed.

        Each node of a Cluster has a clock of its own: TIME is asked of the one that has the other commands' keys, or
        the key `near`.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        try:
            return self._read(commands, near)
        except RedisError as fault:
            self.note_failure(fault)
            return self.translated(lambda: self._read(commands, near))

    def read_once(self, *commands: Command) -> list[Any]:
        """Return the replies to reading commands, sent once, in one round trip: for what can be done without.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return self.translated(lambda: self._read(commands, None))

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

    def keys(self, pattern: str) -> Iterator[list[bytes]]:
        """Yield the keys like `pattern` in handfuls; one may come twice, and one that is written meanwhile or not.

        Raises:
            KeysHidden: Redis does not let this user look.
            StoreUnavailable: Redis did not answer.
        """
        for one in self.translated(self._masters):
            cursor: Any = 0
            while True:
                try:
                    reply: Any = self.translated(partial(one.scan, cursor, match=pattern, count=SCANNED_AT_ONCE))
                except StoreRefused as refusal:
                    raise KeysHidden(
                        "Redis does not let this user look through its keys (SCAN)."
                    ) from refusal.__cause__
                cursor, found = reply
                yield found
                if cursor == 0:
                    break

    def node_of(self, key: str) -> object:
        """Return what stands for the server that has a key: equal for keys of the same one.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        redis = self._redis
        if not isinstance(redis, Cluster):
            return None
        return self.translated(lambda: redis.nodes.of_slot(key_slot(key.encode())).address)

    def nodes(self) -> int:
        """Return how many servers share the keys.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return len(self.translated(self._masters))

    def _masters(self) -> list["Redis"]:
        if isinstance(self._redis, Cluster):
            return [node.redis for node in self._redis.nodes.masters()]
        return [self._redis]

    def has_room(self, below: float) -> bool:
        """Return whether less than this share of Redis's memory is in use; looked up every few seconds.

        Where Redis does not tell this user (INFO refused, as by `-@dangerous`), it is.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        self._look_at_memory()
        return self._memory_limit == 0 or self._memory_used < below * self._memory_limit

    def part_of_memory(self, share: float) -> float:
        """Return this share of what Redis may use, in bytes; infinite where that has no limit, or is not told.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        self._look_at_memory()
        return share * self._memory_limit if self._memory_limit else math.inf

    def _look_at_memory(self) -> None:
        now = self._clock()
        if now - self._room_looked_at > MEMORY_LOOK_SECONDS:
            memory = self.translated(self._memory)
            self._memory_limit, self._memory_used = (_number(memory.get(name)) for name in ("maxmemory", "used_memory"))
            self._room_looked_at = now

    def note_failure(self, fault: RedisError) -> None:
        """Count a failure of Redis, and say now and then in the log what it means.

        Also for those who use the client itself.
        """
        cause = cause_of(fault)
        metrics.REDIS_ERRORS[cause.kind].inc()
        if self._may_have_moved(fault, cause) and isinstance(self._redis.connection_pool, Connections):
            # It keeps our connections, and only new ones lead to its successor.
            self._redis.connection_pool.renew()
        now = self._clock()
        if cause.kind != "lease_lost" and now - self._told_at.get(cause.says, float("-inf")) >= TELL_EVERY_SECONDS:
            self._told_at[cause.says] = now
            _log.error("redis_failed", says=cause.says, advice=cause.advice, words=words_of(fault))

    def _may_have_moved(self, fault: RedisError, cause: Cause) -> bool:
        """Return whether another server may be the master by now.

        A master that was silent for a while may have been replaced, and not know it yet when it answers again. Where it
        is the Sentinels that are silent, the connections that there are still work, and could not be made anew. Nodes
        that do not agree about a slot have answered.
        """
        if isinstance(fault, (MasterUnknown, SlotDisputed)):
            return False
        is_silent = isinstance(fault, (RedisConnectionError, RedisTimeoutError)) and cause not in {TOO_MANY, BUSY_POOL}
        return cause.is_demoted or (self._has_successors and is_silent)

    def _memory(self) -> dict[str, Any]:
        try:
            return dict(self._redis.info("memory"))
        except ResponseError:
            return {}

    def translated(self, operation: Callable[[], T]) -> T:
        """Return what `operation` returns.

        Raises:
            StoreUnavailable: it failed in Redis.
        """
        try:
            return operation()
        except RedisError as fault:
            raise self._unavailable(fault) from fault

    def _read(self, commands: tuple[Command, ...], near: str | None) -> list[Any]:
        if isinstance(self._redis, Cluster):
            replies = self._redis.together(commands, near=near, shares=self._shares_reads)
        elif self._reads is None:
            return self._send(commands)
        else:
            replies = self._reads.replies(commands)
        self._answered_at = self._clock()
        return replies

    def _send(self, commands: tuple[Command, ...]) -> list[Any]:
        if isinstance(self._redis, Cluster):
            replies = self._redis.together(commands)
        elif len(commands) == 1:
            replies = [self._redis.execute_command(*commands[0])]  # type: ignore[no-untyped-call]  # redis-py leaves it so
        else:
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # likewise
            replies = pipeline.execute()
        self._answered_at = self._clock()
        return replies

    def _unavailable(self, fault: RedisError) -> StoreUnavailable:
        self.note_failure(fault)
        if isinstance(fault, (RedisConnectionError, RedisTimeoutError)):
            return StoreUnavailable("The store (Redis) did not answer. Try again in a moment.", retry_after=2)
        return StoreRefused(
            "The store (Redis) refused a write. Its operator has to look into it; the log says why.", retry_after=10
        )


def _cluster(address: RedisAddress, options: dict[str, Any]) -> Cluster:
    kind = InTimeTLS if address.is_tls else InTime
    options["connection_class"] = kind

    def make_pool(node: tuple[str, int]) -> Connections:
        return Connections(host=node[0], port=node[1], **options)

    of_pool = {"max_connections", "timeout", "connection_class"}
    asked = {name: value for name, value in options.items() if name not in of_pool}
    nodes = Nodes(address.nodes, make_pool, asking(kind, asked))
    return Cluster(nodes, ClusterPool(nodes, **options))


def _number(value: object) -> float:
    """Return a number that Redis tells of itself; 0: it tells none, as some that only speak its protocol."""
    return value if isinstance(value, (int, float)) else 0
