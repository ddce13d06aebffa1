"""The same harmed Valkey as a single server, as the master that a Sentinel names, and as the one node of a Cluster.

So each fault of the store is met by each way of reaching it. What only a group of servers can do, fail over, is tried
with whole groups in tests/stores.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, Self

import pytest
from redis.exceptions import RedisError

from sandbox.store_groups import MASTER_NAME, SLOTS, Server
from tests.faults.own_valkey import OwnValkey
from tests.steps import wait_until
from tests.workers import free_port

KINDS = ("one", "sentinel", "cluster")
# All kinds where STORES=all: it takes three times as long.
IS_EVERY_KIND = os.environ.get("STORES") == "all"
_NEVER_MILLISECONDS = 3_600_000


class NamedBySentinel(OwnValkey):
    """A Sentinel names it: by way of the proxy under the usual name, and directly under another."""

    kind = "sentinel"

    def __init__(self, proxy_port: int) -> None:
        super().__init__(proxy_port)
        self._folder = tempfile.TemporaryDirectory(prefix="sentinel-")
        settings = [
            setting
            for name, port in ((MASTER_NAME, proxy_port), ("direct", self.port))
            for setting in (
                f"sentinel monitor {name} 127.0.0.1 {port} 1",
                # It has nobody to put in its place.
                f"sentinel down-after-milliseconds {name} {_NEVER_MILLISECONDS}",
            )
        ]
        self._sentinel = Server(Path(self._folder.name), free_port(), *settings, is_sentinel=True)
        self.url = f"redis+sentinel://127.0.0.1:{self._sentinel.port}/direct"
        self.url_by_proxy = f"redis+sentinel://127.0.0.1:{self._sentinel.port}/{MASTER_NAME}"

    def __enter__(self) -> Self:
        super().__enter__()
        self._sentinel.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._sentinel.kill()
        self._folder.cleanup()
        super().__exit__(None, None, None)


class NodeOfCluster(OwnValkey):
    """It has all slots, and names the proxy as its address."""

    kind = "cluster"

    def __init__(self, proxy_port: int) -> None:
        settings = {
            "cluster-enabled": "yes",
            "cluster-port": str(free_port()),
            "cluster-announce-ip": "127.0.0.1",
            "cluster-announce-port": str(proxy_port),
        }
        super().__init__(proxy_port, **settings)
        self.url = f"redis+cluster://127.0.0.1:{self.port}"
        self.url_by_proxy = f"redis+cluster://127.0.0.1:{proxy_port}"

    def start(self) -> None:
        super().start()
        with contextlib.suppress(RedisError):
            # It knows already where it was started before.
            self.redis.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS - 1)  # type: ignore[no-untyped-call]
        # A node that has just been started waits for two seconds, in case another has taken its place.
        wait_until(self._is_whole)

    def _is_whole(self) -> bool:
        told: Any = self.redis.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
        return "ok" in (told["cluster_state"] if isinstance(told, dict) else told.decode())


def own_valkey(kind: str, proxy_port: int) -> OwnValkey:
    """Return one of that kind, not started yet; `proxy_port`: by which the service reaches it."""
    if kind == "sentinel":
        return NamedBySentinel(proxy_port)
    return NodeOfCluster(proxy_port) if kind == "cluster" else OwnValkey(proxy_port)


def skip_unless_demoted_by_hand(valkey: OwnValkey) -> None:
    """Skip a test that makes a replica of it: in a group nobody but the group does that."""
    if valkey.kind != "one":
        pytest.skip("Sentinels and Clusters demote by themselves; whole ones do in tests/stores")
