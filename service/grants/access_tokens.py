"""Hands out a live access token of an account, and refreshes once for everybody.

One refresher an account: a lock in the process, then a lease in Redis. What a refresh does is in `refreshing`.
"""

from collections.abc import Callable
from enum import Enum

import structlog

from service.grants.conditions import Conditions
from service.grants.cool_down import refused_again
from service.grants.granted import Grant
from service.grants.leases import Leases, too_late
from service.grants.pending_pairs import PairInHand
from service.grants.refreshing import Cause, Refreshing, not_stored
from service.grants.revocation import Revocation
from service.ground.deadlines import Deadline
from service.ground.errors import AuthorizationRequired, ServiceError
from service.ground.subdomains import Subdomain
from service.zendesk.authorization_server import AuthorizationServer, InvalidGrant
from service.zendesk.client import AccountClient, Credential
from service.zendesk.measured import Kind
from service.zendesk.replies import Reply

# A refresh that cannot be finished and stored within the deadline is not begun.
REFRESH_NEEDS_SECONDS = 13.0
# About a tenth of the lifetime: refreshed early, while the old token still serves everybody else.
STALE_SHARE = 0.1
# A token this close to its end would not survive the way to Zendesk.
LAST_SECONDS = 5.0
# Within this the whole lifetime is the last seconds (tests and sandboxes have such tokens).
TINY_LIFETIME_SECONDS = 20.0
_REFRESH = "refresh"

_log = structlog.get_logger(__name__)


class Freshness(Enum):
    """What may be done with an access token."""

    FRESH = "use it"
    STALE = "use it, and let one caller refresh it"
    EXPIRED = "wait for the refresh"


def freshness(grant: Grant, now: float) -> Freshness:
    """Return how long the grant's access token still serves; `now` in Unix seconds."""
    if grant.expires_at is None:
        return Freshness.FRESH
    lifetime = grant.expires_at - grant.obtained_at
    left = grant.expires_at - now
    if left <= (LAST_SECONDS if lifetime > TINY_LIFETIME_SECONDS else 0.0):
        return Freshness.EXPIRED
    return Freshness.STALE if left <= STALE_SHARE * lifetime else Freshness.FRESH


