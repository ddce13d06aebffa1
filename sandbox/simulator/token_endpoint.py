"""Zendesk's token endpoint, `/oauth/tokens` (developer.zendesk.com …/oauth/grant_type_tokens, 2026-11)."""

import base64
import binascii
import hmac
from dataclasses import replace
from urllib.parse import unquote_plus

from sandbox.simulator.exchange import Exchange
from sandbox.simulator.messages import Delivery, Reply, json_reply
from sandbox.simulator.people import Client, Token

ACCESS_SECONDS, ACCESS_BOUNDS = 1800, (300, 172_800)
REFRESH_SECONDS, REFRESH_BOUNDS = 2_592_000, (604_800, 7_776_000)
_RESOURCES = (
    *("tickets", "users", "organizations", "hc", "apps", "triggers", "automations", "targets", "webhooks", "macros"),
    *("requests", "satisfaction_ratings", "dynamic_content", "any_channel", "web_widget"),
)
KNOWN_SCOPES = frozenset({"read", "write", "impersonate", "zis:read", "zis:write", "auditlogs:read"}) | {
    f"{resource}:{kind}"
    for resource in [
        "tickets",
        "users",
        "organizations",
        "hc",
        "apps",
        "triggers",
        "automations",
        "targets",
        "webhooks",
        "macros",
        "requests",
        "satisfaction_ratings",
        "dynamic_content",
        "any_channel",
        "web_widget",
    ]
    for kind in ("read", "write")
}


