"""The parts of `/api/v2` around OAuth: who may, people, and the app; clients and tokens have their own rooms."""

from sandbox.simulator.api_clients import clients
from sandbox.simulator.api_tokens import tokens
from sandbox.simulator.default_world import APP_ID
from sandbox.simulator.exchange import Exchange
from sandbox.simulator.messages import Reply, json_reply
from sandbox.simulator.people import Token
from sandbox.simulator.refusals import dead_token, forbidden, not_found, scope_missing
from sandbox.simulator.signing import public_key_pem


def api_v2(exchange: Exchange) -> Reply:  # noqa: PLR0911  # one return a route
    """Answer a request below `/api/v2`; `.json` at the end of a path is optional."""
    segments = exchange.segments[2:]
    path = (*segments[:-1], segments[-1].removesuffix(".json")) if segments else ()
    match path:
        case ("apps", app_id, key) if key in {"public_key", "public_key.pem"}:
            # Anonymous (developer.zendesk.com …/apps/#get-app-public-key, 2026-11).
            return _public_key(app_id)
    refusal = _refusal(exchange)
    if refusal is not None:
        return refusal
    match path:
        case ("users", user_id):
            return _user(exchange, user_id)
        case ("oauth", "tokens", *rest):
            return tokens(exchange, rest)
        case ("oauth", "clients", *rest):
            return clients(exchange, rest)
        case ("apps", "installations", *rest):
            return _installations(exchange, rest)
        case _:
            return json_reply(404, {"error": "InvalidEndpoint", "description": "Not found"})


def _public_key(app_id: str) -> Reply:
    if app_id != str(APP_ID):
        return not_found()
    return Reply(200, public_key_pem().encode(), "text/plain; charset=utf-8")


def _refusal(exchange: Exchange) -> Reply | None:  # noqa: PLR0911  # one return a reason
    """Return why the caller gets nothing at all; None: they may go on."""
    if exchange.user is None:
        return dead_token()
    if exchange.user.suspended or not exchange.user.active:
        return forbidden()
    token = exchange.token
    if token is None:
        return None
    if token.integration is not None:
        # Whether a ZIS token works here is unknown.
        match exchange.account.switches.zis_token_on_api_v2:
            case "401":
                return dead_token()
            case "403":
                return forbidden()
            case "404":
                return not_found()
    return _scope_refusal(exchange, token)


def _scope_refusal(exchange: Exchange, token: Token) -> Reply | None:
    """Return why the token's scope does not allow what is asked; None: it does."""
    switches = exchange.account.switches
    kind = "read" if exchange.method == "GET" else "write"
    refused = {"not_readable": True, "not_by_small_scope": token.scopes == ("users:read",)}
    if exchange.segments[2:3] == ("users",) and refused.get(switches.users):
        return scope_missing("read")
    about_itself = exchange.segments[2:4] == ("oauth", "tokens") and exchange.method != "POST"
    if about_itself and kind == "write" and switches.self_revocation == "write":
        return None if "write" in token.scopes else scope_missing("write")
    if about_itself or kind in token.scopes or f"users:{kind}" in token.scopes:
        return None
    return scope_missing(kind)


def _user(exchange: Exchange, user_id: str) -> Reply:
    caller = exchange.user
    if caller is None or exchange.method != "GET":
        return not_found()
    if user_id == "me":
        return json_reply(200, {"user": caller.to_json(exchange.account.subdomain)})
    user = exchange.account.users.get(int(user_id)) if user_id.isdecimal() else None
    if caller.role == "end-user" and user is not caller:
        return forbidden()
    if user is None:
        return not_found()
    return json_reply(200, {"user": user.to_json(exchange.account.subdomain)})


# --- apps ---


def _installations(exchange: Exchange, path: list[str]) -> Reply:
    account = exchange.account
    shown = {
        "id": account.installation_id,
        "app_id": APP_ID,
        "product": "support",
        "enabled": True,
        "settings": {"name": "ZIS job specs", "title": "ZIS job specs"},
        "created_at": "2026-01-15T09:00:00Z",
    }
    match path:
        case []:
            return json_reply(200, {"installations": [shown]})
        case [number] if number == str(account.installation_id):
            return json_reply(200, shown)
        case _:
            return not_found()