class AccessTokens:
    """The one place where pairs are refreshed."""

    def __init__(
        self,
        *,
        refreshing: Refreshing,
        server: AuthorizationServer,
        conditions: Conditions,
        revocation: Revocation,
        leases: Leases,
        clock: Callable[[], float],
    ) -> None:
        self._refreshing = refreshing
        self._server = server
        self._conditions = conditions
        self._revocation = revocation
        self._clock = clock
        self._leases = leases
        self.cool_down = refreshing.cool_down
        self.pending_pairs = refreshing.pending_pairs
        self.stored = refreshing.stored

    def get(self, account: Subdomain, deadline: Deadline, read: Grant | None = None) -> Grant:
        """Return the account's grant with an access token that has not expired.

        `read`: the usable grant, where the request has just read it.

        Raises:
            AuthorizationRequired: not connected, or the grant is dead.
            ServiceError: no live token could be had within the deadline; the grant is kept.
        """
        grant = self.usable(account) if read is None else read
        match freshness(grant, self._clock()):
            case Freshness.FRESH:
                return grant
            case Freshness.STALE:
                return self._refresh_early(account, grant, deadline)
            case Freshness.EXPIRED:
                return self._successor(account, grant, deadline, "expired")

    def after_refusal(self, account: Subdomain, refused: str, deadline: Deadline, kind: Kind = "other") -> Grant:
        """Return a grant whose access token is not the one Zendesk has just refused with 401, however new that is.

        `kind`: of the call that was refused.

        Raises:
            AuthorizationRequired: there is none and can be none.
            ZendeskUnavailable: new tokens were refused as well, and that is being waited out.
            ServiceError: as `get`.
        """
        grant = self.usable(account)
        if grant.access_token != refused:
            return grant
        if grant.refresh_token is None:
            self._refreshing.declare_dead(account, grant, "not_refreshable")
            raise self._conditions.required(account, "not_refreshable")
        return self._successor(account, grant, deadline, "refused", kind)

    def refused_again(self, account: Subdomain, refused: str, kind: Kind) -> ServiceError:
        """Return what it means that the token that replaced a refused one is refused as well, and begin the wait.

        Raises:
            AuthorizationRequired: the account was disconnected meanwhile, or the grant is dead.
            StoreUnavailable: Redis did not answer.
        """
        if self.usable(account).access_token != refused:
            # Somebody has replaced that one, too, since we took it.
            return refused_again()
        return self.cool_down.count_refusal(account, refused, kind)

    def refresh_now(self, account: Subdomain, spent: Grant, deadline: Deadline, refused: Kind | None = None) -> Grant:
        """Return the grant after a refresh that `spent` needs before its time; somebody else's will do.

        `refused`: the kind of call for which Zendesk has refused it; None: it only ages.

        Raises:
            ServiceError: as `get`.
        """
        return self._successor(account, spent, deadline, "refused" if refused else "upkeep", refused)

    def drop_replaced(self, client: AccountClient, replaced: Grant) -> None:
        """Revoke the tokens of a grant that is no longer stored, until the client's deadline; a failure is logged.

        An expired access token can revoke nothing, so such a grant is refreshed once more, for this alone.
        """
        reason = self._conditions.reason(replaced)
        if reason not in {None, "client_changed"}:
            return
        token = replaced.access_token
        # Another client's pair: what still lives revokes itself, but cannot be refreshed by us.
        is_ours = reason is None
        if is_ours and freshness(replaced, self._clock()) is Freshness.EXPIRED and replaced.refresh_token is not None:
            try:
                token = self._server.refresh(client.account, replaced.refresh_token, client.deadline).access_token
            except InvalidGrant:
                return
            except ServiceError as failure:
                _log.warning("replaced_grant_not_revoked", account=client.account, code=failure.code)
                return
        self._revocation.drop(client.with_token(token))

    def usable(self, account: Subdomain) -> Grant:
        """Return the account's grant as stored, whatever its age.

        Raises:
            AuthorizationRequired: not connected, dead, of another client, or no key opens it.
            StoreUnavailable: Redis did not answer.
        """
        return self._conditions.usable(account)

    def reads_users(self, account: Subdomain) -> bool:
        """Return whether the grant's token could read the admin who authorized, and so reads users.

        Raises:
            AuthorizationRequired: not connected, or the grant is dead.
            StoreUnavailable: Redis did not answer.
        """
        return self.usable(account).authorized_by is not None

    def _refresh_early(self, account: Subdomain, grant: Grant, deadline: Deadline) -> Grant:
        """Return a new grant if nobody else is refreshing and Zendesk plays along, else the stale one."""
        if grant.refresh_token is None or deadline.left() < REFRESH_NEEDS_SECONDS or self.pending_pairs.holds(account):
            return grant
        try:
            with self._leases.at_once(account, _REFRESH) as our_turn:
                if not our_turn:
                    return grant
                with self._leases.lease(account, _REFRESH, left_with=PairInHand) as our_lease:
                    if not our_lease or self.cool_down.current(account, grant.access_token) is not None:
                        return grant
                    return self._refreshing.refresh(account, grant, "stale", deadline) or grant
        except AuthorizationRequired:
            raise
        except ServiceError as failure:
            _log.warning("early_refresh_failed", account=account, code=failure.code)
            return grant

    def _successor(
        self, account: Subdomain, spent: Grant, deadline: Deadline, cause: Cause, kind: Kind | None = None
    ) -> Grant:
        """Return a grant whose access token is not that of `spent`: another's refresh, or our own.

        `kind`: of the call that was refused, where one was.
        """
        with self._leases.wait(account, _REFRESH, deadline):
            while True:
                grant = self.usable(account)
                if grant.access_token != spent.access_token:
                    return grant
                if grant.refresh_token is None:
                    raise self._conditions.required(account, "not_refreshable")
                if self.pending_pairs.holds(account):
                    raise not_stored()
                with self._leases.lease(account, _REFRESH, left_with=PairInHand) as our_lease:
                    if our_lease and deadline.left() < REFRESH_NEEDS_SECONDS:
                        raise too_late()
                    # Asked with the lease in hand: whoever had it before may just have failed.
                    failure = self.cool_down.current(account, spent.access_token, kind)
                    if failure is not None:
                        raise failure
                    refreshed = self._refreshing.refresh(account, spent, cause, deadline) if our_lease else None
                if refreshed is not None:
                    return refreshed
                self._leases.nap(deadline)


class GrantToken(Credential):
    """The access token of an account's grant.

    `read`: the usable grant, where the request has just read it. `is_unproven`: the token may not be good for these
    calls at all. Then, where it could not read the admin who authorized, a refusal says nothing of it.
    """

    def __init__(
        self, tokens: AccessTokens, account: Subdomain, *, read: Grant | None = None, is_unproven: bool = False
    ) -> None:
        self._tokens = tokens
        self._account = account
        self._read = read
        self._is_unproven = is_unproven
        self._tells_nothing = False

    def token(self, deadline: Deadline) -> str:
        """Return it, live; as `AccessTokens.get`."""
        # For the first call alone: by the second, what was read has grown old.
        read, self._read = self._read, None
        grant = self._tokens.get(self._account, deadline, read)
        self._tells_nothing = self._is_unproven and grant.authorized_by is None
        return grant.access_token

    def another(self, refused: str, kind: Kind, deadline: Deadline) -> str | None:
        """Return its successor; as `AccessTokens.after_refusal`."""
        if self._tells_nothing:
            return None
        return self._tokens.after_refusal(self._account, refused, deadline, kind).access_token

    def judge(self, token: str, reply: Reply) -> None:
        """Note that it works, or begin the account's wait; as `AccessTokens.refused_again`."""
        if reply.refuses_token:
            raise self._tokens.refused_again(self._account, token, reply.kind)
        if reply.is_success and not self._tells_nothing:
            self._tokens.cool_down.note_worked(self._account, token, reply.kind)
