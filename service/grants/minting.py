"""Asking Zendesk for an integration's own token, on the authority of an admin's grant.

`POST /api/v2/oauth/tokens` takes the *number* of the client `zis_{integration}`, which is found in the list of clients
(tickets and observations of 2026-07; from a grant by authorization code it is not documented).
"""

from collections.abc import Callable
from typing import Any

from service.grants.granted import MintedToken
from service.grants.revocation import CURRENT_TOKEN
from service.ground.errors import (
    AdminRequired,
    IntegrationMismatch,
    ScopeInsufficient,
    ServiceError,
    ZendeskUnavailable,
    ZISRejected,
)
from service.ground.timestamps import parse_timestamp
from service.zendesk.client import AccountClient
from service.zendesk.replies import Reply

CLIENTS_PAGE_SIZE = 100
MOST_CLIENT_PAGES = 100


class IntegrationNotRegistered(IntegrationMismatch):
    """The account has no client `zis_{integration}`: the integration was never registered there."""


class MintingRefused(ZISRejected):
    """Zendesk makes no token for the integration; its words ("Not found") do not say what was refused."""


def mint(client: AccountClient, integration: str, scopes: list[str], clock: Callable[[], float]) -> MintedToken:
    """Return a new token of the integration's client, by the grant's client; not stored yet. `clock` in Unix seconds.

    Raises:
        IntegrationNotRegistered: the account has no such client.
        AdminRequired: the grant's admin may not do this (any more).
        ServiceError: Zendesk refused or failed.
    """
    body = {"token": {"client_id": client_number(client, integration), "scopes": scopes}}
    now = clock()
    reply = client.change("POST", "/api/v2/oauth/tokens", kind="mint", json=body)
    if not reply.is_success:
        raise _refusal(reply)
    described = _token_in(reply)
    access_token = described.get("full_token")
    if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
        raise ZendeskUnavailable("Zendesk's answer holds no usable ZIS token.", upstream_status=reply.status)
    token_id = described.get("id")
    expires_at = parse_timestamp(described.get("expires_at"))
    if "expires_at" not in described:
        expires_at = _expiry(client.with_token(access_token))
    return MintedToken(access_token, token_id if isinstance(token_id, int) else None, now, expires_at)


def client_number(client: AccountClient, integration: str) -> int:
    """Return the number of the integration's own OAuth client; raises as `mint`."""
    identifier = f"zis_{integration}"
    query = {"page[size]": str(CLIENTS_PAGE_SIZE)}
    seen: set[str] = set()
    for page in range(1, MOST_CLIENT_PAGES + 1):
        reply = client.get("/api/v2/oauth/clients", kind="client", query=query)
        if not reply.is_success:
            raise _refusal(reply)
        body = reply.json_object()
        clients = body.get("clients")
        if not isinstance(clients, list | None):
            raise _unreadable()
        for one in clients or []:
            if isinstance(one, dict) and one.get("identifier") == identifier:
                number = one.get("id")
                if isinstance(number, int):
                    return number
        cursor = _next_cursor(body)
        if cursor is not None:
            if cursor in seen:
                raise _endless()
            seen.add(cursor)
            query = {"page[size]": str(CLIENTS_PAGE_SIZE), "page[after]": cursor}
        elif "meta" not in body and body.get("next_page"):
            # Offset pages: count on ourselves, never follow an address from an answer.
            query = {"per_page": str(CLIENTS_PAGE_SIZE), "page": str(page + 1)}
        else:
            break
    else:
        raise _endless()
    raise IntegrationNotRegistered(
        f"Zendesk knows no integration {integration} in this account: it has no OAuth client {identifier}. "
        "Register the integration in Zendesk, or correct ZIS_INTEGRATIONS."
    )


def _expiry(client: AccountClient) -> float | None:
    """Return the expiry Zendesk names for the client's own token; None: none, or it cannot be had."""
    try:
        reply = client.get(CURRENT_TOKEN, kind="mint")
        return parse_timestamp(_token_in(reply).get("expires_at")) if reply.is_success else None
    except ServiceError:
        # Raised, it would lose a token that exists.
        return None


def _next_cursor(body: dict[str, Any]) -> str | None:
    """Return the cursor of the next page of clients; None: this was the last, or pages are numbered.

    Raises:
        ZendeskUnavailable: the list says that it goes on, and not where. The client may be on a page that is not known.
    """
    meta = body.get("meta") or {}
    if not isinstance(meta, dict) or not isinstance(meta.get("has_more"), bool | None):
        raise _unreadable()
    if not meta.get("has_more"):
        return None
    cursor = meta.get("after_cursor")
    if not isinstance(cursor, str) or not cursor or not cursor.isprintable():
        raise _unreadable()
    return cursor


def _endless() -> ZendeskUnavailable:
    return ZendeskUnavailable("Zendesk's list of OAuth clients does not end. Ask Zendesk's support.")


def _unreadable() -> ZendeskUnavailable:
    return ZendeskUnavailable(
        "Zendesk's list of OAuth clients could not be read to its end. Try again; if this persists, ask Zendesk."
    )


def _token_in(reply: Reply) -> dict[str, Any]:
    described = reply.json_object().get("token")
    return described if isinstance(described, dict) else {}


def _refusal(reply: Reply) -> ServiceError:
    told: dict[str, Any] = {"upstream_status": reply.status, "upstream_detail": reply.words()}
    if reply.status == 403:
        if reply.says("scope"):
            return ScopeInsufficient(
                "Zendesk does not let the granted scope make tokens for integrations. Raise ZENDESK_SCOPE and the "
                "OAuth client's allowed scopes, then connect again.",
                **told,
            )
        return AdminRequired(
            "Zendesk lets only admins make tokens for integrations, and the person who connected this account is not "
            "one now. An admin has to connect it again.",
            **told,
        )
    return MintingRefused(
        "Zendesk refused to make a token for the integration. If this persists, minting is not available here: "
        "configure the integration's own client (zis_…).",
        **told,
    )
