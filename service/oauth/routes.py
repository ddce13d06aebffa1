"""/oauth/authorize and /oauth/callback, opened in a top-level window."""

from flask import Blueprint, g, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from service.errors import AccessDenied, InvalidRequest, InvalidState, ZendeskUnavailable
from service.oauth.handshake import Connected, Handshake
from service.oauth.states import STATE_TTL_SECONDS, States, label_of
from service.rate_limits import FAILED_EXCHANGES, OAUTH_REQUESTS, Attempt, RateLimits, address_group
from service.settings import Settings
from service.subdomains import Subdomain, parse_subdomain
from service.web import collaborator, deadline, name_account
from service.zendesk.bulkhead import Bulkhead

# One cookie a handshake, so that several tabs at once work; more than this at a time is no person. Browsers send the
# oldest first (RFC 6265, section 5.4), and those go.
MOST_COOKIES = 20
LONGEST_PARAMETER = 4096

# Public: an admin arrives here before anything is known of them.
blueprint = Blueprint("oauth", __name__, url_prefix="/oauth")


@blueprint.before_request
def limit_requests() -> None:
    """Count what comes from one address."""
    collaborator(RateLimits).count(OAUTH_REQUESTS, address_group(request.remote_addr))


@blueprint.get("/authorize")
def authorize() -> ResponseReturnValue:
    """Send an admin's browser to the consent page of their account."""
    account = _account(_parameter("subdomain") or "")
    issued, url = collaborator(Handshake).begin(account)
    response = redirect(url, 302)
    for name in _state_cookies()[: -(MOST_COOKIES - 1)]:
        _drop_cookie(response, name)
    settings = collaborator(Settings)
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


@blueprint.get("/callback")
def callback() -> ResponseReturnValue:
    """Take what Zendesk sends back: the state first, then a refusal, then the code."""
    state = _parameter("state")
    if state is None:
        raise InvalidState("This address is where Zendesk sends people back to. Begin at the front page.")
    # Each exchange shows our secret to an account's token endpoint, whatever the code. Counted before the state is
    # consumed: whoever comes from a flooded address may come back with it.
    address = address_group(request.remote_addr)
    attempts = collaborator(RateLimits).attempt(FAILED_EXCHANGES, address)
    # A place before the state is consumed: whoever is told to come again can.
    with attempts as exchange, collaborator(Bulkhead).unproven(address):
        connected = _completed(state, exchange)
    return _connected_page(connected)


def _completed(state: str, exchange: Attempt) -> Connected:
    g.used_state = state
    secret = request.cookies.get(_cookie_name(label_of(state)))
    pending = collaborator(States).consume(state, secret)
    name_account(pending.account)
    # It may have been taken off the list since.
    collaborator(Settings).require_allowed(pending.account)
    handshake = collaborator(Handshake)
    error = _parameter("error")
    if error is not None:
        raise _refusal(error, handshake.authorize_url(pending.account))
    code = _parameter("code")
    if code is None:
        raise InvalidRequest("Zendesk sent neither a code nor an error. Connect again.")
    _check_issuer(pending.account)
    return handshake.complete(pending.account, code, pending.code_verifier, deadline(), exchange)


def forget_cookie(response: Response) -> None:
    """Drop the cookie of the state this callback has used, whatever came of it; one over a limit has used none."""
    if "used_state" in g:
        _drop_cookie(response, _cookie_name(label_of(g.used_state)))


def _connected_page(connected: Connected) -> Response:
    return make_response(
        render_template(
            "authorized.html",
            result="connected",
            code=None,
            problem=None,
            account=connected.account,
            authorized_by=connected.authorized_by,
            not_ready=connected.not_ready,
            origin=collaborator(Settings).public_url,
        )
    )


def _account(text: str) -> Subdomain:
    account = parse_subdomain(text)
    if account is None:
        raise InvalidRequest("Name the Zendesk account by its subdomain: ?subdomain=acme for acme.zendesk.com.")
    collaborator(Settings).require_allowed(account)
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


def _refusal(error: str, authorize_url: str) -> AccessDenied | InvalidRequest | ZendeskUnavailable:
    """Return what an error in the redirect means (RFC 6749, section 4.1.2.1)."""
    if error == "access_denied":
        return AccessDenied(
            "Access was denied on Zendesk's consent page. Nothing was changed; connect again when you are ready.",
            authorize_url=authorize_url,
        )
    if error in {"server_error", "temporarily_unavailable"}:
        return ZendeskUnavailable("Zendesk could not finish the authorization. Connect again in a moment.")
    return InvalidRequest(
        "Zendesk refused the authorization request. The operator has to compare the OAuth client in Zendesk (kind, "
        "scopes, redirect URL) with this service's settings.",
        upstream_detail=error if error.isascii() and error.isprintable() else None,
    )


def _check_issuer(account: Subdomain) -> None:
    """Refuse an answer that names another issuer (RFC 9207, section 2.4); Zendesk sends none as far as is known."""
    issuer = _parameter("iss")
    settings = collaborator(Settings)
    if issuer is not None and issuer.rstrip("/") not in {
        f"https://{account}.zendesk.com",
        settings.zendesk_url_template.replace("{subdomain}", account),
    }:
        raise InvalidState("This answer came from another Zendesk account than the one asked. Connect again.")


def _cookie_name(label: str) -> str:
    prefix = "__Host-" if collaborator(Settings).is_secure else ""
    return f"{prefix}zis-state-{label}"


def _state_cookies() -> list[str]:
    prefix = _cookie_name("")
    return [name for name in request.cookies if name.startswith(prefix)]


def _drop_cookie(response: Response, name: str) -> None:
    secure = collaborator(Settings).is_secure
    response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="Lax")
