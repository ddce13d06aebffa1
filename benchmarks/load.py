"""Callers that ask again as soon as they are answered, each on a connection of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT, Program, program_path

# A caller of the naive version waits for all before it.
TIMEOUT_SECONDS = 30
_SCRIPT = ROOT / "benchmarks" / "wrk.lua"


@dataclass(frozen=True, slots=True)
class Request:
    """A GET; `authorization` "": without the header."""

    path: str
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load brought; latencies in milliseconds."""

    requests: int
    """Answered."""
    failed: int
    """Answered with another status than 2xx and 3xx, or not at all."""
    seconds: float
    p50: float
    p95: float
    p99: float

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds

    @classmethod
    def from_output(cls, output: str) -> "Load":
        """Return what the last line of wrk's or closed_loop's output says.

        Raises:
            ValueError: it says nothing of the kind.
        """
        lines = output.strip().splitlines()
        try:
            return cls(**json.loads(lines[-1]))
        except (IndexError, TypeError, ValueError) as fault:
            raise ValueError(f"no figures in the load's output: {output[-500:]!r}") from fault


class Caller:
    """Makes loads, with wrk where it is installed."""

    def __init__(self, folder: Path, wrk: str | None = program_path("wrk")) -> None:
        self._folder = folder
        self._wrk = wrk

    @property
    def name(self) -> str:
        """What makes the load."""
        return "wrk" if self._wrk else "closed_loop.py (wrk is not installed: it takes more of the processor itself)"

    def load(self, program: Program, requests: list[Request], *, connections: int, seconds: float) -> Load:
        """Send `requests` in turn, over and over, for some seconds.

        Raises:
            ValueError: the load brought no figures.
        """
        listed = self._folder / "requests.tsv"
        listed.write_text("".join(f"{one.path}\t{one.authorization}\n" for one in requests))
        if self._wrk:
            threads = ["--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s"]
            limit = ["--timeout", f"{TIMEOUT_SECONDS}s"]
            command = [self._wrk, *threads, *limit, "--script", str(_SCRIPT), program.url, "--", str(listed)]
        else:
            own = [sys.executable, "-m", "benchmarks.closed_loop", str(program.port)]
            command = [*own, str(connections), str(seconds), str(listed)]
        limit_seconds = seconds + 2 * TIMEOUT_SECONDS
        done = subprocess.run(  # noqa: S603 - our own program, or wrk
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit_seconds
        )
        return Load.from_output(done.stdout or done.stderr)
