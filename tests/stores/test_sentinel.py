"""The service on a Sentinel group: the whole journey, and failovers under load that cost no grant."""

import contextlib
from collections.abc import Callable

import pytest
from redis.exceptions import RedisError

from sandbox.store_groups import MASTER_NAME, SentinelGroup, Server
from tests.steps import wait_until
from tests.stores.journey import go_through
from tests.stores.stage import LONG_SECONDS, ROUNDS, Stage, fails_over, pause_until_replaced

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


def is_replaced(group: SentinelGroup, former: Server) -> bool:
    return agreed_master(group) not in {None, former.port}


def master_of(group: SentinelGroup) -> Server:
    """Return the master once all Sentinels name the same; a busy machine may have them fail over by themselves."""
    wait_until(lambda: agreed_master(group) is not None, LONG_SECONDS)
    port = agreed_master(group)
    return next(server for server in group.servers if server.port == port)


def killed(group: SentinelGroup, is_well: Callable[[], bool]) -> None:
    del is_well
    master = master_of(group)
    master.kill()
    wait_until(lambda: is_replaced(group, master), LONG_SECONDS)
    master.start(f"replicaof 127.0.0.1 {agreed_master(group)}")


def paused(group: SentinelGroup, is_well: Callable[[], bool]) -> None:
    master = master_of(group)
    pause_until_replaced(master, lambda: is_replaced(group, master), is_well)


def demoted(group: SentinelGroup, is_well: Callable[[], bool]) -> None:
    del is_well
    master = master_of(group)

    def is_begun() -> bool:
        # Refused while another one is under way.
        with contextlib.suppress(RedisError):
            group.sentinels[0].say("SENTINEL", "FAILOVER", MASTER_NAME, "COORDINATED")
            return True
        return False

    wait_until(is_begun, LONG_SECONDS)
    wait_until(lambda: is_replaced(group, master), LONG_SECONDS)


@pytest.mark.timeout(120 + 60 * ROUNDS)
@pytest.mark.parametrize("fail_over", [killed, paused, demoted])
def test_a_failover_under_load_costs_seconds_and_no_grant(
    fail_over: Callable[[SentinelGroup, Callable[[], bool]], None], sentinel: Stage
) -> None:
    group = sentinel.group
    assert isinstance(group, SentinelGroup)
    fails_over(sentinel, lambda is_well: fail_over(group, is_well))
