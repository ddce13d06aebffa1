"""What every request begins with and every answer carries; the one place where an error becomes a reply."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, render_template, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException, InternalServerError

from service.ground import errors, metrics
from service.ground.errors import (
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    ServiceError,
)
from service.ground.settings import DEFAULT_ZENDESK_URL_TEMPLATE, Settings
from service.web import cross_origin
from service.web.documents.problems import problem_of
from service.web.plain_http import require_https
from service.web.rate_limits import REFUSED_REQUESTS, address_group
from service.web.request import (
    begin_request,
    deadline,
    end_request,
    new_request_id,
    request_id,
    seconds_taken,
    services,
)

LARGEST_BODY_BYTES = 64 * 1024
# Named by the first part of a path. Where errors are problem documents; elsewhere they are pages.
_PROBLEM_ROOMS = frozenset({"api", "livez", "readyz", "metrics", "openapi.json"})
# A monitor asks whether the process serves; how long its question waited is not the answer.
_HEALTH_ROOMS = frozenset({"livez", "readyz"})
# Refusals of these count against the address they come from.
_COUNTED_ROOMS = frozenset({"api", "metrics", "sidebar"})
_REFUSED_STATUSES = frozenset({400, 401, 403, 404, 405, 413})
_UNFORESEEN = "Something unforeseen happened. Its trace is in this service's log."
_SDK = "https://static.zdassets.com"

# Where an application keeps its `EndpointRules`.
_RULES = "ENDPOINT_RULES"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LargeBody:
    """What an endpoint takes that takes more than 64 KiB."""

    largest_bytes: int
    require: Callable[[], None]
    """Raises a `ServiceError` for a stranger: a megabyte each is more than they may make us hold."""


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """What endpoints, by name, do unlike the others."""

    large_bodies: Mapping[str, LargeBody]
    failure_pages: Mapping[str, Callable[[dict[str, Any]], str]]
    """The page that shows a failure, made of its problem document."""


def register_answers(app: Flask, rules: EndpointRules) -> None:
    """Register request limits, response headers and error handlers."""
    app.config[_RULES] = rules
    # One byte more, so that a body of the greatest length differs from one that was cut.
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES + 1
    app.before_request(_begin)
    # Flask calls the last one first.
    app.after_request(_count)
    app.after_request(_add_headers)
    app.teardown_request(_end)
    app.register_error_handler(ServiceError, _answer_error)
    app.register_error_handler(HTTPException, _answer_http_exception)
    app.register_error_handler(Exception, _answer_unforeseen)


def _begin() -> Response | None:
    begin_request()
    metrics.REQUESTS_IN_PROGRESS.inc()
    granted = cross_origin.preflight(request.environ, services().settings.allowed_origins)
    if granted:
        return Response(status=204, headers=dict(granted))
    _require_readable_query()
    _read_body()
    if deadline().left() <= 0 and _room() not in _HEALTH_ROOMS:
        raise errors.ZendeskTimeout("This request waited too long before it could begin. Try again.", retry_after=1)
    return require_https(services().settings, _room(), is_api=_room() in _PROBLEM_ROOMS)


def _require_readable_query() -> None:
    """Refuse a query with raw bytes that are no text; Werkzeug would stumble over them wherever it is looked at.

    Raises:
        InvalidRequest: it has some.
    """
    try:
        request.query_string.decode()
    except UnicodeDecodeError:
        # The answer's headers look at it, too.
        request.query_string = b""
        raise InvalidRequest("The parameters in the address are not valid UTF-8.") from None


def _read_body() -> None:
    """Read the request's body, if it has one, before anything else is done.

    Raises:
        InvalidRequest: it cannot be read, or does not arrive.
        PayloadTooLarge: it is larger than the address takes; one that says so is not read.
        RateLimited: too many bodies of this address are being read.
        Unauthenticated: a stranger sends more than 64 KiB, or does not say how much.
    """
    length = request.content_length
    # Without either there is no body (RFC 9112, section 6.3).
    if not length and (length == 0 or "HTTP_TRANSFER_ENCODING" not in request.environ):
        return
    largest = LARGEST_BODY_BYTES
    larger = _rules().large_bodies.get(request.endpoint or "")
    if larger is not None:
        if length is None or length > LARGEST_BODY_BYTES:
            larger.require()
        largest = larger.largest_bytes
        request.max_content_length = largest + 1
    if length is None or length <= largest:
        with services().bodies.reading(address_group(request.remote_addr)):
            length = _body_length()
    if length > largest:
        raise _too_large(largest)


def _rules() -> EndpointRules:
    rules: EndpointRules = current_app.config[_RULES]
    return rules


def _too_large(largest: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request's body is larger than {largest // 1024} KiB.")


def _body_length() -> int:
    """Return the length of the body, once it is read; Werkzeug cuts it one byte beyond the limit, without a word."""
    try:
        return len(request.get_data())
    except (OSError, ParseException) as fault:
        raise InvalidRequest("The request's body could not be read.") from fault


def _answer_error(error: ServiceError) -> Response:
    """Return the one reply of an error: a problem document, or a page that shows the same."""
    error = _counted(error)
    settings = services().settings
    document = problem_of(error, public_url=settings.public_url, request_id=request_id())
    if error.status >= InternalError.status:
        # The kind of what it came from; its words may hold anything.
        cause = type(error.__cause__).__qualname__ if error.__cause__ else None
        told = {"code": error.code, "upstream_status": error.upstream_status, "cause": cause, "route": _route()}
        _log.log(error.log_level, "request_failed", **told)
    if _room() in _PROBLEM_ROOMS:
        response = Response(_json(document), error.status, content_type="application/problem+json")
    else:
        response = Response(_page(document), error.status, content_type="text/html; charset=utf-8")
    response.headers.update(error.headers())
    return response


def _counted(error: ServiceError) -> ServiceError:
    """Return the error, or that too many refused requests came from this address."""
    if isinstance(error, errors.RateLimited) and error.upstream_status is None:
        # Our own limit: looked at before any work was done, so there is nothing to count.
        return error
    # A request to open the page that was not verified may have cost a question to Zendesk, whatever came of it.
    is_unverified = _room() == "sidebar" and "framing_account" not in g
    if not is_unverified and (error.status not in _REFUSED_STATUSES or _room() not in _COUNTED_ROOMS):
        return error
    try:
        services().rate_limits.count(REFUSED_REQUESTS, address_group(request.remote_addr))
    except errors.RateLimited as limited:
        return limited
    return error


def _answer_http_exception(fault: HTTPException) -> Response:
    """Return Werkzeug's own refusals in our form."""
    if isinstance(fault, InternalServerError):
        # Flask's wrapping of an exception that was raised outside of a view, or by the handler of another one.
        return _answer_unforeseen(fault.original_exception or fault)
    error: ServiceError
    allowed = ", ".join(sorted(getattr(fault, "valid_methods", None) or []))
    match fault.code:
        case 404:
            error = NotFound("There is nothing under this address.")
        case 405:
            error = MethodNotAllowed(f"This address takes {allowed}.")
        case 413:
            error = _too_large(LARGEST_BODY_BYTES)
        case _:
            # Werkzeug has no others for us than those about a request it could not read.
            error = InvalidRequest("The request could not be read.")
    response = _answer_error(error)
    if response.status_code == MethodNotAllowed.status:
        response.headers["Allow"] = allowed
    return response


