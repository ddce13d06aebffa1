"""A stand-in for Zendesk that answers fast: `python -m benchmarks.upstream PORT`.

The simulator checks everything a Zendesk checks and is slower for it than what is measured here. This one knows no
state but how often it was asked and how long it is to wait: an account is a path, `/a/{account}/…`, every token is
good, and every integration has the same job specs.
"""

import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

JOB_SPECS = 12
# Those of an integration whose name ends so.
MANY_JOB_SPECS, MANY = 1000, "_thousand"
INTEGRATIONS = ("orders", "shipping", "archive")
CONTROL = "/_bench"

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATH = re.compile(r"/a/([a-z0-9-]+)(/[^?]*)")
_LIST = re.compile(r"/api/services/zis/registry/([a-z0-9_-]+)/job_specs")
_USER = re.compile(r"/api/v2/users/(\d+|me)")


@dataclass(slots=True)
class Counts:
    """What was asked since the last reset, by kind."""

    lists: int = 0
    users: int = 0
    refreshes: int = 0
    others: int = 0
    in_progress: int = 0
    """Asked and not answered yet; not reset."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply, and what kind of question it is for."""

    kind: str
    reply: bytes


def http_reply(body: object, status: int = 200) -> bytes:
    """Return a reply with a JSON body."""
    payload = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload


def job_spec(integration: str, number: int) -> dict[str, object]:
    """Return one row of a list, as Zendesk shows it."""
    return {
        "name": f"rule_{number:03}",
        "description": f"Starts flow {number} when a ticket is created or changed by an agent.",
        "event_source": "support",
        "event_type": "ticket.TicketCreated",
        "flow_name": f"flow_{number:03}",
        "installed": number % 2 == 0,
        "integration": integration,
        "uuid": f"00000000-0000-4000-8000-{number:012}",
    }


def user(account: str, number: int) -> dict[str, object]:
    """Return an admin, as Zendesk shows one."""
    return {
        "id": number,
        "url": f"https://{account}.zendesk.com/api/v2/users/{number}.json",
        "name": f"Agent {number}",
        "email": f"agent{number}@example.com",
        "role": "admin",
        "role_type": 4,
        "custom_role_id": None,
        "restricted_agent": False,
        "active": True,
        "suspended": False,
        "locale": "en-US",
    }


class Upstream:
    """What is answered to whom."""

    def __init__(self) -> None:
        self.delay_seconds = 0.0
        self.counts = Counts()
        # A GET is answered the same every time.
        self._known: dict[tuple[str, str], Answer] = {}
        self._tokens = 0

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """Return the answer to a request for `target`, a path with its query."""
        known = self._known.get((method, target))
        if known is None:
            known = self._made(method, target, body)
            if method == "GET":
                self._known[method, target] = known
        return known

    def control(self, target: str) -> bytes:
        """Return the counts; `?delay_ms=` and `?reset=1` change what they say."""
        told = parse_qs(urlsplit(target).query)
        if "delay_ms" in told:
            self.delay_seconds = int(told["delay_ms"][0]) / 1000
        if "reset" in told:
            self.counts = Counts(in_progress=self.counts.in_progress)
        return http_reply(asdict(self.counts))

    def _made(self, method: str, target: str, body: bytes) -> Answer:
        match = _PATH.match(target)
        account, path = match.groups() if match else ("", "")
        if listed := _LIST.fullmatch(path):
            rows = [
                job_spec(listed[1], number)
                for number in range(MANY_JOB_SPECS if listed[1].endswith(MANY) else JOB_SPECS)
            ]
            meta = {"after": rows[-1]["uuid"], "before": rows[0]["uuid"], "has_more": False}
            return Answer("lists", http_reply({"job_specs": rows, "meta": meta}))
        if asked := _USER.fullmatch(path):
            return Answer("users", http_reply({"user": user(account, 1 if asked[1] == "me" else int(asked[1]))}))
        match method, path:
            case "POST", "/oauth/tokens":
                return Answer("refreshes" if b"refresh_token" in body else "others", http_reply(self._pair()))
            case "GET", "/api/v2/oauth/clients":
                return Answer("others", http_reply(_clients(account)))
            case "POST", "/api/v2/oauth/tokens":
                self._tokens += 1
                token = {"id": self._tokens, "full_token": f"minted-{self._tokens:032}", "expires_at": None}
                return Answer("others", http_reply({"token": token}, 201))
            case _:
                return Answer("others", http_reply({"error": "RecordNotFound"}, 404))

    def _pair(self) -> dict[str, object]:
        self._tokens += 1
        return {
            "access_token": f"access-{self._tokens:057}",
            "refresh_token": f"refresh-{self._tokens:056}",
            "token_type": "bearer",
            "scope": "read write",
            "expires_in": 1800,
            "refresh_token_expires_in": 7_689_600,
        }


def _clients(account: str) -> dict[str, object]:
    clients = [
        {"id": number, "identifier": f"zis_{account}_{name}"}
        for number, name in enumerate((*INTEGRATIONS, MANY[1:]), start=1)
    ]
    return {"clients": clients, "meta": {"has_more": False}}


class Connection(asyncio.Protocol):
    """One caller's connection; requests are answered in order, one at a time."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream has one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        method, target, _ = head.split(b" ", 2)
        path = target.decode("ascii", "replace")
        upstream = self._upstream
        if path.startswith(CONTROL):
            self._write(upstream.control(path))
            return
        answer = upstream.answer(method.decode("ascii", "replace"), path, body)
        counts = upstream.counts
        setattr(counts, answer.kind, getattr(counts, answer.kind) + 1)
        if upstream.delay_seconds == 0:
            self._write(answer.reply)
            return
        counts.in_progress += 1
        asyncio.get_running_loop().call_later(upstream.delay_seconds, self._answered, answer.reply)

    def _answered(self, reply: bytes) -> None:
        self._upstream.counts.in_progress -= 1
        self._write(reply)

    def _write(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


async def serve(port: int) -> None:
    """Answer on the loopback port until the process is ended."""
    upstream = Upstream()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
