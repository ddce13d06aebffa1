"""Hands out a live access token of an account, and refreshes once for everybody.

A refresh at Zendesk deletes the old pair at once, a refresh token works once, and a lost reply is a lost grant. So:
one refresher an account (a lock in the process, then one in Redis), a note in the record before asking, the new pair
stored before anybody uses it, and no verdict on a grant from a failure that may pass.
"""

import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Literal

import structlog

from service import metrics
from service.activity import OK, Activity
from service.deadlines import Deadline
from service.errors import AccountGone, AuthorizationRequired, ClientMisconfigured, ServiceError, StoreUnavailable
from service.oauth import signs
from service.oauth.authorization_server import AuthorizationServer, InvalidGrant, TokenPair
from service.oauth.conditions import Conditions
from service.oauth.cool_down import CoolDown, refused_again
from service.oauth.grants import Grant, Grants
from service.oauth.stored_pairs import StoredPair, StoredPairs
from service.oauth.turns import LEASE_POLL_SECONDS, LEASE_SECONDS, Turns, too_late
from service.oauth.unsaved import RETRY_SECONDS, PairInHand, UnsavedPairs
from service.store import Store
from service.subdomains import Subdomain
from service.vault import KeyMissing
from service.zendesk.calls import CALL_SECONDS, ForeignReply, NotReached, NotSent
from service.zendesk.measured import Kind
from service.zendesk.replies import Reply

# A refresh that cannot be finished and stored within the deadline is not begun.
REFRESH_NEEDS_SECONDS = 13.0
# For storing what a refresh brought.
WRITE_SECONDS = 2.0
# Between getting the lease and asking; more, and the process was asleep and the lease may end while Zendesk answers.
LATEST_START_SECONDS = LEASE_SECONDS - CALL_SECONDS - WRITE_SECONDS
# About a tenth of the lifetime: refreshed early, while the old token still serves everybody else.
STALE_SHARE = 0.1
# A token this close to its end would not survive the way to Zendesk.
LAST_SECONDS = 5.0
# Within this the whole lifetime is the last seconds (tests and sandboxes have such tokens).
TINY_LIFETIME_SECONDS = 20.0
# Four tries of a process that has the answer to an earlier refresh in hand, and Redis only just back.
PATIENCE_SECONDS = 4 * RETRY_SECONDS
_REFRESH = "refresh"

Cause = Literal["stale", "expired", "refused", "upkeep"]
"""Why a pair is refreshed: early, too late, because Zendesk refused its access token, or so that it does not age."""

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


def is_token_refused(reply: Reply) -> bool:
    """Return whether a reply says that the access token is dead; an integration mismatch is something else."""
    refused = reply.status == 401
    return refused and not reply.says("integration mismatch") and not reply.says("OAuth being disabled")


