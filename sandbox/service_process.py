"""The service as a child process: gunicorn in a session of its own, its log, its end."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

# Where `service` is imported from, whatever the current folder.
ROOT = Path(__file__).parents[1]
STOP_SECONDS = 15.0
LAST_LINES = 25


class ServiceProcess:
    """gunicorn and its workers; `log_path` None: they write to the terminal."""

    def __init__(
        self, addresses: Sequence[str], *, workers: int, environment: Mapping[str, str], log_path: Path | None
    ) -> None:
        self.log_path = log_path
        self._address = addresses[0]
        command = [sys.executable, "-m", "gunicorn", "--config", "python:service.server.gunicorn_config"]
        for address in addresses:
            command += ["--bind", address]
        command += ["--workers", str(workers), "service.wsgi:app"]
        with contextlib.ExitStack() as files:
            log = None if log_path is None else files.enter_context(log_path.open("ab"))
            # Its own session: Ctrl-C is for the launcher, which then stops the service in order.
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and arguments
                command,
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                start_new_session=True,
            )

    @property
    def exit_status(self) -> int | None:
        """None: it runs."""
        return self._process.poll()

    def is_ready(self) -> bool:
        """Return whether `/readyz` answers 200."""
        connection = http.client.HTTPConnection(self._address, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def last_lines(self) -> list[str]:
        """Return the end of the log; empty where it went to the terminal."""
        if self.log_path is None:
            return []
        with self.log_path.open(encoding="utf-8", errors="replace") as lines:
            return [line.rstrip("\n") for line in deque(lines, LAST_LINES)]

    def stop(self) -> None:
        """End it: politely, then after 15 s at once; and whatever it leaves behind."""
        try:
            self._process.terminate()
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
