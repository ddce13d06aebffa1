"""`/api/v2/oauth/clients`: list, show, change (developer.zendesk.com …/oauth/oauth_clients, 2026-11)."""

from sandbox.simulator.exchange import Exchange
from sandbox.simulator.messages import Reply, json_reply
from sandbox.simulator.people import Client
from sandbox.simulator.refusals import forbidden, not_found

PAGE_SIZE = 100


def clients(exchange: Exchange, path: list[str]) -> Reply:
    """Answer a request below `/api/v2/oauth/clients`; admins only."""
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
            cursor = f"{int(after or '0') + 1:012}"
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
