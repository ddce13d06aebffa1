"""A link with a delay in front of a program: `python -m benchmarks.slow_link PORT TARGET_PORT`.

Every byte takes half a round trip each way, and a new connection one more before its first byte, as TCP's handshake
takes. It counts what a browser behind it asks and is sent: `GET /_link` says so; `?rtt_ms=` and `?reset=1` change it.
Not TLS: a real first visit has one round trip more.
"""

import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass
from urllib.parse import parse_qs, urlsplit

CONTROL = "/_link"
# Browsers send a request's head in a piece of its own.
_REQUEST = re.compile(rb"(GET|POST|DELETE|HEAD) (\S+) HTTP/1\.1\r\n")


@dataclass(slots=True)
class Carried:
    """What went over the link since the last reset."""

    answers: int = 0
    bytes: int = 0
    """From the program to the browser, heads included."""
    connections: int = 0


class Link:
    """What all connections share."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.rtt = 0.0
        """Seconds."""
        self.carried = Carried()

    def control(self, path: str) -> bytes:
        """Return what was carried; the query changes what it is."""
        told = parse_qs(urlsplit(path).query)
        if "rtt_ms" in told:
            self.rtt = int(told["rtt_ms"][0]) / 1000
        if "reset" in told:
            self.carried = Carried()
        body = json.dumps(asdict(self.carried)).encode()
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side closes it."""
        loop = asyncio.get_running_loop()
        opens_at = loop.time() + self.rtt
        first = await reader.read(65536)
        match = _REQUEST.match(first)
        if match is None or match[2].decode().startswith(CONTROL):
            writer.write(self.control(match[2].decode()) if match else b"")
            writer.close()
            return
        self.carried.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry_requests(first, reader, far_writer, opens_at))
                group.create_task(self._carry_answers(far_reader, writer))
        except* OSError:
            # The browser closes what it needs no more.
            pass
        finally:
            far_writer.close()
            writer.close()

    async def _carry_requests(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, opens_at: float
    ) -> None:
        data = first
        while data:
            self.carried.answers += _REQUEST.match(data) is not None
            self._later(writer, data, opens_at)
            data = await reader.read(65536)
        self._later(writer, b"", opens_at)

    async def _carry_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.carried.bytes += len(data)
            self._later(writer, data, 0.0)
        self._later(writer, b"", 0.0)

    def _later(self, writer: asyncio.StreamWriter, data: bytes, not_before: float) -> None:
        """Write data half a round trip from now; no data: close."""
        loop = asyncio.get_running_loop()
        at = max(loop.time(), not_before) + self.rtt / 2
        loop.call_at(at, lambda: writer.write(data) if data else writer.close())


async def run(port: int, target: int) -> None:
    """Serve until the process is ended."""
    link = Link(target)
    server = await asyncio.start_server(link.serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), int(sys.argv[2])))
