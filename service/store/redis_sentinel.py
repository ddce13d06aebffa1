"""Connections to the master of a Sentinel group: it is asked for whenever one is made."""

import threading
from typing import Any

from redis import Connection, SSLConnection
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.store.redis_pool import InTime, InTimeTLS

# For each step of asking one Sentinel: they answer at once or are away, and the next one is tried.
SENTINEL_SECONDS = 0.5
_FAILURES = (RedisConnectionError, RedisTimeoutError, ResponseError)
# Of a Sentinel that has no password.
_WITHOUT = {"username": None, "password": None}


class MasterUnknown(RedisConnectionError):
    """No Sentinel says where the master is."""


class NotMaster(RedisConnectionError):
    """What the Sentinels call the master is a replica: a failover is under way."""


class Sentinels:
    """The Sentinels of one master.

    `options`: of a connection to any of them, user and password of the data nodes among them; a Sentinel that has no
    password, or does not know that one, is asked without.
    """

    def __init__(
        self, nodes: tuple[tuple[str, int], ...], service: str, options: dict[str, Any], *, is_tls: bool
    ) -> None:
        self.service = service
        self._kind = InTimeTLS if is_tls else InTime
        self._options = {
            **options,
            "socket_connect_timeout": SENTINEL_SECONDS,
            "socket_timeout": SENTINEL_SECONDS,
            "db": 0,
        }
        self._lock = threading.Lock()
        self._nodes = list(nodes)
        """Those that did not answer last."""

    def master(self) -> tuple[str, int]:
        """Return the master's host and port, as the first Sentinel says that answers.

        Raises:
            MasterUnknown: none answers, or none knows it.
        """
        with self._lock:
            nodes = list(self._nodes)
        refusals: list[str] = []
        last: Exception | None = None
        for node in nodes:
            try:
                found = self._asked(node)
            except _FAILURES as fault:
                last = fault
                refusals.append(f"{node[0]}:{node[1]}: {fault}")
                self._put_last(node)
                continue
            if found is not None:
                return found
            refusals.append(f"{node[0]}:{node[1]} knows no master of that name")
        what = "No Sentinel answers" if last is not None else "No Sentinel knows the master"
        raise MasterUnknown(f"{what} ({self.service}). {'; '.join(refusals)}") from last

    def _asked(self, node: tuple[str, int]) -> tuple[str, int] | None:
        """Return what one Sentinel says; None: it knows no such master."""
        try:
            return self._asked_with(node, self._options)
        except (AuthenticationError, ResponseError):
            if not self._options.get("password"):
                raise
            return self._asked_with(node, {**self._options, **_WITHOUT})

    def _asked_with(self, node: tuple[str, int], options: dict[str, Any]) -> tuple[str, int] | None:
        connection: Connection = self._kind(host=node[0], port=node[1], **options)
        try:
            connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it so
            connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)  # type: ignore[no-untyped-call]  # redis-py leaves it so
            reply = connection.read_response()
        finally:
            connection.disconnect()  # type: ignore[no-untyped-call]  # likewise
        return None if reply is None else (_text(reply[0]), int(reply[1]))

    def _put_last(self, node: tuple[str, int]) -> None:
        with self._lock:
            self._nodes.remove(node)
            self._nodes.append(node)


class ToMaster(InTime):
    """A connection to whatever is the master when it is made."""

    # Names of our own begin with two underscores: Python then makes them ours whatever redis-py comes to call its own.

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        self.__sentinels = sentinels
        super().__init__(**options)

    def _connect(self) -> Any:
        self.host, self.port = self.__sentinels.master()
        return super()._connect()

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Greet it, and make sure that it is one: for a moment Sentinels may name a master that has been demoted."""
        super().on_connect_check_health(check_health)
        self.send_command("ROLE", check_health=False)  # type: ignore[no-untyped-call]  # likewise
        try:
            role = self.read_response()
        except ResponseError:
            # Not this user's to ask. A write then finds out by itself.
            return
        if _text(role[0]) != "master":
            raise NotMaster(f"{self.host}:{self.port} is no master any more")


class ToMasterTLS(SSLConnection, ToMaster):
    """The same under TLS."""


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
