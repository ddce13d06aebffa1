"""/oauth/authorize, /oauth/callback and /signin, opened in a top-level window."""

import time
from typing import Any

from flask import Blueprint, g, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from service.connecting.handshake import Connected
from service.connecting.sign_in import SmallScopeRefused
from service.connecting.states import STATE_TTL_SECONDS, IssuedState, PendingAuthorization, label_of
from service.ground.errors import AccessDenied, InvalidRequest, InvalidState, OriginNotAllowed, ZendeskUnavailable
from service.ground.subdomains import Subdomain, parse_subdomain
from service.people.claims import is_claim
from service.web.documents.account import SessionDocument
from service.web.rate_limits import FAILED_EXCHANGES, OAUTH_REQUESTS, Attempt, address_group
from service.web.request import deadline, name_account, services

# One cookie a handshake, so that several tabs at once work; more than this at a time is no person. Browsers send the
# oldest first (RFC 6265, section 5.4), and those go.
MOST_COOKIES = 20
LONGEST_PARAMETER = 4096

# Public: an admin arrives here before anything is known of them.
blueprint = Blueprint("oauth", __name__)


@blueprint.before_request
def limit_requests() -> None:
    """Count what comes from one address."""
    services().rate_limits.count(OAUTH_REQUESTS, address_group(request.remote_addr))


@blueprint.get("/oauth/authorize")
def authorize() -> ResponseReturnValue:
    """Send an admin's browser to the consent page of their account."""
    account = _account(_parameter("subdomain") or "")
    return _to_consent(services().handshake.begin(account))


@blueprint.get("/signin")
def sign_in() -> ResponseReturnValue:
    """Send a person's browser to the consent page of their account, and from there to /console."""
    account = _account(_parameter("subdomain") or "")
    return _to_consent(services().sign_in.begin(account))


@blueprint.post("/signin")
def sign_in_for_front_end() -> ResponseReturnValue:
    """Do the same for another front end, which fetches the session with its claim.

    The origin that a browser says it comes from, and the cookie of the browser that posted, keep a link or a form that
    somebody sends from handing over whoever presses Allow (RFC 8628, section 5.4). So there is no GET for it.
    """
    origin = request.headers.get("Origin", "")
    if origin not in services().settings.allowed_origins:
        raise OriginNotAllowed(_why_not(origin))
    challenge = _field("challenge")
    if not is_claim(challenge):
        raise InvalidRequest(
            "challenge has to be the SHA-256 of a random claim of 32 bytes: 43 characters of base64url."
        )
    account = _account(_field("subdomain"))
    # 303: the browser goes on by GET.
    return _to_consent(services().sign_in.begin(account, challenge=challenge, origin=origin), 303)


def _why_not(origin: str) -> str:
    if origin in {"", "null"}:
        return (
            "The page that opened this window does not say from where it is. It may have the header Referrer-Policy: "
            "no-referrer, or be in a sandboxed frame without allow-same-origin: both make a browser send no origin."
        )
    return (
        f"The page that opened this window is from {origin[:200]}, which this service does not know. Its operator can "
        "add exactly that to ALLOWED_ORIGINS."
    )


def _field(name: str) -> str:
    """Return a field of the form that was posted.

    Raises:
        InvalidRequest: it is missing, repeated or too long.
    """
    values = request.form.getlist(name)
    if len(values) != 1 or len(values[0]) > LONGEST_PARAMETER:
        raise InvalidRequest(f"The form has to have {name} once.")
    return values[0]


