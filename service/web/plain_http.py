"""Requests that reached the proxy in front by plain http, where PUBLIC_URL is https.

The handshake's cookie is `Secure`, so a handshake begun in a page that came by http could never end; and what came by
http, a bearer included, was read by whoever stood on the way.
"""

from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response, redirect, request

from service.ground.errors import InvalidRequest
from service.ground.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# What the platform asks by itself, past its own router.
_PROBES = frozenset({"livez", "readyz"})
# What stands in an address as it is (RFC 3986, sections 3.3 and 3.4).
_AS_IT_IS = "/?:@!$&'()*+,;=-._~%"


def require_https(settings: Settings, room: str, *, is_api: bool) -> Response | None:
    """Return a redirect of a page that was asked for by plain http; None: it came by https, or nobody knows.

    `room`: the first part of the path. The address is made of PUBLIC_URL, never of the request's `Host`.

    Raises:
        InvalidRequest: the API was called so, whose callers would send their bearer by http again.
    """
    if room in _PROBES or not came_plainly(settings, request.environ):
        return None
    if is_api:
        raise InvalidRequest(
            f"This request came by plain http, where anybody on the way can read its token. Call {settings.public_url} "
            "and renew the session."
        )
    query = quote(request.query_string, safe=_AS_IT_IS)
    path = quote(request.path, safe=_AS_IT_IS.replace("?", "").replace("%", ""))
    return redirect(f"{settings.public_url}{path}{'?' if query else ''}{query}", 308)  # type: ignore[return-value]  # ours


def came_plainly(settings: Settings, environ: "WSGIEnvironment") -> bool:
    """Return whether a request reached the proxy in front by plain http, where PUBLIC_URL is https."""
    return settings.is_secure and not settings.lacks_address and _forwarded_scheme(settings, environ) == "http"


def _forwarded_scheme(settings: Settings, environ: "WSGIEnvironment") -> str | None:
    """Return the scheme that the outermost trusted proxy was asked by; None: it does not say."""
    # By itself, and not as WSGI's scheme: that is http, too, where a proxy says nothing, and would redirect for ever.
    schemes = environ.get("HTTP_X_FORWARDED_PROTO", "").split(",")
    count = settings.trusted_proxies
    return schemes[-count].strip().lower() if 0 < count <= len(schemes) else None