class OAuthRefusal(Exception):
    """The endpoint refuses; `error` is OAuth's word for it."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.reply = json_reply(status, {"error": error, "error_description": description})


def _invalid_client() -> OAuthRefusal:
    # The text names every reason at once (observed, 203663836); the status is RFC 6749's.
    description = (
        "The client identifier provided is invalid, the client failed to authenticate, the client did not include its"
        " credentials, provided multiple client credentials, or used unsupported credentials type"
    )
    return OAuthRefusal("invalid_client", description, 401)


def _invalid_grant() -> OAuthRefusal:
    return OAuthRefusal("invalid_grant", "Token has been expired or revoked.")


def token_endpoint(exchange: Exchange) -> Reply:
    """Exchange a code, refresh, or give client credentials a token; takes a form, JSON, and HTTP Basic."""
    form = exchange.request.form()
    try:
        client = _authenticated_client(exchange, form)
        match form.get("grant_type"):
            case "authorization_code":
                return _exchange_code(exchange, client, form)
            case "refresh_token":
                return _refresh(exchange, client, form)
            case "client_credentials":
                return _client_credentials(exchange, client, form)
            case _:
                raise OAuthRefusal("unsupported_grant_type", "The grant type is not supported.")
    except OAuthRefusal as refusal:
        return refusal.reply


def _authenticated_client(exchange: Exchange, form: dict[str, str]) -> Client:
    identifier, secret = form.get("client_id"), form.get("client_secret")
    authorization = exchange.request.headers.get("authorization", "")
    if authorization.lower().startswith("basic "):
        if secret is not None:
            raise _invalid_client()
        try:
            pair = base64.b64decode(authorization[6:], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as exc:
            raise _invalid_client() from exc
        identifier, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    # The number of a client is not its identifier: it is refused like an unknown one (observed).
    client = exchange.account.clients.get(identifier or "")
    if client is None:
        raise _invalid_client()
    must_prove = secret is not None or client.kind == "confidential"
    if must_prove and not hmac.compare_digest((secret or "").encode(), client.secret.encode()):
        raise _invalid_client()
    return client


def _lifetimes(exchange: Exchange, form: dict[str, str]) -> tuple[float | None, float | None]:
    """Return the seconds access and refresh token are to live; None: for ever, and no refresh token."""
    switches = exchange.account.switches
    if switches.token_lifetime == "never":
        return None, None
    if switches.token_lifetime == "custom":
        return switches.custom_access_seconds, switches.custom_refresh_seconds
    access = _asked_seconds(form, "expires_in", ACCESS_SECONDS, ACCESS_BOUNDS)
    return access, _asked_seconds(form, "refresh_token_expires_in", REFRESH_SECONDS, REFRESH_BOUNDS)


def _asked_seconds(form: dict[str, str], name: str, usual: int, bounds: tuple[int, int]) -> int:
    text = form.get(name)
    if text is None:
        return usual
    if not text.isdecimal() or not bounds[0] <= int(text) <= bounds[1]:
        raise OAuthRefusal("invalid_request", f"{name} must be between {bounds[0]} and {bounds[1]}.")
    return int(text)


def _granted_scopes(exchange: Exchange, asked: str) -> list[str]:
    switches = exchange.account.switches
    scopes = (switches.granted_scope or asked).split()
    if switches.small_scope == "invalid_scope" and scopes == ["users:read"]:
        raise OAuthRefusal("invalid_scope", "The requested scope is invalid, unknown, or malformed.")
    unknown = [scope for scope in scopes if scope not in KNOWN_SCOPES]
    if unknown and switches.unknown_scope == "invalid_scope":
        raise OAuthRefusal("invalid_scope", "The requested scope is invalid, unknown, or malformed.")
    # Unknown scopes vanish silently (developer.zendesk.com …/oauth/oauth_tokens, 2026-11).
    return [scope for scope in scopes if scope in KNOWN_SCOPES]


def _exchange_code(exchange: Exchange, client: Client, form: dict[str, str]) -> Reply:
    account = exchange.account
    access, refresh = _lifetimes(exchange, form)
    code = account.consume_code(
        form.get("code", ""),
        client=client.identifier,
        redirect_uri=form.get("redirect_uri", ""),
        verifier=form.get("code_verifier", ""),
    )
    if code is None:
        raise _invalid_grant()
    scopes = _granted_scopes(exchange, form.get("scope", code.scope))
    _end_first(exchange, client, code.user_id)
    token = account.grant(client, code.user_id, scopes, expires_in=access, refresh_expires_in=refresh)
    return _answer(exchange, token, form)


def _end_first(exchange: Exchange, client: Client, user_id: int) -> None:
    """End what the same person and client were granted before, where the account is switched so (unknown)."""
    account, mode = exchange.account, exchange.account.switches.second_authorization
    if mode != "keeps_first":
        for token in [
            one for one in account.tokens.values() if (one.client, one.user_id) == (client.identifier, user_id)
        ]:
            account.revoke(token, access_only=mode == "ends_access")


def _refresh(exchange: Exchange, client: Client, form: dict[str, str]) -> Reply:
    account = exchange.account
    access, refresh = _lifetimes(exchange, form)
    former = account.refreshable(form.get("refresh_token", ""))
    # A refresh token used before ends here too, and its successor lives on (observed 2026-09).
    if former is None or former.client != client.identifier:
        raise _invalid_grant()
    scopes = form["scope"].split() if "scope" in form else former.scopes
    if not set(scopes) <= set(former.scopes):
        raise OAuthRefusal("invalid_scope", "The requested scope exceeds the scope granted.")
    account.revoke(former)
    if account.switches.refresh in {"no_new_refresh_token", "same_refresh_token"}:
        refresh = None
    token = account.grant(client, former.user_id, scopes, expires_in=access, refresh_expires_in=refresh)
    reply = _answer(exchange, token, form)
    if account.switches.refresh == "same_refresh_token":
        account.hand_over(former, token)
    if account.switches.refresh == "answer_lost":
        return replace(reply, delivery=Delivery.RESET)
    return reply


def _client_credentials(exchange: Exchange, client: Client, form: dict[str, str]) -> Reply:
    if client.integration is not None:
        # Observed 2026-07: the clients of integrations may not.
        raise _invalid_client()
    if client.kind != "confidential":
        raise OAuthRefusal("unauthorized_client", "The client is not authorized to use this grant type.")
    access, _ = _lifetimes(exchange, form)
    scopes = _granted_scopes(exchange, form.get("scope", "read"))
    token = exchange.account.grant(client, client.user_id, scopes, expires_in=access, refresh_expires_in=None)
    return _answer(exchange, token, form)


def _answer(exchange: Exchange, token: Token, form: dict[str, str]) -> Reply:
    """Return the pair; unless asked for, `expires_in` is missing even where the token expires (observed 2026-07)."""
    switches = exchange.account.switches
    body: dict[str, object] = {"access_token": token.access_token, "token_type": "bearer"}
    if switches.scope_in_answers == "yes":
        body["scope"] = " ".join(token.scopes)
    says_expiry = switches.expires_in == "always" or (switches.expires_in == "if_asked" and "expires_in" in form)
    if token.expires_at is not None and says_expiry:
        body["expires_in"] = round(token.expires_at - token.created_at)
    if token.refresh_token is not None:
        body["refresh_token"] = token.refresh_token
        if token.refresh_expires_at is not None:
            body["refresh_token_expires_in"] = round(token.refresh_expires_at - token.created_at)
    if switches.expires_in == "null":
        body = {"expires_in": None, "refresh_token": None, "refresh_token_expires_in": None} | body
    return json_reply(switches.token_status, body, ("Cache-Control", "no-store"))
