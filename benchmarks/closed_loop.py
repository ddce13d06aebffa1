"""What wrk does, where it is not installed: `python -m benchmarks.closed_loop PORT CONNECTIONS SECONDS FILE`.

Prints the same line of JSON as wrk.lua. A process of Python can ask some 20,000 times a second, so it is a bottleneck
for nothing but nginx and the upstream itself; it takes processor time from whatever it measures.
"""

import asyncio
import json
import re
import sys
import time
from itertools import cycle
from pathlib import Path

from benchmarks.figures import percentile

_STATUS = re.compile(rb"HTTP/1\.[01] ([23])\d\d ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Tally:
    """What all connections saw."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self.failed = 0
        self.is_over = False


class Connection(asyncio.Protocol):
    """Asks, waits for the reply, asks again."""

    def __init__(self, tally: Tally, requests: "cycle[bytes]") -> None:
        self._tally = tally
        self._requests = requests
        self._received = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream has one
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._received, 0, end)
        if len(self._received) < end + 4 + (int(length[1]) if length else 0):
            return
        if not self._tally.is_over:
            self._tally.milliseconds.append((time.perf_counter() - self._asked_at) * 1000)
            self._tally.failed += _STATUS.match(self._received) is None
        self._received = b""
        self._ask()

    def connection_lost(self, _fault: Exception | None) -> None:
        self._tally.failed += not self._tally.is_over

    def _ask(self) -> None:
        if self._transport is not None and not self._tally.is_over:
            self._asked_at = time.perf_counter()
            self._transport.write(next(self._requests))


def requests_in(file: Path) -> list[bytes]:
    """Return the requests of a file of lines "path<TAB>authorization"."""
    requests = []
    for line in file.read_text().splitlines():
        path, _, authorization = line.partition("\t")
        header = f"Authorization: {authorization}\r\n" if authorization else ""
        requests.append(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n".encode())
    return requests


async def run(port: int, connections: int, seconds: float, requests: list[bytes]) -> dict[str, float]:
    """Return what so many connections saw in so many seconds."""
    tally, loop, in_turn = Tally(), asyncio.get_running_loop(), cycle(requests)
    began = time.perf_counter()
    opened = [
        (await loop.create_connection(lambda: Connection(tally, in_turn), "127.0.0.1", port))[0]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    tally.is_over = True
    took = time.perf_counter() - began
    for transport in opened:
        transport.abort()
    shares = {f"p{share}": percentile(tally.milliseconds, share) for share in (50, 95, 99)}
    return {"requests": len(tally.milliseconds), "failed": tally.failed, "seconds": took, **shares}


if __name__ == "__main__":
    _port, _connections, _seconds, _file = sys.argv[1:]
    _told = asyncio.run(run(int(_port), int(_connections), float(_seconds), requests_in(Path(_file))))
    print(json.dumps(_told))
