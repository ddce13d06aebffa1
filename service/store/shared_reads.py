"""What the threads of this process read from Redis, over one connection at a time.

Reads that come while a round trip is under way go together in the next. With a connection for each thread the
interpreter would change threads at every one of their system calls: under load that cost a third of a cached list. A
reader never gets a reply that was asked for before it came.
"""

import threading
from collections.abc import Callable
from copy import copy
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.ground.memo import Memo

_Command = tuple[object, ...]

# The most replies that Redis holds for a process that is slow to read them.
MOST_AT_ONCE = 16
# For a place in a round trip, as for a connection of the pool. While Redis says nothing each one lasts as long as its
# time limits let it, and whoever waited for several of them in turn would outlive the request it is for.
TURN_SECONDS = 2.0
# The same few commands are sent for each sidebar that is open; putting one into the protocol costs as much as sending.
REMEMBERED_COMMANDS = 1024


class _Read:
    """One thread's commands, and what came of them."""

    __slots__ = ("commands", "fault", "is_done", "replies", "turn")

    def __init__(self, commands: tuple[_Command, ...]) -> None:
        self.commands = commands
        self.replies: list[Any] = []
        self.fault: RedisError | None = RedisConnectionError("the round trip was broken off")
        self.is_done = False
        self.turn = threading.Lock()
        self.turn.acquire()

    def take(self, next_reply: Callable[[_Command], Any]) -> None:
        """Take the replies to all commands, whether one of them was refused or not."""
        refused = None
        for command in self.commands:
            try:
                self.replies.append(next_reply(command))
            except ResponseError as fault:
                refused = refused or fault
        self.fault = refused


class SharedReads:
    """Sends the reads of waiting threads in one round trip: one thread leads, and hands the others their replies."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._lock = threading.Lock()
        self._waiting: list[_Read] = []
        self._is_led = False
        self._packed: Memo[_Command, bytes] = Memo(REMEMBERED_COMMANDS)

    def replies(self, commands: tuple[_Command, ...]) -> list[Any]:
        """Return the replies to reading commands.

        Raises:
            RedisError: Redis refused one of them, did not answer, or is slow and others wait for it already.
        """
        mine = _Read(commands)
        with self._lock:
            self._waiting.append(mine)
            leads = not self._is_led
            self._is_led = True
        if not leads:
            self._await_turn(mine)
        if not mine.is_done:
            self._lead(mine)
        if mine.fault is not None:
            raise mine.fault
        return mine.replies

    def _await_turn(self, mine: _Read) -> None:
        """Return when whoever leads has brought our replies, or wants us to lead.

        Raises:
            RedisTimeoutError: nobody has got to us in time.
        """
        if mine.turn.acquire(timeout=TURN_SECONDS):
            return
        with self._lock:
            # The reply came in this very moment.
            if mine.turn.acquire(blocking=False):
                return
            if mine in self._waiting:
                self._waiting.remove(mine)
                raise RedisTimeoutError("Redis is slow, and others wait for it already")
        # Our commands are in the round trip under way, which ends within Redis's time limits.
        mine.turn.acquire()

    def _lead(self, mine: _Read) -> None:
        """Bring the replies of those that wait, `mine` among them, and let the first that came meanwhile lead."""
        with self._lock:
            together = self._waiting[:MOST_AT_ONCE]
            del self._waiting[:MOST_AT_ONCE]
        try:
            self._exchange(together)
        finally:
            with self._lock:
                successor = self._waiting[0] if self._waiting else None
                self._is_led = successor is not None
                if successor is not None:
                    # Under the lock, before it can give up: then nobody would lead.
                    successor.turn.release()
            for one in together:
                one.is_done = True
                if one is not mine:
                    one.turn.release()

    def _exchange(self, together: list[_Read]) -> None:
        """Send all commands at once and take the replies; a failure is everybody's."""
        redis, pool = self._redis, self._redis.connection_pool
        try:
            connection = pool.get_connection()
            try:
                sent = [self._in_protocol(connection, command) for one in together for command in one.commands]
                connection.send_packed_command([b"".join(sent)])  # type: ignore[no-untyped-call]  # redis-py leaves it so
                for one in together:
                    one.take(lambda command: redis.parse_response(connection, command[0]))  # type: ignore[no-untyped-call]  # likewise
            except BaseException:
                # Otherwise the next reader would get the replies that were not read.
                connection.disconnect()  # type: ignore[no-untyped-call]  # likewise
                raise
            finally:
                pool.release(connection)
        except RedisError as fault:
            for one in together:
                # An exception object of their own: each raise of a shared one would add its frames to everybody's.
                one.fault = copy(fault)
                # What the system or TLS said, which a copy lacks; nobody raises that again.
                one.fault.__cause__ = fault.__cause__ or fault.__context__

    def _in_protocol(self, connection: Any, command: _Command) -> bytes:
        return self._packed.get(command, lambda: b"".join(connection.pack_command(*command)))
