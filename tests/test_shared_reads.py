"""Reads of many threads share round trips, and nothing else: not a reply, not a refusal."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.store.shared_reads import MOST_AT_ONCE, SharedReads
from service.store.store import Store
from tests.steps import wait_until
from tests.workers import at_once

READERS = 40


@pytest.fixture
def reads(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedReads]:
    # Those who are held back wait for as long as the test wants.
    monkeypatch.setattr("service.store.shared_reads.TURN_SECONDS", 60.0)
    with Redis.from_url(redis_url) as client:
        yield SharedReads(client)


def held_back(
    redis: Redis, reads: SharedReads, call: Callable[[int], Any], meanwhile: Callable[[], Any] = lambda: None
) -> tuple[Any, list[Any]]:
    """Return what the leader gets, whom Redis lets wait, and what the readers get who have come meanwhile."""
    led: list[Any] = []
    results: list[Any] = []
    leader = threading.Thread(target=lambda: led.extend(at_once(1, lambda _: reads.replies((("BLPOP", "gate", 0),)))))
    leader.start()
    wait_until(lambda: redis.info("clients")["blocked_clients"] == 1)
    others = threading.Thread(target=lambda: results.extend(at_once(READERS, call)))
    others.start()
    wait_until(lambda: len(reads._waiting) == READERS)
    meanwhile()
    redis.lpush("gate", "open")
    for thread in (leader, others):
        thread.join()
    return led[0], results


def kill_all_but_ours(redis: Redis) -> None:
    redis.client_kill_filter(_type="normal", skipme=True)


def test_replies_come_in_the_order_of_the_commands_as_the_client_gives_them(redis: Redis, reads: SharedReads) -> None:
    redis.hset("hash", mapping={"a": "1"})
    seconds, fields, nothing = reads.replies((("TIME",), ("HGETALL", "hash"), ("GET", "absent")))
    assert len(seconds) == 2
    assert (fields, nothing) == ({b"a": b"1"}, None)


def test_every_thread_gets_its_own_replies(redis: Redis, reads: SharedReads) -> None:
    for number in range(READERS):
        redis.set(f"key:{number}", f"value {number}")

    def read(number: int) -> list[Any]:
        return [reads.replies((("GET", f"key:{number}"), ("STRLEN", f"key:{number}"))) for _ in range(20)]

    for number, replies in enumerate(at_once(READERS, read)):
        value = f"value {number}".encode()
        assert replies == [[value, len(value)]] * 20


def test_a_read_sees_what_was_written_before_it_whoever_reads_beside_it(redis: Redis, reads: SharedReads) -> None:
    def count(number: int) -> list[bool]:
        return [
            redis.incr(f"count:{number}") == int(reads.replies((("GET", f"count:{number}"),))[0]) for _ in range(50)
        ]

    assert at_once(8, count) == [[True] * 50] * 8


def test_reads_that_wait_go_together_up_to_a_limit(redis: Redis, reads: SharedReads) -> None:
    before: list[int] = []

    def look() -> None:
        before.append(int(redis.info("stats")["total_reads_processed"]))

    _, replies = held_back(redis, reads, lambda _: reads.replies((("ECHO", "x"),)), look)
    spent = int(redis.info("stats")["total_reads_processed"]) - before[0]
    assert replies == [[b"x"]] * READERS
    # Opening the gate and the second look are our own.
    assert spent <= -(-READERS // MOST_AT_ONCE) + 2


def test_a_refused_command_is_its_readers_alone(redis: Redis, reads: SharedReads) -> None:
    redis.set("text", "x")

    def read(number: int) -> list[Any]:
        return reads.replies((("HGET", "text", "field") if number % 3 == 0 else ("GET", "text"), ("ECHO", number)))

    _, replies = held_back(redis, reads, read)
    assert all(isinstance(reply, ResponseError) for reply in replies[::3])
    assert all(reply == [b"x", str(number).encode()] for number, reply in enumerate(replies) if number % 3)


def test_a_connection_that_breaks_fails_those_who_shared_it_and_no_others(redis: Redis, reads: SharedReads) -> None:
    led, replies = held_back(redis, reads, lambda _: reads.replies((("ECHO", "x"),)), lambda: kill_all_but_ours(redis))
    assert isinstance(led, RedisConnectionError)
    assert replies == [[b"x"]] * READERS


def test_the_store_repeats_a_read_whose_connection_broke(redis: Redis, redis_url: str) -> None:
    store = Store(Redis.from_url(redis_url), shares_reads=True)
    store.read(("PING",))
    kill_all_but_ours(redis)
    replies = at_once(READERS, lambda _: store.read(("ECHO", "x")))
    assert replies == [[b"x"]] * READERS


def test_while_redis_is_away_every_reader_is_told_so() -> None:
    reads = SharedReads(Redis.from_url("redis://127.0.0.1:1/0"))
    replies = at_once(READERS, lambda _: reads.replies((("PING",),)))
    assert all(isinstance(reply, RedisConnectionError) for reply in replies)


def test_who_waits_for_a_redis_that_says_nothing_does_not_wait_for_all_before_him(
    redis: Redis, reads: SharedReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate: list[Any] = []
    leader = threading.Thread(target=lambda: gate.append(reads.replies((("BLPOP", "gate", 0),))))
    leader.start()
    wait_until(lambda: redis.info("clients")["blocked_clients"] == 1)
    # Those who come afterwards are answered, however long their turn takes on a busy machine.
    with monkeypatch.context() as patch:
        patch.setattr("service.store.shared_reads.TURN_SECONDS", 0.1)
        replies = at_once(READERS, lambda _: reads.replies((("ECHO", "x"),)))
    redis.lpush("gate", "open")
    leader.join()
    assert len(gate) == 1
    assert all(isinstance(reply, RedisTimeoutError) for reply in replies)
    # Nobody is missing from the line.
    assert at_once(READERS, lambda number: reads.replies((("ECHO", number),))) == [
        [str(number).encode()] for number in range(READERS)
    ]


def test_a_leader_that_is_interrupted_leaves_nobody_waiting_and_no_half_replies(redis: Redis, redis_url: str) -> None:
    class Interrupted(Redis):
        """Stops the first thread that takes a reply after the leader's, as Ctrl-C does."""

        replies = 0

        def parse_response(self, *arguments: Any, **options: Any) -> Any:
            self.replies += 1
            if self.replies == 2:
                raise KeyboardInterrupt
            return super().parse_response(*arguments, **options)  # type: ignore[no-untyped-call]  # redis-py leaves it so

    reads = SharedReads(Interrupted.from_url(redis_url))
    stopped: list[BaseException] = []

    def read(number: int) -> list[Any] | None:
        try:
            return reads.replies((("ECHO", number),))
        except KeyboardInterrupt as stop:
            stopped.append(stop)
            return None

    _, replies = held_back(redis, reads, read)
    assert len(stopped) == 1
    # Those who went with it are told; the others have what they asked for.
    told = [reply for reply in replies if isinstance(reply, RedisConnectionError)]
    answered = [reply == [str(number).encode()] for number, reply in enumerate(replies) if isinstance(reply, list)]
    assert len(told) == MOST_AT_ONCE - 1
    assert answered == [True] * (READERS - MOST_AT_ONCE)
    assert reads.replies((("ECHO", "y"),)) == [b"y"]
