"""The parts of `/api/v2` around OAuth: people, clients, tokens, and the app's public key."""

from datetime import UTC, datetime

from service.sandbox.simulator.default_world import APP_ID
from service.sandbox.simulator.exchange import Exchange
from service.sandbox.simulator.faults import dead_token, scope_missing
from service.sandbox.simulator.messages import Reply, json_reply
from service.sandbox.simulator.people import Client, Token
from service.sandbox.simulator.signing import public_key_pem

PAGE_SIZE = 100


def not_found() -> Reply:
    """Return the API's 404."""
    return json_reply(404, {"error": "RecordNotFound", "description": "Not found"})


def forbidden() -> Reply:
    """Return the API's 403 for somebody of too small a role; `error` is an object in it."""
    message = (
        "You do not have access to this page. Please contact the account owner of this help desk for further help."
    )
    return json_reply(403, {"error": {"title": "Forbidden", "message": message}})


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
            return _tokens(exchange, rest)
        case ("oauth", "clients", *rest):
            return _clients(exchange, rest)
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
    kind = "read" if exchange.method == "GET" else "write"
    about_itself = exchange.segments[2:4] == ("oauth", "tokens") and exchange.method != "POST"
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


# --- tokens ---


def _tokens(exchange: Exchange, path: list[str]) -> Reply:
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


# --- clients ---


def _clients(exchange: Exchange, path: list[str]) -> Reply:
    if exchange.user is None or not exchange.user.is_admin:
        return forbidden()
    match exchange.method, path:
        case "GET", []:
            return _list_clients(exchange)
        case "GET" | "PUT", [number]:
            client = next((one for one in exchange.account.clients.values() if str(one.id) == number), None)
            if client is None:
                return not_found()
            return _put_client(exchange, client) if exchange.method == "PUT" else _client_reply(exchange, client)
        case _:
            return not_found()


def _put_client(exchange: Exchange, client: Client) -> Reply:
    if client.integration is not None and exchange.account.switches.zis_redirects == "put_refused":
        return forbidden()
    body = exchange.request.json()
    changes = body.get("client") if isinstance(body, dict) else None
    uris = changes.get("redirect_uri") if isinstance(changes, dict) else None
    if isinstance(uris, str):
        uris = uris.split()
    if isinstance(uris, list):
        client.redirect_uris = [uri for uri in uris if isinstance(uri, str)]
    return _client_reply(exchange, client)


def _client_reply(exchange: Exchange, client: Client) -> Reply:
    return json_reply(200, {"client": _client_json(exchange, client)})


def _client_json(exchange: Exchange, client: Client) -> dict[str, object]:
    return {
        "id": client.id,
        "url": f"https://{exchange.account.host}/api/v2/oauth/clients/{client.id}.json",
        "identifier": client.identifier,
        "name": client.name,
        "kind": client.kind,
        "redirect_uri": exchange.account.redirect_uris(client, exchange.world.redirect_uris),
        # Whole only at its creation.
        "secret": client.secret[:9],
        "global": False,
        "user_id": client.user_id,
        "company": None,
        "description": None,
        "logo_url": None,
        "created_at": "2026-01-15T09:00:00Z",
        "updated_at": "2026-01-15T09:00:00Z",
    }


def _list_clients(exchange: Exchange) -> Reply:
    query = exchange.request.query
    rows = sorted(exchange.account.clients.values(), key=lambda client: client.id)
    if "page[size]" not in query and "page[after]" not in query:
        return _clients_by_offset(exchange, rows)
    text = query.get("page[size]", "")
    size = min(int(text), PAGE_SIZE) if text.isdecimal() and int(text) else PAGE_SIZE
    after = query.get("page[after]", "")
    if exchange.paging_fault != "endless_pages":
        rows = [client for client in rows if not after or _cursor(client) > after]
    page = rows[:size]
    has_more = len(rows) > size or exchange.paging_fault in {"endless_pages", "repeat_cursor"}
    cursor = _cursor(page[-1]) if page else None
    match exchange.paging_fault:
        case "endless_pages":
            cursor = f"{int(after or '0', 36) + 1:012}"
        case "repeat_cursor":
            cursor = after or cursor
    following = f"https://{exchange.account.host}/api/v2/oauth/clients.json?page[size]={size}&page[after]={cursor}"
    meta = {"has_more": has_more, "after_cursor": cursor, "before_cursor": _cursor(page[0]) if page else None}
    links = {"next": following if has_more else None, "prev": None}
    return json_reply(200, {"clients": [_client_json(exchange, one) for one in page], "meta": meta, "links": links})


def _cursor(client: Client) -> str:
    return f"{client.id:012}"


def _clients_by_offset(exchange: Exchange, rows: list[Client]) -> Reply:
    text = exchange.request.query.get("page", "1")
    number = int(text) if text.isdecimal() else 1
    page = rows[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    more = len(rows) > number * PAGE_SIZE
    following = f"https://{exchange.account.host}/api/v2/oauth/clients.json?page={number + 1}" if more else None
    shown = [_client_json(exchange, client) for client in page]
    return json_reply(200, {"clients": shown, "count": len(rows), "next_page": following, "previous_page": None})


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
