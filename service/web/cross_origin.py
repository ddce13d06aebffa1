"""What browsers let pages of other origins do here (CORS): exactly those of ALLOWED_ORIGINS, and nobody by default.

See: https://fetch.spec.whatwg.org/#http-cors-protocol (2026-11).
"""

from collections.abc import Mapping

API_PREFIX = "/api/v1/"
FILES_PREFIX = "/static/"
METHODS = "GET, POST, DELETE"
REQUEST_HEADERS = "Authorization, Cache-Control, Content-Type, If-None-Match"
EXPOSED_HEADERS = "Age, ETag, Retry-After, X-Request-Id"
PREFLIGHT_SECONDS = 600


def is_shared(path: str) -> bool:
    """Return whether pages of other origins may be let in to this path."""
    return path.startswith((API_PREFIX, FILES_PREFIX))


def permission(origin: str | None, allowed: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return the headers that let a page of `origin` read an answer; empty: nothing lets it.

    What is sent is the entry of the list that equals the request's `Origin`. Never a wildcard, and no credentials:
    the API takes a bearer alone.
    """
    if origin is None or origin not in allowed:
        return ()
    return ("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", EXPOSED_HEADERS)


def preflight(environ: Mapping[str, str], allowed: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return the headers that answer a preflight of an allowed origin; empty: it is none.

    A preflight carries no Authorization (Fetch, section 4.8), so it is answered before any guard. It does nothing.
    """
    is_preflight = environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    if not is_preflight or not is_shared(environ["PATH_INFO"]) or environ.get("HTTP_ORIGIN") not in allowed:
        return ()
    return (
        ("Access-Control-Allow-Methods", METHODS),
        ("Access-Control-Allow-Headers", REQUEST_HEADERS),
        ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
    )
