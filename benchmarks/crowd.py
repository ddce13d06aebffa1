"""Callers that come at their own time, each once and on a new connection: what a closed loop never shows.

Who is told to come again in a moment comes again, as the page does; the latency is that of the last answer.

`python -m benchmarks.crowd PORT WINDOW_SECONDS FILE` sends every request of the file at its moment in the window,
whether the ones before are answered or not. Latencies count from that moment: who has to wait to be let in waits.
"""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.closed_loop import requests_in
from benchmarks.figures import percentile
from benchmarks.load import Request
from benchmarks.processes import ROOT, Program

LONGEST_WAIT_SECONDS = 60.0
# As `zis-client.js` does where an answer is to come again in a moment: for so long, and jittered.
REPEATING_SECONDS = 20.0
_PASSING = frozenset({"429", "503", "504"})
_LONGEST_RETRY_AFTER = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What a crowd saw; latencies in milliseconds."""

    statuses: dict[str, int]
    """How many got which status; "none": no reply."""
    p50: float
    p95: float
    p99: float

    @property
    def refused(self) -> int:
        """How many were not answered 200."""
        return sum(count for status, count in self.statuses.items() if status != "200")


def crowd(program: Program, requests: list[Request], *, window_seconds: float, folder: Path) -> Seen:
    """Send each request once, within the window, in a random order that is the same every time."""
    listed = folder / "crowd.tsv"
    listed.write_text("".join(f"{one.path}\t{one.authorization}\n" for one in requests))
    command = [sys.executable, "-m", "benchmarks.crowd", str(program.port), str(window_seconds), str(listed)]
    done = subprocess.run(  # noqa: S603 - our own
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=2 * LONGEST_WAIT_SECONDS
    )
    return Seen(**json.loads(done.stdout))


async def ask(port: int, request: bytes, at: float, statuses: Counter[str], latencies: list[float]) -> bytes | None:
    """Send a request at a moment of `perf_counter`, and note what came of it; return the body, None: no reply."""
    body = None
    await asyncio.sleep(at - time.perf_counter())
    status = "none"
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            while True:
                status, fields, body = await _answer(port, request)
                retry_after = int(fields.get(b"retry-after", b"99"))
                is_over = time.perf_counter() - at > REPEATING_SECONDS
                if status not in _PASSING or retry_after > _LONGEST_RETRY_AFTER or is_over:
                    break
                await asyncio.sleep(retry_after * random.uniform(1, 1.5))  # noqa: S311 - spreads load
    latencies.append((time.perf_counter() - at) * 1000)
    statuses[status] += 1
    return body


async def _answer(port: int, request: bytes) -> tuple[str, dict[bytes, bytes], bytes]:
    """Return the status, the header's fields and the body of the reply on a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    fields = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    body = await reader.readexactly(int(fields[b"content-length"]))
    writer.close()
    return status.split(b" ", 2)[1].decode(), fields, body


async def run(port: int, window_seconds: float, requests: list[bytes]) -> dict[str, object]:
    """Return what the crowd saw."""
    statuses: Counter[str] = Counter()
    latencies: list[float] = []
    moments = random.Random(len(requests))  # noqa: S311 - the same crowd every time
    began = time.perf_counter() + 0.1
    async with asyncio.TaskGroup() as group:
        for request in requests:
            at = began + moments.random() * window_seconds
            group.create_task(ask(port, request, at, statuses, latencies))
    shares = {f"p{share}": percentile(latencies, share) for share in (50, 95, 99)}
    return {"statuses": dict(statuses), **shares}


if __name__ == "__main__":
    _port, _window, _file = sys.argv[1:]
    print(json.dumps(asyncio.run(run(int(_port), float(_window), requests_in(Path(_file))))))
