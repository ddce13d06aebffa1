"""REDIS_URL: one Redis, a Sentinel group, or a Cluster; with or without TLS."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from redis.connection import parse_url

Kind = Literal["one", "sentinel", "cluster"]

_SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("one", False),
    "rediss": ("one", True),
    "unix": ("one", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_USUAL_PORTS = {"sentinel": 26379, "cluster": 6379}
_SEVERAL = re.compile(
    r"[a-z+]+://(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?(?P<nodes>[^@/?#]+)"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?"
)
_NODE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:,\s]+)(?::(\d{1,5}))?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is. Credentials do not show in the repr."""

    kind: Kind
    is_tls: bool
    nodes: tuple[tuple[str, int], ...]
    """Hosts and ports: of Sentinels, or of some of a Cluster's nodes; empty: one Redis, which `url` names."""
    service: str | None
    """The name under which Sentinels know the master; None: no Sentinels."""
    options: dict[str, Any] = field(repr=False)
    """Further arguments for each connection to Redis, user and password among them; {} for one Redis."""
    url: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether no connection leaves this machine, as far as the address shows."""
        if self.kind == "one":
            parsed: dict[str, Any] = parse_url(self.url)  # type: ignore[no-untyped-call]  # redis-py leaves it so
            return "path" in parsed or self.url.startswith("unix:") or parsed.get("host", "localhost") in _LOOPBACK
        return all(host in _LOOPBACK for host, _ in self.nodes)


def parse_redis_url(text: str) -> RedisAddress:
    """Return what REDIS_URL says.

    Raises:
        ValueError: it cannot be read; says why, and never repeats a piece of it, which may be the password.
    """
    kind, is_tls = _SCHEMES.get(text.partition("://")[0], (None, False))
    if kind is None or "://" not in text:
        raise ValueError(
            "must start with redis://, rediss:// or unix://, with redis+sentinel:// or redis+cluster:// (rediss+… with "
            "TLS)"
        )
    unreadable = "cannot be read: is everything but letters and digits in the password %-encoded?"
    if kind == "one":
        _options_in(text, unreadable)
        return RedisAddress(kind, is_tls, (), None, {}, text)
    match = _SEVERAL.fullmatch(text)
    if match is None:
        raise ValueError(unreadable)
    nodes = tuple(_node(node, _USUAL_PORTS[kind]) for node in match["nodes"].split(","))
    service = unquote((match["path"] or "/")[1:]) or None
    if kind == "sentinel" and (service is None or "/" in service):
        raise ValueError("must name the master behind the Sentinels: redis+sentinel://host:26379,host:26379/mymaster")
    if kind == "cluster" and service not in {None, "0"}:
        raise ValueError("may name no database: a Redis Cluster has one")
    options = _options_in(f"redis{'s' if is_tls else ''}://host{match['query'] or ''}", unreadable)
    options = {name: value for name, value in options.items() if name not in {"host", "port", "connection_class"}}
    if kind == "cluster" and options.get("db"):
        raise ValueError("may name no database: a Redis Cluster has one")
    for name, part in (("username", match["user"]), ("password", match["password"])):
        if part:
            options[name] = unquote(part)
    return RedisAddress(kind, is_tls, nodes, service if kind == "sentinel" else None, options, text)


def _options_in(url: str, fault: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]  # redis-py leaves it so
    except ValueError:
        # Its words may hold a piece of the password.
        raise ValueError(fault) from None
    return found


def _node(text: str, usual_port: int) -> tuple[str, int]:
    match = _NODE.fullmatch(text)
    port = int(match[2]) if match and match[2] else usual_port
    if match is None or not 0 < port < 65536:
        raise ValueError("must name hosts as host:port, separated by commas")
    return unquote(match[1]).strip("[]"), port
