"""/readyz is red while Redis cannot be reached, and not because of one ping that was slow or lost."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.store.store import GRACE_SECONDS, Store
from tests.conftest import MakeApp
from tests.steps import services
from tests.workers import free_port, running_valkey

pytestmark = pytest.mark.processes

# So that a Redis that does not answer is found out quickly; on a slow machine an honest answer takes no longer.
READ_SECONDS = 0.5


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Iterator[Any]:
    """A Valkey of the test's own, to be stopped."""
    with running_valkey(free_port()) as running:
        yield running


@pytest.fixture
def redis(server: Any) -> Iterator[Redis]:
    with Redis(port=server.port, socket_timeout=READ_SECONDS, retry=Retry(NoBackoff(), 0)) as client:
        yield client


@pytest.fixture
def monitor(make_app: MakeApp, redis: Redis, clock: Clock) -> FlaskClient:
    """Asks a service on that server and that clock."""
    app = make_app()
    app.extensions["zis_services"] = replace(services(app), store=Store(redis, clock))
    return app.test_client()


@contextmanager
def paused(redis: Redis) -> Iterator[None]:
    """Let the server take connections and commands, and answer none."""
    pid = int(redis.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def statuses(monitor: FlaskClient, clock: Clock, *seconds: float) -> list[int]:
    """Return what /readyz answers after each of these further waits."""
    answers = []
    for wait in seconds:
        clock.now += wait
        answers.append(monitor.get("/readyz").status_code)
    return answers


def test_it_is_ready_as_long_as_redis_answers(monitor: FlaskClient, clock: Clock) -> None:
    assert statuses(monitor, clock, 0, 1, 60, 3600) == [200, 200, 200, 200]


def test_pings_that_are_not_answered_for_a_moment_do_not_turn_it_red(
    monitor: FlaskClient, redis: Redis, clock: Clock
) -> None:
    assert statuses(monitor, clock, 0) == [200]
    with paused(redis):
        assert statuses(monitor, clock, 2, 2) == [200, 200]
    assert statuses(monitor, clock, 2, GRACE_SECONDS - 1) == [200, 200]
    # Counted from the last answer, not from the first failure.
    with paused(redis):
        assert statuses(monitor, clock, 2, GRACE_SECONDS) == [200, 503]


def test_a_redis_that_hangs_is_reported_within_a_few_seconds(monitor: FlaskClient, redis: Redis, clock: Clock) -> None:
    assert statuses(monitor, clock, 0) == [200]
    with paused(redis):
        assert statuses(monitor, clock, GRACE_SECONDS, 0.1, 60) == [200, 503, 503]
    assert statuses(monitor, clock, 1) == [200]


def test_a_redis_that_was_stopped_is_reported_within_a_few_seconds(
    monitor: FlaskClient, server: Any, clock: Clock
) -> None:
    assert statuses(monitor, clock, 0) == [200]
    server.stop()
    assert statuses(monitor, clock, 1, GRACE_SECONDS) == [200, 503]
    server.start()
    assert statuses(monitor, clock, 0.1) == [200]


def test_whatever_else_redis_answers_counts_as_an_answer(monitor: FlaskClient, clock: Clock, redis: Redis) -> None:
    store = services(monitor.application).store
    clock.now += 3600
    store.read(("GET", "anything"))
    with paused(redis):
        assert statuses(monitor, clock, 1, GRACE_SECONDS) == [200, 503]


def test_a_redis_that_has_never_answered_is_reported_at_once(monitor: FlaskClient, server: Any, clock: Clock) -> None:
    server.stop()
    assert statuses(monitor, clock, 0) == [503]
