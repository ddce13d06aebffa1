"""A Sentinel group and a Cluster with the service on them, each started once for a file of tests."""

from collections.abc import Iterator

import pytest

from sandbox.simulator import Simulator
from sandbox.store_groups import ClusterGroup, SentinelGroup
from tests.stores.stage import Stage, made_ready, set_up

# As docs/operate.md recommends: a master that was cut off in a failover takes no writes that would be lost.
RECOMMENDED = ("min-replicas-to-write 1", "min-replicas-max-lag 10")


@pytest.fixture(scope="module")
def sentinel_stage(tmp_path_factory: pytest.TempPathFactory, running_simulator: Simulator) -> Iterator[Stage]:
    with set_up(SentinelGroup(tmp_path_factory.mktemp("store"), *RECOMMENDED), running_simulator) as stage:
        yield stage


@pytest.fixture
def sentinel(sentinel_stage: Stage, simulator: Simulator) -> Iterator[Stage]:
    """The service on a Sentinel group that is whole, with nothing in the store."""
    yield from made_ready(sentinel_stage, simulator)


@pytest.fixture(scope="module")
def cluster_stage(tmp_path_factory: pytest.TempPathFactory, running_simulator: Simulator) -> Iterator[Stage]:
    with set_up(ClusterGroup(tmp_path_factory.mktemp("store")), running_simulator) as stage:
        yield stage


@pytest.fixture
def cluster(cluster_stage: Stage, simulator: Simulator) -> Iterator[Stage]:
    """The service on a Cluster that is whole, with nothing in the store."""
    yield from made_ready(cluster_stage, simulator)
