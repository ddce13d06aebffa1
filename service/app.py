"""Builds the collaborators once; registers blueprints, error pages and headers. Opens no connection."""

import os
import time
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, render_template, request
from gunicorn.http.errors import ParseException
from redis import Redis
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from service import errors
from service.errors import InternalError, InvalidRequest, MethodNotAllowed, NotFound, PayloadTooLarge, ServiceError
from service.job_specs import routes as job_spec_routes
from service.job_specs.changes import Changes
from service.job_specs.listing import Listing
from service.oauth import routes as oauth_routes
from service.oauth.access_tokens import AccessTokens
from service.oauth.authorization_server import AuthorizationServer
from service.oauth.conditions import Conditions
from service.oauth.grants import Grants
from service.oauth.handshake import Handshake
from service.oauth.minting import Minting
from service.oauth.revocation import Revocation
from service.oauth.states import States
from service.oauth.turns import Turns
from service.oauth.upkeep import Upkeep
from service.oauth.zis_tokens import ZISTokens
from service.operations import health, pages
from service.operations.health import Release
from service.operations.logs import configure_logs
from service.rate_limits import REFUSED_REQUESTS, RateLimits, address_group
from service.settings import DEFAULT_ZENDESK_URL_TEMPLATE, Settings
from service.sidebar import account_routes
from service.sidebar import routes as sidebar_routes
from service.sidebar.app_keys import AppKeys
from service.sidebar.connection import Connection
from service.sidebar.managers import Managers
from service.sidebar.sessions import Sessions
from service.sidebar.zaf_jwt import ZAFTokens
from service.store import Store
from service.vault import Vault
from service.web import begin_request, collaborator, deadline, hand_over, request_id
from service.zendesk.bulkhead import Bulkhead
from service.zendesk.calls import ZendeskCalls
from service.zendesk.transport import ZendeskAdapter
from service.zis_registry import Registry

LARGEST_BODY_BYTES = 64 * 1024
# Named by the first part of a path. Where errors are problem documents; elsewhere they are pages.
_PROBLEM_ROOMS = frozenset({"api", "livez", "readyz", "metrics", "openapi.json"})
# Refusals of these count against the address they come from.
_COUNTED_ROOMS = frozenset({"api", "sidebar"})
_REFUSED_STATUSES = frozenset({400, 401, 403, 404, 405, 413})
_SDK = "https://static.zdassets.com"

_log = structlog.get_logger(__name__)


def create_app(settings: Settings | None = None, *, redis: "Redis | None" = None) -> Flask:
    """Return the application; `settings` None: from the environment, `redis` None: as the settings say.

    Raises:
        SettingsError: the environment does not describe a working service.
    """
    settings = Settings.from_env(os.environ) if settings is None else settings
    configure_logs(settings.log_format)
    app = Flask("service")
    # One more, so that a body of the greatest length is told from one that was cut.
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES + 1
    # A redirect that mends an address would be built from the request's Host.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it
    proxies = settings.trusted_proxies
    if proxies:
        # The router sets no X-Forwarded-Host, so a client's would be believed.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0, x_port=0, x_prefix=0)  # type: ignore[method-assign]  # as Werkzeug documents
    _assemble(app, settings, Store.from_settings(settings) if redis is None else Store(redis))
    for blueprint in (
        pages.blueprint,
        health.blueprint,
        oauth_routes.blueprint,
        sidebar_routes.page,
        sidebar_routes.renewal,
        account_routes.blueprint,
        job_spec_routes.blueprint,
    ):
        app.register_blueprint(blueprint)
    app.before_request(_begin)
    app.after_request(_add_headers)
    app.register_error_handler(ServiceError, _answer_error)
    app.register_error_handler(HTTPException, _answer_http_exception)
    app.register_error_handler(Exception, _answer_unforeseen)
    return app


def _assemble(app: Flask, settings: Settings, store: Store) -> None:
    """Build what does the work, from the bottom up, and hand it to the views."""
    clock = time.time
    vault = Vault(settings.secret_keys)
    adapter = ZendeskAdapter()
    bulkhead = Bulkhead()
    calls = ZendeskCalls(settings, adapter, bulkhead)
    turns = Turns(store, bulkhead)
    registry = Registry(calls)
    grants = Grants(store, vault, clock)
    conditions = Conditions(settings, clock)
    server = AuthorizationServer(settings, calls, adapter, clock)
    revocation = Revocation(calls)
    states = States(store, vault)
    minting = Minting(settings, calls, clock)
    access_tokens = AccessTokens(
        store=store,
        grants=grants,
        server=server,
        conditions=conditions,
        revoke=revocation.drop,
        turns=turns,
        clock=clock,
    )
    zis_tokens = ZISTokens(
        settings=settings,
        grants=grants,
        access_tokens=access_tokens,
        minting=minting,
        revocation=revocation,
        conditions=conditions,
        turns=turns,
        clock=clock,
    )
    handshake = Handshake(
        settings=settings,
        store=store,
        states=states,
        server=server,
        grants=grants,
        access_tokens=access_tokens,
        zis_tokens=zis_tokens,
        minting=minting,
        revocation=revocation,
        conditions=conditions,
        calls=calls,
        registry=registry,
    )
    listing = Listing(
        settings=settings, store=store, registry=registry, zis_tokens=zis_tokens, turns=turns, bulkhead=bulkhead
    )
    changes = Changes(settings=settings, store=store, registry=registry, zis_tokens=zis_tokens, listing=listing)
    managers = Managers(settings, store, vault, calls, zis_tokens, clock)
    connection = Connection(
        settings=settings,
        store=store,
        grants=grants,
        conditions=conditions,
        managers=managers,
        access_tokens=access_tokens,
        revocation=revocation,
        calls=calls,
        uninstall_all=changes.uninstall_all,
    )
    hand_over(
        app,
        settings,
        store,
        bulkhead,
        grants,
        conditions,
        states,
        access_tokens,
        handshake,
        listing,
        changes,
        managers,
        connection,
        Upkeep(store, grants, access_tokens, clock),
        Sessions(settings, clock),
        ZAFTokens(settings, AppKeys(settings, store, vault, calls, clock), clock),
        RateLimits(settings, store),
        Release.current(),
    )