def _to_consent(begun: tuple[IssuedState, str], status: int = 302) -> Response:
    """Send the browser on, with the cookie that its state is bound to."""
    issued, url = begun
    response = redirect(url, status)
    for name in _state_cookies()[: -(MOST_COOKIES - 1)]:
        _drop_cookie(response, name)
    settings = services().settings
    response.set_cookie(
        _cookie_name(issued.label),
        issued.browser_secret,
        max_age=STATE_TTL_SECONDS,
        path="/",
        secure=settings.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return response


@blueprint.get("/oauth/callback")
def callback() -> ResponseReturnValue:
    """Take what Zendesk sends back: the state first, then a refusal, then the code."""
    state = _parameter("state")
    if state is None:
        raise InvalidState("This address is where Zendesk sends people back to. Begin at the front page.")
    # Each exchange shows our secret to an account's token endpoint, whatever the code. Counted before the state is
    # consumed: whoever comes from a flooded address may come back with it.
    address = address_group(request.remote_addr)
    attempts = services().rate_limits.attempt(FAILED_EXCHANGES, address)
    # A place before the state is consumed: whoever is told to come again can.
    with attempts as exchange, services().bulkhead.unproven(address):
        return _completed(state, exchange)


def _completed(state: str, exchange: Attempt) -> Response:
    g.used_state = state
    secret = request.cookies.get(_cookie_name(label_of(state)))
    pending = services().states.consume(state, secret)
    name_account(pending.account)
    if pending.sign_in is None:
        return _connected_page(_connected(pending, exchange))
    g.signing_in = pending
    sign_in = services().sign_in
    with sign_in.telling(pending):
        try:
            return _signed_in(pending, exchange)
        except SmallScopeRefused:
            return _to_consent(sign_in.begin_again(pending))


def _connected(pending: PendingAuthorization, exchange: Attempt) -> Connected:
    code = _code_for(pending)
    return services().handshake.complete(pending.account, code, pending.code_verifier, deadline(), exchange)


def _code_for(pending: PendingAuthorization) -> str:
    """Return the code that Zendesk sent.

    Raises:
        SmallScopeRefused: it refuses the scope of a sign-in, which may ask for more.
        ServiceError: it refused, or the answer is not for this account.
    """
    # It may have been taken off the list since.
    services().settings.require_allowed(pending.account)
    error = _parameter("error")
    if error == "invalid_scope" and services().sign_in.is_small(pending):
        raise SmallScopeRefused
    if error is not None:
        raise _refusal(error, pending)
    code = _parameter("code")
    if code is None:
        raise InvalidRequest("Zendesk sent neither a code nor an error. Connect again.")
    _check_issuer(pending.account)
    return code


def _signed_in(pending: PendingAuthorization, exchange: Attempt) -> Response:
    sign_in = services().sign_in
    signed_in = sign_in.complete(pending, _code_for(pending), deadline(), exchange)
    asked = pending.sign_in
    is_ours = asked is None or asked.challenge is None
    session = sign_in.session_of(signed_in.account, signed_in.user_id, signed_in.at) if is_ours else None
    return _signed_in_page(pending, session)


def _signed_in_page(pending: PendingAuthorization, session: SessionDocument | None) -> Response:
    """Return the page after a sign-in; `session` None: a front end of another origin fetches it."""
    return make_response(
        render_template(
            "signed_in.html", account=pending.account, kept=_to_keep(pending.account, session), problem=None
        )
    )


def _to_keep(account: Subdomain, session: SessionDocument | None) -> dict[str, object] | None:
    """Return what a page keeps of a session in its browser."""
    return None if session is None else {**session.model_dump(), "account": account}


@blueprint.after_request
def forget_cookie(response: Response) -> Response:
    """Drop the cookie of the state this callback has used, whatever came of it; one over a limit has used none."""
    if "used_state" in g:
        _drop_cookie(response, _cookie_name(label_of(g.used_state)))
    return response


def failure_page(document: dict[str, Any]) -> str:
    """Return the page that shows why connecting or signing in has failed, given the problem document."""
    if "signing_in" in g:
        return render_template("signed_in.html", account=g.signing_in.account, kept=None, problem=document)
    return render_template(
        "authorized.html",
        result="failed",
        code=document["code"],
        problem=document,
        account=None,
        authorized_by=None,
        not_ready=(),
        kept=None,
        origin=services().settings.public_url,
    )


def _connected_page(connected: Connected) -> Response:
    person = connected.authorized_by
    # Whoever has just connected has proven who they are.
    session = (
        services().sign_in.session_of(connected.account, person.id, int(time.time())) if person is not None else None
    )
    return make_response(
        render_template(
            "authorized.html",
            result="connected",
            code=None,
            problem=None,
            account=connected.account,
            authorized_by=person.name if person else None,
            kept=_to_keep(connected.account, session),
            not_ready=connected.not_ready,
            origin=services().settings.public_url,
        )
    )


def _account(text: str) -> Subdomain:
    account = parse_subdomain(text)
    if account is None:
        raise InvalidRequest("Name the Zendesk account by its subdomain: ?subdomain=acme for acme.zendesk.com.")
    services().settings.require_allowed(account)
    name_account(account)
    return account


def _parameter(name: str) -> str | None:
    """Return a parameter that is sent exactly once; None: it is absent.

    Raises:
        InvalidRequest: it is repeated (RFC 6749, section 3.1) or too long.
    """
    values = request.args.getlist(name)
    if len(values) > 1 or any(len(value) > LONGEST_PARAMETER for value in values):
        raise InvalidRequest(f"The parameter {name} is repeated or too long. Connect from the front page.")
    return values[0] if values and values[0] else None


def _refusal(error: str, pending: PendingAuthorization) -> AccessDenied | InvalidRequest | ZendeskUnavailable:
    """Return what an error in the redirect means (RFC 6749, section 4.1.2.1)."""
    if error == "access_denied" and pending.sign_in is not None:
        return AccessDenied("Access was denied on Zendesk's consent page, so nobody is signed in. Sign in again.")
    if error == "access_denied":
        return AccessDenied(
            "Access was denied on Zendesk's consent page. Nothing was changed; connect again when you are ready.",
            authorize_url=services().handshake.authorize_url(pending.account),
        )
    if error in {"server_error", "temporarily_unavailable"}:
        return ZendeskUnavailable("Zendesk could not finish the authorization. Try again in a moment.")
    return InvalidRequest(
        "Zendesk refused the authorization request. The operator has to compare the OAuth client in Zendesk (kind, "
        "scopes, redirect URL) with this service's settings.",
        upstream_detail=error if error.isascii() and error.isprintable() else None,
    )


def _check_issuer(account: Subdomain) -> None:
    """Refuse an answer that names another issuer (RFC 9207, section 2.4); Zendesk sends none as far as is known."""
    issuer = _parameter("iss")
    settings = services().settings
    if issuer is not None and issuer.rstrip("/") not in {
        f"https://{account}.zendesk.com",
        settings.zendesk_url_template.replace("{subdomain}", account),
    }:
        raise InvalidState("This answer came from another Zendesk account than the one asked. Connect again.")


def _cookie_name(label: str) -> str:
    prefix = "__Host-" if services().settings.is_secure else ""
    return f"{prefix}zis-state-{label}"


def _state_cookies() -> list[str]:
    prefix = _cookie_name("")
    return [name for name in request.cookies if name.startswith(prefix)]


def _drop_cookie(response: Response, name: str) -> None:
    secure = services().settings.is_secure
    response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="Lax")
