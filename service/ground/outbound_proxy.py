"""The proxy of OUTBOUND_PROXY, through which accounts are called that admit fixed addresses only."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class OutboundProxy:
    """A proxy that opens tunnels (CONNECT)."""

    address: str
    """`http://host:port`."""
    credentials: str | None = field(default=None, repr=False)
    """`user:password`; None: it asks for none."""


def parse_outbound_proxy(text: str) -> OutboundProxy:
    """Return the proxy at `http://[user:password@]host:port`.

    Raises:
        ValueError: it is none, says why; never with what may be a password.
    """
    form = "must be http://[user:password@]host:port"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(form) from None
    if parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(form)
    if not _HOST.fullmatch(host) or not port:
        raise ValueError(form)
    credentials = None
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        credentials = f"{user}:{password}"
        if not credentials.isascii() or not credentials.isprintable() or ":" in user:
            raise ValueError("has a user or password that is not printable ASCII, or a user with a colon")
    return OutboundProxy(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", credentials)