def _begin() -> None:
    begin_request()
    length = _chunked_length() if request.content_length is None else request.content_length
    if length > LARGEST_BODY_BYTES:
        raise PayloadTooLarge("The request's body is larger than 64 KiB.")
    if deadline().left() <= 0:
        raise errors.ZendeskTimeout("This request waited too long before it could begin. Try again.", retry_after=1)


def _chunked_length() -> int:
    """Return the length of a body that does not announce it; Werkzeug cuts it at the limit without a word.

    Raises:
        InvalidRequest: the body cannot be read.
    """
    try:
        return len(request.get_data())
    except (OSError, ParseException) as fault:
        raise InvalidRequest("The request's body could not be read.") from fault


def _answer_error(error: ServiceError) -> Response:
    """Return the one reply of an error: a problem document, or a page that shows the same."""
    error = _counted(error)
    settings = collaborator(Settings)
    document = errors.problem(error, public_url=settings.public_url, request_id=request_id())
    if error.status >= InternalError.status:
        _log.error("request_failed", code=error.code, upstream_status=error.upstream_status, route=_route())
    if _room() in _PROBLEM_ROOMS:
        response = Response(_json(document), error.status, content_type="application/problem+json")
    else:
        response = Response(_page(document, settings), error.status, content_type="text/html; charset=utf-8")
    response.headers.update(error.headers())
    return response


def _counted(error: ServiceError) -> ServiceError:
    """Return the error, or that too many refused requests came from this address."""
    # A request to open the page that was not verified may have cost a question to Zendesk, whatever came of it.
    is_unverified = _room() == "sidebar" and "framing_account" not in g
    if not is_unverified and (error.status not in _REFUSED_STATUSES or _room() not in _COUNTED_ROOMS):
        return error
    try:
        collaborator(RateLimits).count(REFUSED_REQUESTS, address_group(request.remote_addr))
    except errors.RateLimited as limited:
        return limited
    return error


def _answer_http_exception(fault: HTTPException) -> Response:
    """Return Werkzeug's own refusals in our form."""
    error: ServiceError
    allowed = ", ".join(sorted(getattr(fault, "valid_methods", None) or []))
    match fault.code:
        case 404:
            error = NotFound("There is nothing under this address.")
        case 405:
            error = MethodNotAllowed(f"This address takes {allowed}.")
        case 413:
            error = PayloadTooLarge("The request's body is larger than 64 KiB.")
        case _:
            # Werkzeug has no others for us than those about a request it could not read.
            error = InvalidRequest("The request could not be read.")
    response = _answer_error(error)
    if response.status_code == MethodNotAllowed.status:
        response.headers["Allow"] = allowed
    return response


def _answer_unforeseen(fault: Exception) -> Response:
    """Log where it came from and tell nobody what it said."""
    _log.error("unforeseen", route=_route(), exc_info=fault)
    return _answer_error(InternalError("Something unforeseen happened. Its trace is in this service's log."))


def _page(document: dict[str, Any], settings: Settings) -> str:
    if request.endpoint == "oauth.callback":
        return render_template(
            "authorized.html",
            result="failed",
            code=document["code"],
            problem=document,
            account=None,
            authorized_by=None,
            not_ready=(),
            origin=settings.public_url,
        )
    return render_template("problem.html", problem=document, framed=_room() == "sidebar")


def _json(document: dict[str, Any]) -> str:
    return current_app.json.dumps(document)


def _room() -> str:
    """Return the first part of the path, whether it leads anywhere or not."""
    return request.path.split("/", 2)[1]


def _route() -> str:
    return request.url_rule.rule if request.url_rule else "none"


def _add_headers(response: Response) -> Response:
    """Add what every answer carries."""
    settings = collaborator(Settings)
    headers = response.headers
    headers["X-Request-Id"] = request_id()
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    if request.endpoint != "static" or response.status_code >= 400:
        headers.setdefault("Cache-Control", "no-store")
    is_sidebar = _room() == "sidebar"
    scripts = f"'self' {_SDK}" if is_sidebar else "'self'"
    framing = _framing(settings) if is_sidebar else "'none'"
    headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"base-uri 'none'; frame-ancestors {framing}"
    )
    if not is_sidebar:
        headers["X-Frame-Options"] = "DENY"
    if settings.is_secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    if request.endpoint == "oauth.callback":
        oauth_routes.forget_cookie(response)
    return response


def _framing(settings: Settings) -> str:
    """Return who may frame the sidebar: the verified account, else any account, with nothing in the page."""
    account = g.get("framing_account")
    if account is None and settings.zendesk_url_template == DEFAULT_ZENDESK_URL_TEMPLATE:
        return "https://*.zendesk.com"
    return settings.account_origin(account or "unverified")
