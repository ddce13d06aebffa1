"""Programs on free loopback ports, ended with the run; and what the kernel says of them."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The same for every subject; what Heroku gives its smaller dynos, and one a core here.
WORKERS = 2
READY_SECONDS = 30.0
STOP_SECONDS = 10.0

_PROC = Path("/proc")
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


class NotStarted(Exception):
    """A program ended or did not answer; its last words are in the message."""


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _inherited() -> dict[str, str]:
    """Return what a program gets from this process's environment: nothing that the service would take for a setting."""
    # By the second the tests of this package find what they leave running where they are killed.
    return {name: os.environ[name] for name in ("PATH", "TEST_RUN_MARK") if name in os.environ}


class Program:
    """A child process with its children, that answers `path` on `port` once it is ready."""

    def __init__(
        self, command: Sequence[str], *, port: int, path: str, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._path = path
        self._log = log
        self._started_at = time.perf_counter()
        self.ready_after = 0.0
        """Seconds from the command to the first answer, once there was one."""
        # Access lines are written, as in production, and not kept.
        with log.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                command,
                cwd=ROOT,
                env={**_inherited(), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    def wait_until_ready(self) -> "Program":
        """Return once it answers 200.

        Raises:
            NotStarted: it ended, or did not answer within 30 s.
        """
        while time.perf_counter() - self._started_at < READY_SECONDS:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                if fetch(self.port, self._path)[0] == http.HTTPStatus.OK:
                    self.ready_after = time.perf_counter() - self._started_at
                    return self
            time.sleep(0.005)
        raise NotStarted(f"{self._log.stem} did not start:\n{self._log.read_text()[-2000:]}")

    def processes(self) -> list[int]:
        """Return the ids of the process and its children."""
        return [self._process.pid, *self.children()]

    def children(self) -> list[int]:
        """Return the ids of its children: gunicorn's workers."""
        pid = self._process.pid
        return [int(child) for child in (_PROC / f"{pid}/task/{pid}/children").read_text().split()]

    def stop(self) -> None:
        """End it, with everything it started; again, for one that has ended, is nothing."""
        if self._process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def gunicorn(application: str, *arguments: str, path: str, log: Path, environment: Mapping[str, str]) -> Program:
    """Start an application under gunicorn with the number of workers that all subjects have."""
    port = int(environment["PORT"])
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS)]
    return Program([*command, *arguments, application], port=port, path=path, log=log, environment=environment)


def fetch(port: int, target: str) -> tuple[int, bytes]:
    """Return status and body of a GET.

    Raises:
        OSError, HTTPException: there was no reply.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", target)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def program_path(name: str) -> str | None:
    """Return where a program is installed; None: it is not."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def cpu_seconds(pids: Sequence[int]) -> float | None:
    """Return the processor time that processes have used; None: this system does not say (no /proc)."""
    if not _PROC.is_dir():
        return None
    ticks = 0
    for pid in pids:
        # The name in parentheses may hold anything; behind it user and system time are the 12th and 13th fields.
        fields = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * _TICK_SECONDS


def megabytes_of(pid: int) -> float:
    """Return the memory that a process takes: its own, and its part of what it shares with others (PSS)."""
    lines = (_PROC / f"{pid}/smaps_rollup").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024
