"""What attackers make: requests member by member, tokens byte by byte, and texts that want to be code."""

import base64
import hashlib
import hmac
import io
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from redis import Redis
from werkzeug.datastructures import Headers

from sandbox.simulator.signing import _signature, signed_claims
from service.ground.subdomains import Subdomain
from tests.steps import Admin
from tests.workers import LiveService

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
SECURE: dict[str, str | None] = {"PUBLIC_URL": "https://zis.example.com", "ZENDESK_URL_TEMPLATE": None}
"""The settings of a service in earnest: https, and Zendesk's real hosts."""
VIP = "zis:acme_orders:job_spec:escalate_vip_order"
# Every one breaks out of some context, if it is not escaped there.
MARKUP = {
    "script": "</script><script>alert(1)</script>",
    "comment": "<!--<script>",
    "attribute": "\" onmouseover=alert(1) x='",
    "image": "<img src=x onerror=alert(1)>",
    "template": "{{7*7}}{%raw%}${7*7}",
    "entity": "&lt;script&gt;&#60;b&#62;",
    "address": "javascript:alert(1)",
    "line separators": "\u2028alert(1)\u2029",
    "direction": "\u202e</q><b>",
    "title": "</title></q></strong></p></main><base href=//evil.example>",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a WSGI application answered."""

    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    app: Flask, method: str, path: str, query: str = "", *, headers: dict[str, str] | None = None, body: bytes = b"",
    **environ: Any,
) -> Answer:  # fmt: skip
    """Call the application with exactly these bytes; Werkzeug's client would mend them on the way.

    `path` and `query` are as a server hands them on: latin-1, the path decoded.
    """
    asked: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "localhost:9001",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "9001",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.errors": io.StringIO(),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
    }
    for name, value in (headers or {}).items():
        asked["HTTP_" + name.upper().replace("-", "_")] = value
    started: list[tuple[str, Headers]] = []

    def start_response(status: str, given: list[tuple[str, str]], _: object = None) -> Callable[[bytes], object]:
        started.append((status, Headers(given)))
        return lambda _: None

    parts = app(asked | environ, start_response)
    answered = b"".join(parts)
    if hasattr(parts, "close"):
        parts.close()
    status, given = started[0]
    return Answer(int(status[:3]), given, answered)


def bearer(person: Admin) -> dict[str, str]:
    return {"Authorization": f"Bearer {person.session_token}"}


def directives(headers: Any) -> dict[str, str]:
    """Return the directives of a Content-Security-Policy."""
    parts = [one.partition(" ") for one in headers["Content-Security-Policy"].split("; ")]
    return {name: value for name, _, value in parts}


# --- tokens ---


def segment(value: object) -> str:
    """Return one part of a compact token: of bytes as they are, of anything else as JSON."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims_of(person: Admin, account: str = "acme", user_id: int = 101) -> dict[str, Any]:
    """Return what Zendesk would sign for a user."""
    return signed_claims(person.simulator.world.account(account), user_id)


def signed_by_zendesk(header: object, payload: object) -> str:
    """Return a token of just these parts with a right RS256 signature; bytes are taken as they are."""
    signing_input = f"{segment(header)}.{segment(payload)}"
    return f"{signing_input}.{segment(_signature('RS256', signing_input.encode(), wrong_key=False))}"


def signed_by_hmac(key: bytes, header: object, payload: object) -> str:
    signing_input = f"{segment(header)}.{segment(payload)}"
    return f"{signing_input}.{segment(hmac.digest(key, signing_input.encode(), hashlib.sha256))}"


# --- handshakes ---


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def grant_key(account: str = "acme") -> str:
    return f"zis:{{{account}}}:grant"


def field_of(redis: Redis, key: str, field: str) -> bytes:
    value = redis.hget(key, field)
    assert isinstance(value, bytes), field
    return value


def value_of(redis: Redis, key: str) -> bytes:
    value = redis.get(key)
    assert isinstance(value, bytes), key
    return value


def keys_of(redis: Redis, pattern: str) -> list[str]:
    return [bytes(key).decode() for key in redis.scan_iter(pattern)]


def cookies_of(person: Admin) -> dict[str, str]:
    """Return what a browser keeps, by name."""
    return {cookie.key: cookie.value for cookie in (person.browser._cookies or {}).values()}


def copy_record(redis: Redis, source: str, target: str) -> None:
    """Put a copy of one record under another's key."""
    assert redis.copy(source, target, replace=True)


# --- pages ---


class Outline(HTMLParser):
    """The elements and attribute names of a page, in their order, and its text apart from them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.values: list[str] = []
        self.links: list[str | None] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]
        self.links += [value for name, value in attrs if name in {"href", "src", "action", "formaction"}]

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}", ()))

    def handle_comment(self, data: str) -> None:
        self.elements.append(("!--", (data,)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


# --- the wire ---


def send(service: LiveService, *pieces: bytes, source: str | None = None, seconds: float = 30) -> bytes:
    """Return all that a server answers on one connection until it closes it."""
    where = ("127.0.0.1", int(service.address.rpartition(":")[2]))
    with socket.create_connection(where, timeout=seconds, source_address=(source, 0) if source else None) as wire:
        for piece in pieces:
            wire.sendall(piece)
        received = b""
        while chunk := wire.recv(65536):
            received += chunk
    return received


def request_of(line: str, *headers: str, body: str = "") -> bytes:
    """Return a request's bytes; the connection ends with it."""
    lines = [line, "Host: localhost", "Connection: close", *headers, "", body]
    return "\r\n".join(lines).encode("latin-1")


def status_of(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])
