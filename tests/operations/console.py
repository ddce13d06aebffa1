"""Running the commands: in this process, and as an operator does."""

import json
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import IO, Any

from flask import Flask

from tests.leftovers import end_with_us
from tests.steps import wait_until
from tests.workers import ROOT, inherited_environment

# A Python process takes its time on a machine with other things to do.
STARTING_SECONDS = 40.0
ENDING_SECONDS = 100.0


@dataclass(frozen=True)
class Answer:
    """What a command said, and how it ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Return standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(app: Flask, *arguments: str) -> Answer:
    """Run a command in this process; what it does not foresee is raised."""
    result = app.test_cli_runner().invoke(args=list(arguments), catch_exceptions=False)
    return Answer(result.exit_code, result.stdout, result.stderr)


class LiveCommand:
    """`flask --app service …` as its own process, to be talked to while it runs."""

    def __init__(self, environment: dict[str, str], *arguments: str, stdout: int = subprocess.PIPE) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "flask", "--app", "service", *arguments],
            cwd=ROOT,
            env={**inherited_environment(), **environment},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        end_with_us(self._process.pid)
        self._said: dict[str, list[str]] = {"out": [], "err": []}
        streams = {"out": self._process.stdout, "err": self._process.stderr}
        self._readers = [
            threading.Thread(target=self._read, args=one, daemon=True) for one in streams.items() if one[1]
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._said[name].append(line)

    def wait_until_it_says(self, text: str) -> None:
        """Return once it has written a line with `text` in it."""
        wait_until(
            lambda: any(text in line for said in self._said.values() for line in list(said)), seconds=STARTING_SECONDS
        )

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> Answer:
        """Return what it said once it has ended."""
        status = self._process.wait(ENDING_SECONDS)
        for reader in self._readers:
            reader.join()
        return Answer(status, "".join(self._said["out"]), "".join(self._said["err"]))


def run_process(environment: dict[str, str], *arguments: str, stdout: int = subprocess.PIPE) -> Answer:
    """Run `flask --app service …` as its own process; `stdout`: a file it writes to, which is not read here."""
    return LiveCommand(environment, *arguments, stdout=stdout).ended()
