"""The Procfile's lines, run as the platform runs them."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.leftovers import end_with_us
from tests.workers import ROOT, STOP_SECONDS, inherited_environment

# What Heroku's Python buildpack exports for a dyno with two workers, whatever the app asks for.
DYNO = {
    "DYNO": "web.1",
    "WEB_CONCURRENCY": "2",
    "WEB_CONCURRENCY_SET_BY": "heroku/python",
    "FORWARDED_ALLOW_IPS": "*",
    "GUNICORN_CMD_ARGS": "--access-logfile -",
    "PYTHONUNBUFFERED": "1",
    "HEROKU_SLUG_COMMIT": "0123456789abcdef0123456789abcdef01234567",
}


def lines() -> dict[str, str]:
    """Return the command of each process type."""
    named = (line.partition(":") for line in (ROOT / "Procfile").read_text().splitlines() if line.strip())
    return {name: command.strip() for name, _, command in named}


def dyno_environment(**variables: str) -> dict[str, str]:
    """Return a dyno's environment; its programs are those of the interpreter that runs the tests."""
    inherited = inherited_environment()
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
    return {**inherited, **DYNO, "PATH": path, **variables}


class Dyno:
    """A running process type; its output goes to a file."""

    def __init__(self, process_type: str, **variables: str) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="dyno-", suffix=".log")  # noqa: SIM115 - lives as long as this
        self._final_log = ""
        self.process = subprocess.Popen(  # noqa: S603 - our own Procfile
            ["/bin/bash", "-c", f"exec {lines()[process_type]}"],
            cwd=ROOT,
            env=dyno_environment(**variables),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        end_with_us(self.process.pid)

    def log(self) -> str:
        return self._final_log or Path(self._log.name).read_text()

    def stop(self) -> int:
        """Send SIGTERM, as the platform does; return the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.ended(STOP_SECONDS)

    def ended(self, seconds: float) -> int:
        """Return the exit status once it ends by itself; its log can be read afterwards, too."""
        status = self.process.wait(seconds)
        self._final_log = self.log()
        self._log.close()
        return status
