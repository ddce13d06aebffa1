"""`/api/v2/oauth/tokens`: list, show, revoke, and mint (developer.zendesk.com …/oauth/oauth_tokens, 2026-11)."""

from datetime import UTC, datetime

from sandbox.simulator.exchange import Exchange
from sandbox.simulator.messages import Reply, json_reply
from sandbox.simulator.people import Token
from sandbox.simulator.refusals import forbidden, not_found


def tokens(exchange: Exchange, path: list[str]) -> Reply:
    """Answer a request below `/api/v2/oauth/tokens`."""
    match exchange.method, path:
        case "GET", []:
            return _list_tokens(exchange)
        case "POST", []:
            return _mint(exchange)
        case "GET" | "DELETE", [which]:
            return _one_token(exchange, which)
        case _:
            return not_found()


def _one_token(exchange: Exchange, which: str) -> Reply:
    account = exchange.account
    token = exchange.token if which == "current" else account.tokens.get(int(which)) if which.isdecimal() else None
    if token is None or exchange.user is None:
        return not_found()
    if not exchange.user.is_admin and token.user_id != exchange.user.id:
        return forbidden()
    if exchange.method == "GET":
        return json_reply(200, {"token": _token_json(exchange, token)})
    match account.switches.revoke:
        case "pair":
            account.revoke(token)
        case "access_only":
            account.revoke(token, access_only=True)
    return Reply(204)


def _list_tokens(exchange: Exchange) -> Reply:
    query, caller = exchange.request.query, exchange.user
    everybody = caller is not None and caller.is_admin and query.get("all") == "true"
    tokens = [
        _token_json(exchange, token)
        for token in exchange.account.tokens.values()
        if (everybody or (caller is not None and token.user_id == caller.id))
        and query.get("client_id", str(token.client_id)) == str(token.client_id)
    ]
    return json_reply(200, {"tokens": tokens})


def _mint(exchange: Exchange) -> Reply:
    """Issue a token of any client of the account, named by its number: how a ZIS token is had without its secret."""
    account, switches = exchange.account, exchange.account.switches
    if switches.mint == "missing":
        return not_found()
    if exchange.user is None or not exchange.user.is_admin:
        return forbidden()
    body = exchange.request.json()
    asked = body.get("token") if isinstance(body, dict) else None
    number = asked.get("client_id") if isinstance(asked, dict) else None
    # An identifier in place of the number fails (observed 2026-07).
    client = next((client for client in account.clients.values() if client.id == number), None)
    if client is None or isinstance(number, bool):
        details = {"client_id": [{"description": "Client is invalid"}]}
        return json_reply(
            422, {"error": "RecordInvalid", "description": "Record validation errors", "details": details}
        )
    scopes = asked.get("scopes") if isinstance(asked, dict) else None
    # Unknown scopes still give a token; it meets 403 later.
    names = [name for name in scopes if isinstance(name, str)] if isinstance(scopes, list) else ["read"]
    expires_in = None if switches.mint == "lasting" else switches.mint_seconds
    token = account.grant(client, exchange.user.id, names, expires_in=expires_in, refresh_expires_in=None)
    shown = _token_json(exchange, token) | {"full_token": token.access_token}
    if switches.mint == "expiring_unsaid":
        del shown["expires_at"]
    return json_reply(201, {"token": shown})


def _token_json(exchange: Exchange, token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "url": f"https://{exchange.account.host}/api/v2/oauth/tokens/{token.id}.json",
        "user_id": token.user_id,
        "client_id": token.client_id,
        # Never the whole token again after its creation.
        "token": token.access_token[:10],
        "scopes": list(token.scopes),
        "created_at": _instant(token.created_at),
        "expires_at": _instant(token.expires_at),
        "refresh_token_expires_at": _instant(token.refresh_expires_at),
        "used_at": _instant(token.used_at),
    }


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
