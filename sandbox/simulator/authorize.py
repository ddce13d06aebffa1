"""Zendesk's consent page: `/oauth/authorizations/new`.

Bad clients, redirect URIs and malformed requests end on a page and never come back (observed 2026-06).
"""

import time
from html import escape
from urllib.parse import urlencode

from sandbox.simulator.exchange import Exchange
from sandbox.simulator.messages import Reply, html_reply, redirect_reply
from sandbox.simulator.people import AuthorizationCode, Client

STYLESHEET = "/_workspace/garden.css"


def authorize(exchange: Exchange) -> Reply:  # noqa: PLR0911  # one return an ending
    """Show the consent page (GET), or take its decision (POST; the request's own parameters stay in the query)."""
    asked = exchange.request.query
    form = exchange.request.form() if exchange.method == "POST" else {}
    client = exchange.account.clients.get(asked.get("client_id", ""))
    if client is None:
        return _error_page(exchange, "No such client")
    if asked.get("redirect_uri") not in exchange.account.redirect_uris(client, exchange.world.redirect_uris):
        return _error_page(exchange, "Invalid redirect URI")
    if asked.get("response_type") != "code" or asked.get("code_challenge_method", "S256") != "S256":
        return _error_page(exchange, "Malformed request")
    if client.kind == "public" and not asked.get("code_challenge"):
        return _error_page(exchange, "Malformed request")
    match exchange.account.switches.consent:
        case "refused":
            return _error_page(exchange, "No such client")
        case "closes":
            return _page(exchange, "Closing", '<script src="/_workspace/closing.js"></script>')
    match form.get("decision"):
        case "allow":
            return _allow(exchange, client, form.get("user_id", ""))
        case "deny":
            description = "The end-user or authorization server denied the request."
            return _back(exchange, {"error": "access_denied", "error_description": description})
        case _:
            return _consent_page(exchange, client)


def _allow(exchange: Exchange, client: Client, user_id: str) -> Reply:
    asked = exchange.request.query
    user = exchange.account.users.get(int(user_id)) if user_id.isdecimal() else None
    if user is None or user.suspended or not user.active:
        return _error_page(exchange, "This person cannot sign in", status=403)
    code = AuthorizationCode(
        client.identifier,
        user.id,
        asked.get("scope", "read"),
        asked["redirect_uri"],
        asked.get("code_challenge", ""),
        time.time(),
    )
    return _back(exchange, {"code": exchange.account.issue_code(code)})


def _back(exchange: Exchange, answer: dict[str, str]) -> Reply:
    asked = exchange.request.query
    if "state" in asked:
        answer["state"] = asked["state"]
    separator = "&" if "?" in asked["redirect_uri"] else "?"
    return redirect_reply(asked["redirect_uri"] + separator + urlencode(answer))


def _error_page(exchange: Exchange, reason: str, *, status: int = 400) -> Reply:
    content = f"<h1>Invalid Authorization Request</h1><p>{escape(reason)}</p>"
    return _page(exchange, "Invalid Authorization Request", content, status=status)


def _consent_page(exchange: Exchange, client: Client) -> Reply:
    account = exchange.account
    as_user = exchange.request.query.get("as_user") or str(account.last_user_id or "")
    options = "".join(
        f'<option value="{user.id}"{" selected" if str(user.id) == as_user else ""}'
        f"{' disabled' if user.suspended or not user.active else ''}>"
        f"{escape(user.name)} ({user.role}{', suspended' if user.suspended else ''})</option>"
        for user in account.users.values()
    )
    scopes = "".join(
        f"<li><code>{escape(name)}</code></li>" for name in exchange.request.query.get("scope", "").split()
    )
    action = escape(exchange.request.target)
    content = f"""<h1>Allow {escape(client.name)} to use your account?</h1>
<p><strong>{escape(client.name)}</strong> (<code>{escape(client.identifier)}</code>) asks for access to
<strong>{escape(account.host)}</strong>:</p>
<ul class="scopes">{scopes}</ul>
<form method="post" action="{action}">
  <label for="user_id">Signed in as</label>
  <select id="user_id" name="user_id">{options}</select>
  <p class="buttons">
    <button id="allow" class="primary" name="decision" value="allow">Allow</button>
    <button id="deny" name="decision" value="deny">Deny</button>
  </p>
</form>
<p class="hint">This is the simulated Zendesk: nothing here leaves your machine.</p>"""
    return _page(exchange, "Authorize", content)


def _page(exchange: Exchange, title: str, content: str, *, status: int = 200) -> Reply:
    html = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{escape(title)} - {escape(exchange.account.host)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="{STYLESHEET}"></head>
<body class="consent"><main>
<p class="brand">{escape(exchange.account.subdomain)} <span>on Zendesk (simulated)</span></p>
{content}
</main></body></html>"""
    headers = [("Cache-Control", "no-store")]
    if exchange.account.switches.opener == "lost":
        # Any value cuts window.opener for good, also of the pages that follow.
        headers.append(("Cross-Origin-Opener-Policy", "same-origin"))
    return html_reply(status, html, *headers)
