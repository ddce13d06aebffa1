"""The service on a Sentinel group: the whole journey, and failovers under load that cost no grant."""

import contextlib
from collections.abc import Callable

import pytest
from redis.exceptions import RedisError

from service.sandbox.store_groups import MASTER_NAME, SentinelGroup
from tests.steps import wait_until
from tests.stores.journey import go_through
from tests.stores.stage import LONG_SECONDS, ROUNDS, Stage, fails_over

pytestmark = pytest.mark.faults


def test_the_whole_journey_works(sentinel: Stage) -> None:
    go_through(sentinel)


def agreed_master(group: SentinelGroup) -> int | None:
    """Return the port that all Sentinels name; None: they differ."""
    found = set()
    for one in group.sentinels:
        with contextlib.suppress(RedisError):
            found.add(tuple(one.say("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)))
    return int(found.pop()[1]) if len(found) == 1 else None


def is_replaced(group: SentinelGroup, former: int) -> bool:
    return agreed_master(group) not in {None, former}


def killed(group: SentinelGroup) -> None:
    master = group.master
    master.kill()
    wait_until(lambda: is_replaced(group, master.port), LONG_SECONDS)
    master.start(f"replicaof 127.0.0.1 {agreed_master(group)}")


def paused(group: SentinelGroup) -> None:
    master = group.master
    master.pause()
    try:
        wait_until(lambda: is_replaced(group, master.port), LONG_SECONDS)
    finally:
        master.resume()


def demoted(group: SentinelGroup) -> None:
    master = group.master
    group.sentinels[0].say("SENTINEL", "FAILOVER", MASTER_NAME, "COORDINATED")
    wait_until(lambda: is_replaced(group, master.port), LONG_SECONDS)


@pytest.mark.timeout(120 + 60 * ROUNDS)
@pytest.mark.parametrize("fail_over", [killed, paused, demoted])
def test_a_failover_under_load_costs_seconds_and_no_grant(
    fail_over: Callable[[SentinelGroup], None], sentinel: Stage
) -> None:
    group = sentinel.group
    assert isinstance(group, SentinelGroup)
    fails_over(sentinel, lambda: fail_over(group))