class AccessTokens:
    """The one place where pairs are refreshed."""

    def __init__(
        self,
        *,
        store: Store,
        grants: Grants,
        server: AuthorizationServer,
        conditions: Conditions,
        revoke: Callable[[Subdomain, str, Deadline | None], None],
        unsaved: UnsavedPairs,
        turns: Turns,
        activity: Activity,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._grants = grants
        self._server = server
        self._conditions = conditions
        self._revoke = revoke
        self._clock = clock
        self._turns = turns
        self._activity = activity
        self.cool_down = CoolDown(store)
        self.unsaved = unsaved
        self.stored = StoredPairs(self._look_at)

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
            self._declare_dead(account, grant, "not_refreshable")
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

    def drop_replaced(self, account: Subdomain, replaced: Grant, deadline: Deadline) -> None:
        """Revoke the tokens of a grant that is no longer stored; a failure is logged.

        An expired access token can revoke nothing, so such a grant is refreshed once more, for this alone.
        """
        if self._conditions.reason(replaced) not in {None, "client_changed"}:
            return
        token = replaced.access_token
        if self._conditions.reason(replaced) == "client_changed":
            # Another client's pair: what still lives revokes itself, but cannot be refreshed by us.
            self._revoke(account, token, deadline)
            return
        if freshness(replaced, self._clock()) is Freshness.EXPIRED and replaced.refresh_token is not None:
            try:
                token = self._server.refresh(account, replaced.refresh_token, deadline).access_token
            except InvalidGrant:
                return
            except ServiceError as failure:
                _log.warning("replaced_grant_not_revoked", account=account, code=failure.code)
                return
        self._revoke(account, token, deadline)

    def usable(self, account: Subdomain) -> Grant:
        """Return the account's grant as stored, whatever its age.

        Raises:
            AuthorizationRequired: not connected, dead, of another client, or no key opens it.
            StoreUnavailable: Redis did not answer.
        """
        return self._conditions.require_usable(account, self._read(account))

    def _read(self, account: Subdomain) -> Grant | None:
        try:
            return self._grants.get(account)
        except KeyMissing:
            raise self._conditions.required(account, "key_missing") from None

    def _refresh_early(self, account: Subdomain, grant: Grant, deadline: Deadline) -> Grant:
        """Return a new grant if nobody else is refreshing and Zendesk plays along, else the stale one."""
        if grant.refresh_token is None or deadline.left() < REFRESH_NEEDS_SECONDS or self.unsaved.holds(account):
            return grant
        try:
            with self._turns.at_once(account, _REFRESH) as our_turn:
                if not our_turn:
                    return grant
                with self._turns.lease(account, _REFRESH, left_with=PairInHand) as our_lease:
                    if not our_lease or self.cool_down.current(account, grant.access_token) is not None:
                        return grant
                    return self._refresh(account, grant, "stale", deadline) or grant
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
        with self._turns.wait(account, _REFRESH, deadline):
            while True:
                grant = self.usable(account)
                if grant.access_token != spent.access_token:
                    return grant
                if grant.refresh_token is None:
                    raise self._conditions.required(account, "not_refreshable")
                if self.unsaved.holds(account):
                    raise _not_stored()
                with self._turns.lease(account, _REFRESH, left_with=PairInHand) as our_lease:
                    if our_lease and deadline.left() < REFRESH_NEEDS_SECONDS:
                        raise too_late()
                    # Asked with the lease in hand: whoever had it before may just have failed.
                    failure = self.cool_down.current(account, spent.access_token, kind)
                    if failure is not None:
                        raise failure
                    refreshed = self._refresh(account, spent, cause, deadline) if our_lease else None
                if refreshed is not None:
                    return refreshed
                self._turns.nap(deadline)

    def _refresh(self, account: Subdomain, spent: Grant, cause: Cause, deadline: Deadline) -> Grant | None:
        """Ask for a new pair, as the only one who may; returns it stored. None: the record changed, look again."""
        # Whoever began this may not wait for it any more, so the process does at its end; and begins none after that.
        with self.unsaved.expecting(account) as may_begin:
            if not may_begin:
                raise too_late()
            return self._refresh_expected(account, spent, cause, deadline)

    def _refresh_expected(self, account: Subdomain, spent: Grant, cause: Cause, deadline: Deadline) -> Grant | None:
        began = time.monotonic()
        read = self.usable(account)
        if read.access_token != spent.access_token:
            return read
        if read.refresh_token is None:
            raise self._conditions.required(account, "not_refreshable")
        lost = self.stored.lost_in(account, read)
        if lost is not None:
            # Zendesk would refuse what this process has spent already.
            self._store_again(lost)
            return None
        unanswered = read.refresh_begun_at is not None
        noted = read.changed(refresh_begun_at=self._clock())
        if not self._grants.update(account, read, noted):
            return None
        if time.monotonic() - began > LATEST_START_SECONDS or deadline.left() < CALL_SECONDS + WRITE_SECONDS:
            self._take_note_back(account, read, noted)
            raise too_late()
        try:
            pair = self._server.refresh(account, read.refresh_token, Deadline.after(CALL_SECONDS))
        except InvalidGrant:
            metrics.REFRESHES.labels(cause, "invalid_grant").inc()
            return self._settle_invalid_grant(account, noted, deadline, unanswered=unanswered)
        except ServiceError as failure:
            metrics.REFRESHES.labels(cause, failure.code).inc()
            self._settle_failure(account, read, noted, failure)
            raise
        # Zendesk's part ends here; a Redis that does not take the pair is counted among its own failures.
        metrics.REFRESHES.labels(cause, OK).inc()
        stored = self._store_pair(account, noted, pair)
        with contextlib.suppress(StoreUnavailable):
            # The pair is stored, whatever becomes of this.
            self._store.write(signs.healing_gone(account))
            if cause == "refused":
                # Whether the new token is of more use is yet to be seen.
                self.cool_down.begin_trial(account, stored.access_token)
            else:
                self.cool_down.clear(account)
        _log.info("refreshed", account=account, expires_at=stored.expires_at)
        return stored

    def _store_pair(self, account: Subdomain, noted: Grant, pair: TokenPair) -> Grant:
        """Return the grant once it is stored with `pair`; keeps the pair in memory if Redis does not take it.

        Raises:
            PairInHand: not yet; a thread goes on trying.
            AuthorizationRequired: somebody disconnected; the pair is revoked.
        """
        written = noted.with_pair(pair)
        try:
            return self._settle_pair(account, noted, written)
        except StoreUnavailable:
            self.unsaved.keep(account, lambda: self._settle_pair(account, noted, written))
            raise _not_stored() from None

    def _settle_pair(self, account: Subdomain, noted: Grant, written: Grant) -> Grant:
        """Store `written` on top of the record that holds the pair it came from, or give it up for what is there."""
        generation = noted.generation
        while not self._grants.update_generation(account, generation, written):
            record_id, found = self._grants.clear_fields(account)
            if found == written.generation:
                # Our own write, whose reply was lost.
                break
            try:
                current = self._grants.get(account)
            except KeyMissing:
                current = None
            if current is not None and current.access_token == written.access_token:
                # Likewise, and somebody who kept the pair has written since (sealed it anew, begun the next refresh).
                return self._conditions.require_usable(account, current)
            is_ours = record_id == written.id and (current is None or current.refresh_token == noted.refresh_token)
            if found is None or not is_ours:
                # Not here: others wait for our turn.
                self._revoke(account, written.access_token, None)
                return self.usable(account)
            # Re-sealed or declared dead meanwhile: what Zendesk gave us beats any verdict on its predecessor.
            generation = found
            written = replace(written, generation=secrets.token_hex(16))
        self.stored.remember(account, noted, written)
        return written

    def _look_at(self, pair: StoredPair) -> None:
        """Store a pair again that the store took and has lost since, as in a failover.

        Raises:
            StoreUnavailable: Redis did not answer.
            AuthorizationRequired: the account was disconnected or connected anew in this moment; the pair is revoked.
        """
        if self._grants.clear_fields(pair.account) == (pair.written.id, pair.written.generation):
            return
        try:
            current = self._grants.get(pair.account)
        except KeyMissing:
            return
        if pair.is_lost_in(current):
            self._store_again(pair)

    def _store_again(self, pair: StoredPair) -> None:
        _log.warning("stored_pair_was_lost", account=pair.account, consequence="stored again")
        # Whatever has been concluded from the spent one meanwhile, this is the pair that Zendesk honours.
        self._settle_pair(pair.account, pair.spent, replace(pair.written, generation=secrets.token_hex(16)))

    def _settle_invalid_grant(self, account: Subdomain, noted: Grant, deadline: Deadline, *, unanswered: bool) -> Grant:
        """Return the grant somebody else stored meanwhile.

        Raises:
            AuthorizationRequired: nobody did; the grant is dead now, and the reason tells a lost reply from a
                revocation.
            ZendeskTimeout: somebody may be about to, and there is no time left to see.
        """
        patience = time.monotonic() + PATIENCE_SECONDS
        while True:
            current = self.usable(account)
            if current.refresh_token != noted.refresh_token:
                return current
            # Our lease may have ended before we asked, and somebody else have begun with the same token since.
            is_lost = unanswered or current.refresh_begun_at != noted.refresh_begun_at
            if is_lost and time.monotonic() < patience:
                # The answer may be in another process's hands, which could not store it yet.
                if deadline.left() <= 0:
                    raise too_late()
                time.sleep(LEASE_POLL_SECONDS)
                continue
            reason = "refresh_outcome_unknown" if is_lost else "grant_revoked"
            if self._declare_dead(account, current, reason):
                raise self._conditions.required(account, reason)

    def _settle_failure(self, account: Subdomain, read: Grant, noted: Grant, failure: ServiceError) -> None:
        """Cool down; and where the request had no effect for certain, take the note back."""
        _log.log(
            failure.log_level,
            "refresh_failed",
            account=account,
            code=failure.code,
            upstream_status=failure.upstream_status,
        )
        if isinstance(failure, ClientMisconfigured):
            self._conditions.alert_client(account)
        if isinstance(failure, AccountGone):
            self._conditions.alert(account, signs.ACCOUNT_GONE)
            # The day's round asks for no list that would.
            signs.note_gone(self._store, account, failure)
        status = failure.upstream_status
        is_refusal = status is not None and 300 <= status < 500 and not isinstance(failure, ForeignReply)
        if isinstance(failure, NotSent | NotReached) or is_refusal:
            self._take_note_back(account, read, noted)
        try:
            self.cool_down.begin(account, failure)
        except StoreUnavailable as fault:
            # The failure itself is what the caller has to hear of.
            _log.warning("cool_down_not_stored", account=account, code=fault.code)

    def _take_note_back(self, account: Subdomain, read: Grant, noted: Grant) -> None:
        """Say in the record what it said before: whether an earlier refresh is without its answer."""
        try:
            self._grants.update(account, noted, noted.changed(refresh_begun_at=read.refresh_begun_at))
        except StoreUnavailable as fault:
            _log.warning("note_not_taken_back", account=account, code=fault.code)

    def _declare_dead(self, account: Subdomain, grant: Grant, reason: str) -> bool:
        """Write the verdict, and tell of it; False: somebody wrote meanwhile, so it is not ours to tell."""
        if not self._grants.update(account, grant, grant.changed(dead=reason)):
            return False
        # Lost on its way to us, or ended by the account's own people.
        level = logging.ERROR if reason == "refresh_outcome_unknown" else logging.WARNING
        _log.log(level, "grant_dead", account=account, reason=reason)
        self._activity.note_reauthorization(account)
        return True


def _not_stored() -> PairInHand:
    return PairInHand(
        "Zendesk gave a new access token, but the store (Redis) does not take it yet. Try again in a moment.",
        retry_after=2,
    )