def _answer_unforeseen(fault: BaseException) -> Response:
    """Log where the exception came from; its text is shown to nobody."""
    _log.error("unforeseen", route=_route(), exc_info=fault)
    return _answer_error(InternalError(_UNFORESEEN))


def _page(document: dict[str, Any]) -> str:
    special = _rules().failure_pages.get(request.endpoint or "")
    if special is not None:
        return special(document)
    return render_template("problem.html", problem=document, framed=_room() == "sidebar")


def _json(document: dict[str, Any]) -> str:
    return current_app.json.dumps(document)


def _room() -> str:
    """Return the first part of the path, whether it leads anywhere or not."""
    return request.path.split("/", 2)[1]


def _route() -> str:
    rule = request.url_rule
    return rule.rule if rule else "none"


def _count(response: Response) -> Response:
    metrics.count_request(request.method, _route(), response.status_code, seconds_taken())
    return response


def _end(_fault: BaseException | None) -> None:
    # A context that no request came in (a test's, a shell's) has not begun.
    if "began" in g:
        metrics.REQUESTS_IN_PROGRESS.dec()
        end_request()


def answer_outside_flask(settings: Settings, is_unreadable: bool) -> bytes:
    """Return the whole answer, as bytes, to a request that Flask has not seen: a problem document, whatever its path.

    `is_unreadable`: it is no request of HTTP, or its line or headers are too long; else the server failed.
    """
    error = (
        InvalidRequest("The request cannot be read, or its address or headers are too long.")
        if is_unreadable
        else InternalError(_UNFORESEEN)
    )
    own_id = new_request_id()
    body = json.dumps(problem_of(error, public_url=settings.public_url, request_id=own_id)).encode()
    headers = (
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Request-Id", own_id),
        *protection(None, settings.is_secure),
    )
    lines = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        *(f"{name}: {text}" for name, text in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _add_headers(response: Response) -> Response:
    """Add what every answer carries."""
    settings = services().settings
    response.headers.setdefault("Cache-Control", "no-store")
    is_sidebar = _room() == "sidebar"
    framing = _framing(settings) if is_sidebar else None
    # A simulated Zendesk serves a stand-in for the SDK.
    sdk = _SDK if settings.zendesk_url_template == DEFAULT_ZENDESK_URL_TEMPLATE else framing or ""
    # Added without looking whether they are there: no view sets one of these.
    response.headers.extend([("X-Request-Id", request_id()), *protection(framing, settings.is_secure, sdk)])
    if settings.allowed_origins and cross_origin.is_shared(request.path):
        response.headers.extend(cross_origin.permission(request.environ.get("HTTP_ORIGIN"), settings.allowed_origins))
        response.vary.add("Origin")
    return response


@lru_cache(maxsize=256)
def protection(framing: str | None, is_secure: bool, sdk: str = "") -> tuple[tuple[str, str], ...]:
    """Return the headers that tell a browser what it must not do.

    `framing`: who may frame the page, None: nobody; `sdk`: the origin of Zendesk's SDK, for a page that may be framed.
    """
    scripts = "'self'" if framing is None else f"'self' {sdk}"
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; frame-ancestors " + (framing or "'none'")
    )
    headers = [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", policy),
    ]
    if framing is None:
        headers.append(("X-Frame-Options", "DENY"))
    if is_secure:
        headers.append(("Strict-Transport-Security", "max-age=31536000"))
    return tuple(headers)


def _framing(settings: Settings) -> str:
    """Return who may frame the sidebar: the verified account, else any account, with nothing in the page."""
    account = g.get("framing_account")
    if account is None and settings.zendesk_url_template == DEFAULT_ZENDESK_URL_TEMPLATE:
        return "https://*.zendesk.com"
    return settings.account_origin(account or "unverified")
