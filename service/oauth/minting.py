"""Asking Zendesk for an integration's own token, on the authority of an admin's grant.

`POST /api/v2/oauth/tokens` takes the *number* of the client `zis_{integration}`, which is found in the list of clients
(tickets and observations of 2026-07; from a grant by authorization code it is not documented).
"""

from collections.abc import Callable
from typing import Any

from service.deadlines import Deadline
from service.errors import (
    AdminRequired,
    IntegrationMismatch,
    ScopeInsufficient,
    ServiceError,
    ZendeskUnavailable,
    ZISRejected,
)
from service.oauth.grants import MintedToken
from service.oauth.revocation import CURRENT_TOKEN, Authorized
from service.settings import Settings
from service.subdomains import Subdomain
from service.timestamps import parse_timestamp
from service.zendesk.calls import ZendeskCalls
from service.zendesk.replies import Reply

CLIENTS_PAGE_SIZE = 100
MOST_CLIENT_PAGES = 100


class IntegrationNotRegistered(IntegrationMismatch):
    """The account has no client `zis_{integration}`: the integration was never registered there."""


class MintingRefused(ZISRejected):
    """Zendesk makes no token for the integration; its words ("Not found") do not say what was refused."""


class Minting:
    """Makes tokens for integrations."""

    def __init__(self, settings: Settings, calls: ZendeskCalls, clock: Callable[[], float]) -> None:
        self._scopes = settings.zendesk_scope.split()
        self._calls = calls
        self._clock = clock

    def mint(self, account: Subdomain, integration: str, authorized: Authorized, deadline: Deadline) -> MintedToken:
        """Return a new token of the integration's client; not stored yet.

        Raises:
            IntegrationNotRegistered: the account has no such client.
            AdminRequired: the grant's admin may not do this (any more).
            ServiceError: Zendesk refused or failed.
        """
        client_number = self.client_number(account, integration, authorized, deadline)
        body = {"token": {"client_id": client_number, "scopes": self._scopes}}
        now = self._clock()
        reply = authorized(
            lambda token: self._calls.change(
                account, "POST", "/api/v2/oauth/tokens", kind="mint", token=token, deadline=deadline, json=body
            )
        )
        if not reply.is_success:
            raise _refusal(reply)
        described = _token_in(reply)
        access_token = described.get("full_token")
        if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
            raise ZendeskUnavailable("Zendesk's answer holds no usable ZIS token.", upstream_status=reply.status)
        token_id = described.get("id")
        expires_at = parse_timestamp(described.get("expires_at"))
        if "expires_at" not in described:
            expires_at = self._expiry(account, access_token, deadline)
        return MintedToken(access_token, token_id if isinstance(token_id, int) else None, now, expires_at)

    def client_number(self, account: Subdomain, integration: str, authorized: Authorized, deadline: Deadline) -> int:
        """Return the number of the integration's own OAuth client; raises as `mint`."""
        identifier = f"zis_{integration}"
        query = {"page[size]": str(CLIENTS_PAGE_SIZE)}
        seen: set[str] = set()
        for page in range(1, MOST_CLIENT_PAGES + 1):
            reply = authorized(_page_call(self._calls, account, query, deadline))
            if not reply.is_success:
                raise _refusal(reply)
            body = reply.json_object()
            clients = body.get("clients")
            if not isinstance(clients, list | None):
                raise _unreadable()
            for client in clients or []:
                if isinstance(client, dict) and client.get("identifier") == identifier:
                    number = client.get("id")
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

    def _expiry(self, account: Subdomain, access_token: str, deadline: Deadline) -> float | None:
        """Return the expiry Zendesk names for a token; None: none, or it cannot be had."""
        try:
            reply = self._calls.get(account, CURRENT_TOKEN, kind="mint", token=access_token, deadline=deadline)
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
        "Zendesk's list of OAuth clients could not be read to its end. Try again; if it stays so, ask Zendesk."
    )


def _page_call(
    calls: ZendeskCalls, account: Subdomain, query: dict[str, str], deadline: Deadline
) -> Callable[[str], Reply]:
    return lambda token: calls.get(
        account, "/api/v2/oauth/clients", kind="client", token=token, deadline=deadline, query=query
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
