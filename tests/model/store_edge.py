"""A client of the store whose every command is a step. The commands go to a real Valkey."""

import threading
from collections.abc import Callable
from typing import Any

from redis import ConnectionPool, Redis
from redis.client import Pipeline
from redis.commands.core import Script
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError

from service.grants.grant_ends import ENDS_KEY
from tests.model.edges import NO_ANSWER, REPLY_LOST, World
from tests.model.steps import CRASH, Step

REFUSED = "the store refuses it"
READS = frozenset({"GET", "HGET", "HMGET", "HGETALL", "EXISTS", "SCAN", "PTTL", "MGET", "LRANGE", "INFO"})
# What replies to a write that wrote nothing look like.
_NOTHING_DONE: tuple[Any, ...] = (None, False, 0, -1, [0])


class SteppedRedis(Redis):
    """A client whose every command is a step of the calling thread."""

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__(connection_pool=pool)
        self.world: World
        """Whose schedule the steps belong to."""
        self._failing = threading.local()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return self.step(args, lambda: super(SteppedRedis, self).execute_command(*args, **options))  # type: ignore[no-untyped-call]  # redis-py leaves it so

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> "SteppedPipeline":
        return SteppedPipeline(self, transaction, shard_hint)

    def register_script(self, script: Any) -> Script:
        # Loaded at once, so that its first call is one step like any other.
        with Redis(connection_pool=self.connection_pool) as plain:
            plain.script_load(script)
        return super().register_script(script)

    def step(self, command: tuple[Any, ...], send: Callable[[], Any]) -> Any:
        """Return the reply to a command, or the failure that the schedule has for it."""
        world, schedule = self.world, self.world.schedule
        if schedule.current is None or (":worked:" in str(command[1]) and not world.refuses):
            # What a token has worked for matters only to whoever is refused; else a step would only cost time.
            return send()
        if command[1] == ENDS_KEY:
            # The index beside the records, by which accounts are only counted.
            reply = send()
            world.look()
            return reply
        schedule.stop_if_over()
        text, reads = world.describe(command), command[0] in READS
        if getattr(self._failing, "text", None) == text:
            self._failing.text = None
            raise RedisConnectionError(NO_ANSWER)
        faults = (NO_ANSWER,) if reads else (CRASH, REFUSED, REPLY_LOST)
        fault = schedule.at(Step(text, faults if world.steps_fail else ()))
        if world.is_away:
            fault = NO_ANSWER
        if fault is not None:
            world.guarantees.store_failed(text, reads=reads)
        if fault in {NO_ANSWER, REFUSED}:
            # A read is repeated once by the service; that fails as well.
            self._failing.text = text if reads else None
            schedule.happened(f"{text} → {fault}", changes=False)
            raise OutOfMemoryError(REFUSED) if fault == REFUSED else RedisConnectionError(NO_ANSWER)
        reply = send()
        changes = not reads and reply not in _NOTHING_DONE
        if changes:
            world.look()
        if fault == REPLY_LOST:
            schedule.happened(f"{text} → {REPLY_LOST}", changes=changes)
            raise RedisConnectionError(REPLY_LOST)
        words, whole = world.told(command, reply)
        schedule.happened(f"{text} → {words}", whole, changes=changes)
        return reply


class SteppedPipeline(Pipeline):
    """Commands that are sent together, as one step."""

    def __init__(self, client: SteppedRedis, transaction: Any, shard_hint: Any) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands = tuple(part for command in self.command_stack for part in command[0])
        found: list[Any] = self._client.step(commands, lambda: super(SteppedPipeline, self).execute(raise_on_error))
        return found
