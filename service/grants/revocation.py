"""Revoking tokens at Zendesk.

By id: `DELETE …/tokens/current` is reported to answer 204 without effect at times. Whether revoking an access token
ends its refresh token too is not documented.

A token counts as gone only by Zendesk's own word about it: a 401 for the token itself, or `RecordNotFound` for its id.
`/api/v2` may refuse the client of an integration (`zis_…`) for good, by 401, 403 or 404 whatever is asked; then the
registry says whether the token lives.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog

from service.grants.granted import MintedToken
from service.grants.pending_pairs import NotYet, PendingPairs
from service.ground.deadlines import Deadline
from service.ground.errors import (
    RateLimited,
    ScopeInsufficient,
    ServiceError,
    ZendeskTimeout,
    ZendeskUnavailable,
    ZISRejected,
)
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.zendesk.calls import ZendeskCalls
from service.zendesk.client import AccountClient
from service.zendesk.replies import Reply
from service.zendesk.zis_registry import ask_page

# What `/api/v2` answers to a client that it refuses for good.
_REFUSED = frozenset({401, 403, 404})
TOKENS = "/api/v2/oauth/tokens"
CURRENT_TOKEN = f"{TOKENS}/current"
# What nobody waits for is given this long; with less than the least left of a request, it is done after its answer.
UNATTENDED_SECONDS = 10.0
LEAST_SECONDS = 3.0
# Between tries while Zendesk fails for now; then it is given up, and the token lives until it expires.
PAUSES_SECONDS = (2.0, 8.0, 30.0)
# However long Zendesk asks for: what is in hand takes a thread of the process, and goes with it.
LONGEST_PAUSE_SECONDS = 60.0
_PASSING = (RateLimited, ZendeskTimeout, ZendeskUnavailable)

_log = structlog.get_logger(__name__)


class Revocation:
    """Revokes tokens of an account; `client` has the token that is to end, unless it says otherwise."""

    def __init__(self, settings: Settings, calls: ZendeskCalls, pending_pairs: PendingPairs) -> None:
        self._settings = settings
        self._calls = calls
        self._pending_pairs = pending_pairs

    def revoke_own(self, client: AccountClient, *, is_client_taken: bool = False) -> None:
        """Revoke an access token on its own authority; a dead one is none to revoke.

        `is_client_taken`: `/api/v2` is known to take this token's client, so that its 401 is about the token.

        Raises:
            ScopeInsufficient: Zendesk does not let the token revoke itself, and it lives.
            ServiceError: Zendesk could not be asked, or failed.
        """
        current = ask_about_itself(client)
        if current.status == 401 and is_client_taken:
            return
        is_client_taken = is_client_taken or current.is_success
        self._delete_itself(client, _path_of(current), is_client_taken=is_client_taken)

    def revoke_minted(self, grants: AccountClient, minted: MintedToken) -> None:
        """Revoke a minted token by its id: by the grant's access token, which `grants` has, else by its own.

        Raises:
            ServiceError: as `revoke_own`.
        """
        own = grants.with_token(minted.access_token)
        if minted.token_id is None:
            if minted.access_token:
                self.revoke_own(own)
            return
        path = f"{TOKENS}/{minted.token_id}"
        reply = _delete(grants, path)
        if reply.status == 401:
            # That is about the grant's token, which may be dead while this one lives.
            self._delete_itself(own, path)
        elif not (reply.is_success or reply.says_no_record):
            raise _refusal(reply)

    def is_dead(self, client: AccountClient) -> bool:
        """Return whether the registry refuses a token: it looks at the token first, then whose integration it is for.

        Raises:
            ServiceError: Zendesk could not be asked, or failed.
        """
        names = self._settings.integrations_of(client.account)
        return bool(names) and all(ask_page(client, name).refuses_token for name in names)

    def drop(self, client: AccountClient) -> None:
        """Revoke a token that nobody will use, on its own authority; a failure is logged, not raised.

        Where Zendesk fails for now it is tried again. With less than three seconds left until the client's deadline it
        is done by a thread of the process.
        """
        # Nothing is concluded from it, so its 401 is not asked after.
        self._attempt(client, lambda own: self.revoke_own(own, is_client_taken=True))

    def drop_signed_in(self, client: AccountClient, grants: AccountClient) -> None:
        """Revoke the token of a sign-in: on its own authority, else through the account's grant; as `drop`.

        Its scope is small, so that it may not be allowed to. `grants` has the grant's live token.
        """

        def revoke(own: AccountClient) -> None:
            path = _path_of(ask_about_itself(own))
            reply = _delete(own, path)
            if not reply.is_success and path != CURRENT_TOKEN:
                reply = _delete(grants.until(own.deadline), path)
            if not (reply.is_success or reply.says_no_record):
                raise _refusal(reply)

        self._attempt(client, revoke)

    def drop_minted(self, client: AccountClient, minted: MintedToken, authorities: list[str]) -> None:
        """Revoke a minted token that nobody will use, by the first access token that may; as `drop`."""
        if minted.token_id is None:
            self.drop(client.with_token(minted.access_token))
            return
        path = f"{TOKENS}/{minted.token_id}"

        def revoke(within: AccountClient) -> None:
            for authority in authorities:
                reply = _delete(within.with_token(authority), path)
                # A 401 here is about the authority, which may be gone itself.
                if reply.is_success or reply.says_no_record:
                    return
            raise ZISRejected("None of the tokens at hand may revoke a minted token.")

        self._attempt(client, revoke)

    def drop_later(self, account: Subdomain, access_token: str) -> None:
        """Do what `drop` does where nobody waits for it."""
        self.drop(self._unattended(account).with_token(access_token))

    def drop_minted_later(self, account: Subdomain, minted: MintedToken, authorities: list[str]) -> None:
        """Do what `drop_minted` does where nobody waits for it."""
        self.drop_minted(self._unattended(account), minted, authorities)

    def _unattended(self, account: Subdomain) -> AccountClient:
        return AccountClient(self._calls, account, Deadline.over())

    def _attempt(self, client: AccountClient, revoke: Callable[[AccountClient], None]) -> None:
        unwanted = _Unwanted(client, revoke)
        has_time = client.deadline.left() >= LEAST_SECONDS
        if not (has_time and unwanted.is_over(client.deadline.sooner(UNATTENDED_SECONDS))):
            self._pending_pairs.keep(client.account, unwanted.settle, is_pair=False)

    def _delete_itself(self, client: AccountClient, path: str, *, is_client_taken: bool = False) -> None:
        reply = _delete(client, path)
        if reply.is_success:
            return
        if is_client_taken and (reply.status == 401 or (reply.says_no_record and path != CURRENT_TOKEN)):
            return
        if reply.status in _REFUSED and self.is_dead(client):
            return
        raise _refusal(reply)


def ask_about_itself(client: AccountClient) -> Reply:
    """Return Zendesk's answer about the client's own token."""
    return client.get(CURRENT_TOKEN, kind="revoke")


def _delete(client: AccountClient, path: str) -> Reply:
    return client.change("DELETE", path, kind="revoke")


def _path_of(current: Reply) -> str:
    """Return where a token is deleted, by what Zendesk says of it; where it says no id, by `current`."""
    described = current.json_object().get("token") if current.is_success else None
    token_id = described.get("id") if isinstance(described, dict) else None
    return f"{TOKENS}/{token_id}" if isinstance(token_id, int) else CURRENT_TOKEN


def _refusal(reply: Reply) -> ServiceError:
    told: dict[str, Any] = {"upstream_status": reply.status, "upstream_detail": reply.words()}
    if reply.status in {401, 403} or reply.says_no_record:
        return ScopeInsufficient(
            "Zendesk does not let this authorization revoke its own tokens, and they live. Revoke them in Zendesk's "
            "Admin Center (Apps and integrations > APIs > OAuth clients), then disconnect again.",
            **told,
        )
    return ZISRejected("Zendesk refused to revoke a token.", **told)


class _Unwanted:
    """A token to be revoked: tried again while Zendesk fails for now, and given up when that lasts."""

    def __init__(self, client: AccountClient, revoke: Callable[[AccountClient], None]) -> None:
        self._client = client
        self._revoke = revoke
        self._pauses = iter(PAUSES_SECONDS)
        self._not_before = 0.0

    def settle(self) -> None:
        """Try, if it is time.

        Raises:
            NotYet: it is to be tried again.
        """
        if time.monotonic() < self._not_before or not self.is_over(Deadline.after(UNATTENDED_SECONDS)):
            raise NotYet

    def is_over(self, limit: Deadline) -> bool:
        """Try; return whether nothing is left to be done."""
        try:
            self._revoke(self._client.until(limit))
        except ServiceError as failure:
            pause = next(self._pauses, None) if isinstance(failure, _PASSING) else None
            if pause is None:
                _log.warning("revocation_failed", account=self._client.account, code=failure.code)
                return True
            self._not_before = time.monotonic() + max(pause, min(failure.retry_after or 0, LONGEST_PAUSE_SECONDS))
            _log.info("revocation_put_off", account=self._client.account, code=failure.code)
            return False
        _log.info("token_revoked", account=self._client.account)
        return True
