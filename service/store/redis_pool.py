"""Connections to Redis. Each is looked at before it is handed out, so that nothing is sent over one that is dead.

redis-py (8.1) looks while it sends: a PING that a middlebox has swallowed then fails the command behind it. It also
closes idle connections from any thread, one that another has just taken among them; here only the thread that holds a
connection closes it.
"""

import re
import ssl
import time
from queue import LifoQueue
from typing import Any
from weakref import WeakKeyDictionary

from redis import BlockingConnectionPool, Connection, SSLConnection
from redis._parsers.socket import SERVER_CLOSED_CONNECTION_ERROR
from redis.exceptions import ChildDeadlockedError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from service.ground.addresses import Addresses
from service.ground.network_faults import causes

# Middleboxes forget a connection after 30 s of silence at the earliest (HAProxy's usual time-outs; Azure 240, AWS 350).
HEALTH_CHECK_SECONDS = 15
# How long the answer to that check is waited for; without one a new connection is made.
PONG_SECONDS = 0.5
# How long finding the host's addresses may take.
NAME_SECONDS = 2.0
# Between tries for a connection while Redis takes no more of them.
AGAIN_SECONDS = 0.05
# Redis, Valkey, and in a cluster "max number of clients + cluster connections reached".
_TOO_MANY = re.compile(r"max number of clients")
# What closes a connection in its greeting: Redis does so under TLS where it has too many and cannot say it yet.
_CLOSED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError)

# Of redis-py where what answers is no Redis (a reply of another kind), where a host's name cannot be encoded, or after
# a fork that left a lock.
_NOT_UNDERSTOOD = (AttributeError, TypeError, ValueError, ChildDeadlockedError)


class InTime(Connection):
    """A connection that finds its host's addresses within a limit, which redis-py's own look-up does not know."""

    # Names of our own begin with two underscores: Python then makes them ours whatever redis-py comes to call its own.

    def __init__(self, *, addresses: Addresses, **options: Any) -> None:
        self.__addresses = addresses
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py leaves it so

    def _connect(self) -> Any:
        name, fault = self.host, None
        try:
            for address in self.__found():
                self.host = address
                try:
                    return super()._connect()  # type: ignore[no-untyped-call]  # likewise
                except OSError as refusal:
                    fault = refusal
        finally:
            # Whose certificate is checked afterwards, and who is named in an error.
            self.host = name
        raise fault or OSError("no address was found")

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Greet the server, and ask nothing before that: one that cannot save refuses PING like a write (MISCONF)."""
        del check_health
        super().on_connect_check_health(check_health=False)

    def __found(self) -> list[str]:
        try:
            return self.__addresses.find(self.host, int(self.port), NAME_SECONDS)
        except RuntimeError as fault:
            raise OSError(str(fault)) from fault


class InTimeTLS(SSLConnection, InTime):
    """The same under TLS."""


class ConnectedFirst(LifoQueue[Any]):
    """A LIFO queue that gives out open connections before those that would have to be opened."""

    def _put(self, item: Any) -> None:
        if item is not None and item.is_connected:
            self.queue.append(item)
        else:
            self.queue.insert(0, item)


class Connections(BlockingConnectionPool):
    """A pool whose connections answered a moment ago, or are new.

    While Redis takes no more connections, one of the process's own is waited for, up to `timeout` seconds.
    """

    # Names of our own begin with two underscores: Python then makes them ours whatever redis-py comes to call its own.

    def __init__(self, **options: Any) -> None:
        self.__age: object = object()
        self.__ages: WeakKeyDictionary[Any, object] = WeakKeyDictionary()
        # Notices of a managed Redis's maintenance let redis-py close idle connections from any thread, wait 10 s for a
        # reply, and overlook replies that nobody took.
        quiet = MaintNotificationsConfig(enabled=False)
        super().__init__(  # type: ignore[no-untyped-call]  # likewise
            queue_class=ConnectedFirst,
            health_check_interval=HEALTH_CHECK_SECONDS,
            maint_notifications_config=quiet,
            **options,
        )

    def renew(self) -> None:
        """Let every connection be made anew before it is used again; those in use are left to their users."""
        self.__age = object()

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """Return a connection that can be sent to; to be given back by `release`.

        Raises:
            RedisError: there is none.
        """
        end = time.monotonic() + self.timeout
        while True:
            try:
                return self.__live()
            except RedisConnectionError as fault:
                if time.monotonic() >= end or not self.__is_full(fault):
                    raise
            except _NOT_UNDERSTOOD as fault:
                # redis-py closes a connection after its own errors only; this one is half greeted.
                self.renew()
                raise RedisConnectionError(f"The connection could not be made: {fault}") from fault
            time.sleep(AGAIN_SECONDS)

    def __live(self) -> Any:
        age = self.__age
        connection = super().get_connection()  # type: ignore[no-untyped-call]  # likewise
        try:
            if self.__ages.setdefault(connection, age) is not age or not _answers(connection):
                connection.disconnect()
                connection.connect()
                self.__ages[connection] = age
        except BaseException:
            self.release(connection)  # type: ignore[no-untyped-call]  # likewise
            raise
        return connection

    def __is_full(self, fault: RedisConnectionError) -> bool:
        """Return whether a new connection was refused because there are too many."""
        if is_too_many(fault):
            return True
        # If Redis says nothing, another connection of ours that works tells this from a Redis that is away.
        is_closed = SERVER_CLOSED_CONNECTION_ERROR in str(fault) or any(
            isinstance(one, _CLOSED) for one in causes(fault)
        )
        # Not by iterating, which fails where another thread makes a connection meanwhile.
        ours = [reference() for reference in self.__ages.keyrefs()]
        return is_closed and any(one is not None and one.is_connected for one in ours)


def is_too_many(fault: BaseException) -> bool:
    """Return whether Redis says that it has too many connections."""
    return any(_TOO_MANY.search(str(one)) for one in causes(fault))


def _answers(connection: Any) -> bool:
    """Return whether a connection lives; it is asked if it has been silent for long."""
    if time.monotonic() <= connection.next_health_check:
        return True
    try:
        connection.send_command("PING", check_health=False)
        connection.read_response(timeout=PONG_SECONDS)
    except (RedisConnectionError, RedisTimeoutError):
        return False
    except ResponseError:
        # It answers: one that cannot save refuses PING like a write (MISCONF), and takes reads.
        return True
    return True
