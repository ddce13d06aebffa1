"""gunicorn without the second that reading its modules takes: forked from a process that has read them already.

Each process of the tests has one such process (multiprocessing's fork server), started at first need and ended with it.
"""

import atexit
import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
# Nothing that reads the environment as it is imported: each child has one of its own.
_CONTEXT.set_forkserver_preload(["service.app", "service.server.gunicorn_worker", "gunicorn.app.wsgiapp"])


class ForkedModule:
    """`python -m module` in a session of its own, which writes to a file; used like a `subprocess.Popen`."""

    def __init__(self, module: str, arguments: list[str], *, cwd: Path, env: dict[str, str], log: str) -> None:
        self.args = [module, *arguments]
        self._process = _CONTEXT.Process(target=_run, args=(module, arguments, cwd, env, log), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, or minus the signal that ended it; None: it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once there is one.

        Raises:
            TimeoutExpired: it still runs after so many seconds.
        """
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            # It may end in between. Nobody but the fork server knows it as a child, so nothing is left of it then.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        self.send_signal(signal.SIGTERM)


def _run(module: str, arguments: list[str], cwd: Path, env: dict[str, str], log: str) -> None:
    os.setsid()
    os.chdir(cwd)
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]  # as PYTHONUNBUFFERED does; they are text files
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        # multiprocessing ends its processes without them.
        atexit._run_exitfuncs()
