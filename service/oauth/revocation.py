"""Telling Zendesk that tokens are no longer wanted.

By id: `DELETE …/tokens/current` is reported to answer 204 without effect at times. A 401 or 404 means that the token is
dead already. Whether revoking an access token ends its refresh token too is not documented.
"""

import time
from collections.abc import Callable

import structlog

from service.deadlines import Deadline
from service.errors import (
    RateLimited,
    ScopeInsufficient,
    ServiceError,
    ZendeskTimeout,
    ZendeskUnavailable,
    ZISRejected,
)
from service.oauth.grants import MintedToken
from service.oauth.unsaved import NotYet, UnsavedPairs
from service.subdomains import Subdomain
from service.zendesk.calls import ZendeskCalls
from service.zendesk.replies import Reply

_GONE = frozenset({401, 404})
CURRENT_TOKEN = "/api/v2/oauth/tokens/current"  # noqa: S105 - an address
# What nobody waits for is given this long; with less than the least left of a request, it is done after its answer.
UNATTENDED_SECONDS = 10.0
LEAST_SECONDS = 3.0
# Between tries while Zendesk fails for now; then it is given up, and the token lives until it expires.
PAUSES_SECONDS = (2.0, 8.0, 30.0)
# However long Zendesk asks for: what is in hand takes a thread of the process, and goes with it.
LONGEST_PAUSE_SECONDS = 60.0
_PASSING = (RateLimited, ZendeskTimeout, ZendeskUnavailable)

_log = structlog.get_logger(__name__)

# Makes a call with the grant's live access token, repeated once if that is refused.
Authorized = Callable[[Callable[[str], Reply]], Reply]


class Revocation:
    """Revokes tokens of an account."""

    def __init__(self, calls: ZendeskCalls, unsaved: UnsavedPairs) -> None:
        self._calls = calls
        self._unsaved = unsaved

    def revoke_own(self, account: Subdomain, authorized: Authorized, deadline: Deadline) -> None:
        """Revoke the access token that `authorized` calls with.

        Raises:
            ScopeInsufficient: Zendesk does not let the token revoke itself.
            ServiceError: Zendesk could not be asked, or failed.
        """
        current = authorized(
            lambda token: self._calls.get(account, CURRENT_TOKEN, kind="revoke", token=token, deadline=deadline)
        )
        token_id = current.json_object().get("token", {}) if current.is_success else {}
        token_id = token_id.get("id") if isinstance(token_id, dict) else None
        if current.status in _GONE:
            return
        path = f"/api/v2/oauth/tokens/{token_id}" if isinstance(token_id, int) else CURRENT_TOKEN
        self._delete(account, path, authorized, deadline)

    def revoke_minted(self, account: Subdomain, minted: MintedToken, authority: str, deadline: Deadline) -> None:
        """Revoke a minted token by its id: by the grant's access token, else by its own.

        Raises:
            ServiceError: as `revoke_own`.
        """
        if minted.token_id is None:
            if minted.access_token:
                self.revoke_own(account, lambda call: call(minted.access_token), deadline)
            return

        def authorized(call: Callable[[str], Reply]) -> Reply:
            reply = call(authority)
            # That is about the grant's token, which may be dead while this one lives.
            return call(minted.access_token) if reply.status == 401 else reply

        self._delete(account, f"/api/v2/oauth/tokens/{minted.token_id}", authorized, deadline)

    def drop(self, account: Subdomain, access_token: str, deadline: Deadline | None = None) -> None:
        """Revoke a token that nobody will use, on its own authority; a failure is logged, not raised.

        Where Zendesk fails for now it is tried again. `deadline` None, or with less than three seconds left: done by a
        thread of the process.
        """

        def revoke(limit: Deadline) -> None:
            self.revoke_own(account, lambda call: call(access_token), limit)

        self._attempt(account, revoke, deadline)

    def drop_minted(
        self, account: Subdomain, minted: MintedToken, authorities: list[str], deadline: Deadline | None = None
    ) -> None:
        """Revoke a minted token that nobody will use, by the first access token that may; as `drop`."""
        if minted.token_id is None:
            self.drop(account, minted.access_token, deadline)
            return
        path = f"/api/v2/oauth/tokens/{minted.token_id}"

        def revoke(limit: Deadline) -> None:
            for authority in authorities:
                reply = self._calls.change(account, "DELETE", path, kind="revoke", token=authority, deadline=limit)
                # A 401 here is about the authority, which may be gone itself.
                if reply.is_success or reply.status == 404:
                    return
            raise ZISRejected("None of the tokens at hand may revoke a minted token.")

        self._attempt(account, revoke, deadline)

    def _attempt(self, account: Subdomain, revoke: Callable[[Deadline], None], deadline: Deadline | None) -> None:
        unwanted = _Unwanted(account, revoke)
        has_time = deadline is not None and deadline.left() >= LEAST_SECONDS
        if not (deadline and has_time and unwanted.is_over(deadline.sooner(UNATTENDED_SECONDS))):
            self._unsaved.keep(account, unwanted.settle, is_pair=False)

    def _delete(self, account: Subdomain, path: str, authorized: Authorized, deadline: Deadline) -> None:
        reply = authorized(
            lambda token: self._calls.change(account, "DELETE", path, kind="revoke", token=token, deadline=deadline)
        )
        if reply.is_success or reply.status in _GONE:
            return
        told = {"upstream_status": reply.status, "upstream_detail": reply.words()}
        if reply.status == 403:
            raise ScopeInsufficient(
                "Zendesk does not let this authorization revoke its own tokens. Revoke them in Zendesk's Admin Center "
                "(Apps and integrations > APIs > OAuth clients), then disconnect again.",
                **told,  # type: ignore[arg-type]  # status and words, as named above
            )
        raise ZISRejected("Zendesk refused to revoke a token.", **told)  # type: ignore[arg-type]  # likewise


class _Unwanted:
    """A token to be revoked: tried again while Zendesk fails for now, and given up when that lasts."""

    def __init__(self, account: Subdomain, revoke: Callable[[Deadline], None]) -> None:
        self._account = account
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
            self._revoke(limit)
        except ServiceError as failure:
            pause = next(self._pauses, None) if isinstance(failure, _PASSING) else None
            if pause is None:
                _log.warning("revocation_failed", account=self._account, code=failure.code)
                return True
            self._not_before = time.monotonic() + max(pause, min(failure.retry_after or 0, LONGEST_PAUSE_SECONDS))
            _log.info("revocation_put_off", account=self._account, code=failure.code)
            return False
        _log.info("token_revoked", account=self._account)
        return True
