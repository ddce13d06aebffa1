"""HTTP requests and replies as plain values. Knows neither sockets nor Zendesk."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, unquote


class Delivery(Enum):
    """What happens to the connection when a reply is due."""

    NORMAL = "normal"
    DRIBBLE = "dribble"
    """Byte by byte, with gaps."""
    CUT = "cut"
    """Half of the announced body, then the connection ends."""
    DROP = "drop"
    """The connection is closed without a reply."""
    RESET = "reset"
    """The connection is reset (RST) without a reply."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower-case, path segments and query are percent-decoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    segments: tuple[str, ...] = field(init=False)
    query: Mapping[str, str] = field(init=False)
    """A repeated name keeps its last value."""

    def __post_init__(self) -> None:
        path, _, query = self.target.partition("?")
        # Split before decoding, so that an encoded slash in a name stays part of it.
        parts = path.split("/")[1:]
        decoded = tuple(unquote(part) for part in parts) if "%" in path else tuple(parts)
        object.__setattr__(self, "segments", decoded)
        object.__setattr__(self, "query", dict(parse_qsl(query, keep_blank_values=True)) if query else {})

    def form(self) -> dict[str, str]:
        """Return the body's fields, whether sent as a form or as a JSON object; values of other kinds as text."""
        if "json" in self.headers.get("content-type", ""):
            value = self.json()
            if not isinstance(value, dict):
                return {}
            return {key: member if isinstance(member, str) else json.dumps(member) for key, member in value.items()}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """Return the body as JSON; None where it is empty or no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, and how it is to be delivered."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    delivery: Delivery = Delivery.NORMAL
    gap_seconds: float = 0.0
    """Between two bytes, where the delivery dribbles."""


def json_reply(status: int, value: object, *headers: tuple[str, str]) -> Reply:
    """Return a JSON reply."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Reply(status, body, "application/json; charset=utf-8", headers)


def text_reply(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    """Return a plain text reply."""
    return Reply(status, text.encode(), "text/plain; charset=utf-8", headers)


def html_reply(status: int, html: str, *headers: tuple[str, str]) -> Reply:
    """Return a page."""
    return Reply(status, html.encode(), "text/html; charset=utf-8", headers)


def redirect_reply(location: str) -> Reply:
    """Return a 302."""
    return Reply(302, b"", "text/html; charset=utf-8", (("Location", location),))
