"""Running the commands: in this process, and as an operator does."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from flask import Flask

from tests.workers import ROOT


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


def start_process(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """Start `flask --app service …` as its own process."""
    keep = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"} or "COV" in name}
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "flask", "--app", "service", *arguments],
        cwd=ROOT,
        env={**keep, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_process(environment: dict[str, str], *arguments: str) -> Answer:
    """Run `flask --app service …` as its own process."""
    return ended(start_process(environment, *arguments))


def ended(process: "subprocess.Popen[str]") -> Answer:
    """Return what a process said once it has ended."""
    out, err = process.communicate(timeout=100)
    return Answer(process.returncode, out, err)
