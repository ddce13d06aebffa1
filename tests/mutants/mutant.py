"""One fault, and what its tests say of it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutants.toml")
# pytest's exit codes.
_FAILED, _PASSED = 1, 0
MOST_SECONDS = 600
# A test that waits for what never comes is stopped by pytest-timeout, which is a failure as well.
_TEST_SECONDS = 60


class Stale(Exception):
    """The code has changed, and a mutant no longer says what it replaces."""


@dataclass(frozen=True)
class Mutant:
    """A replacement in one file that has to make at least one of `tests` fail."""

    name: str
    file: str
    old: str
    """Stands in the file exactly once."""
    new: str
    tests: tuple[str, ...]

    def applied_to(self, source: str) -> str:
        """Return the file's text with the fault in it.

        Raises:
            Stale: `old` does not stand there exactly once.
        """
        count = source.count(self.old)
        if count != 1:
            raise Stale(f"{self.name}: {self.file} has {count} places like\n{self.old}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class Verdict:
    """Whether a mutant was noticed."""

    mutant: Mutant
    is_killed: bool
    says: str
    """The failing test, or what came instead."""


def listed() -> list[Mutant]:
    """Return every mutant of the list."""
    entries = tomllib.loads(LIST.read_text())["mutant"]
    return [Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


def judge(mutant: Mutant) -> Verdict:
    """Run a mutant's tests on a copy of the project with the fault in it."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        # All but what programs keep for themselves: .git, .venv, caches.
        for source in (one for one in ROOT.iterdir() if not one.name.startswith(".")):
            if source.is_dir():
                shutil.copytree(source, copy / source.name, ignore=shutil.ignore_patterns("shots"))
            else:
                shutil.copy(source, copy)
        path = copy / mutant.file
        path.write_text(mutant.applied_to(path.read_text()))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly"]
        command += ["-o", f"timeout={_TEST_SECONDS}", *mutant.tests]
        run = subprocess.run(  # noqa: S603 - our own interpreter
            command, cwd=copy, capture_output=True, text=True, timeout=MOST_SECONDS, check=False, env=_environment()
        )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    if run.returncode == _FAILED:
        return Verdict(mutant, is_killed=True, says=failed[0] if failed else "")
    says = "no test failed" if run.returncode == _PASSED else f"pytest ended with {run.returncode}: {run.stdout[-400:]}"
    return Verdict(mutant, is_killed=False, says=says)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
