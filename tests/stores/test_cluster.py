"""The service on a Cluster: the whole journey, and failovers and moved slots under load that cost no grant."""

import contextlib
from collections.abc import Callable

import pytest
from redis.crc import key_slot
from redis.exceptions import RedisError

from sandbox.store_groups import ClusterGroup, Server
from tests.steps import wait_until
from tests.stores.journey import go_through
from tests.stores.stage import LONG_SECONDS, ROUNDS, Stage, fails_over, pause_until_replaced

pytestmark = pytest.mark.faults

SLOT = key_slot(b"acme")
"""Of all keys of acme, by their tag."""


def test_the_whole_journey_works(cluster: Stage) -> None:
    go_through(cluster)


def owner(group: ClusterGroup, but: Server | None = None) -> Server | None:
    """Return who has acme's slot, as all servers but one agree; None: they differ."""
    ports = {
        next((master[1] for first, last, master, *_ in one.slots() if first <= SLOT <= last), None)
        for one in group.servers
        if one is not but
    }
    return next((one for one in group.servers if {one.port} == ports), None)


def owner_of(group: ClusterGroup) -> Server:
    wait_until(lambda: owner(group) is not None, LONG_SECONDS)
    found = owner(group)
    assert found is not None
    return found


def killed(group: ClusterGroup, is_well: Callable[[], bool]) -> None:
    del is_well
    former = owner_of(group)
    former.kill()
    wait_until(lambda: owner(group, former) not in {None, former}, LONG_SECONDS)
    former.start()


def paused(group: ClusterGroup, is_well: Callable[[], bool]) -> None:
    former = owner_of(group)
    pause_until_replaced(former, lambda: owner(group, former) not in {None, former}, is_well)


def moved(group: ClusterGroup, is_well: Callable[[], bool]) -> None:
    del is_well
    wait_until(lambda: is_moved(group), LONG_SECONDS)


def is_moved(group: ClusterGroup) -> bool:
    """Move the slot; False: that was broken off, as where a busy machine lets a master fail over meanwhile."""
    with contextlib.suppress(RedisError):
        move(group)
        return True
    for one in group.servers:
        with contextlib.suppress(RedisError):
            one.say("CLUSTER", "SETSLOT", SLOT, "STABLE")
    return False


def move(group: ClusterGroup) -> None:
    # Whoever takes the slot back must know the epoch of who has it now, or its claim is refused.
    wait_until(lambda: all(one.claims() == group.servers[0].claims() for one in group.servers), LONG_SECONDS)
    source = owner_of(group)
    target = next(one for one in group.masters if one is not source)
    ids = [one.say("CLUSTER", "MYID").decode() for one in (source, target)]
    target.say("CLUSTER", "SETSLOT", SLOT, "IMPORTING", ids[0])
    source.say("CLUSTER", "SETSLOT", SLOT, "MIGRATING", ids[1])
    while keys := source.say("CLUSTER", "GETKEYSINSLOT", SLOT, 3):
        source.say("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
    for one in (target, source, *(one for one in group.masters if one not in {source, target})):
        one.say("CLUSTER", "SETSLOT", SLOT, "NODE", ids[1])
    wait_until(lambda: owner(group) is target, LONG_SECONDS)


@pytest.mark.timeout(120 + 60 * ROUNDS)
@pytest.mark.parametrize("fail_over", [killed, paused, moved])
def test_a_failover_under_load_costs_seconds_and_no_grant(
    fail_over: Callable[[ClusterGroup, Callable[[], bool]], None], cluster: Stage
) -> None:
    group = cluster.group
    assert isinstance(group, ClusterGroup)
    fails_over(cluster, lambda is_well: fail_over(group, is_well))
