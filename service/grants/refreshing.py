"""One refresh: note, ask, store, settle. Whoever calls is the only one who may.

A refresh at Zendesk deletes the old pair at once, a refresh token works once, and a lost reply is a lost grant. So: a
note in the record before asking, the new pair stored before anybody uses it, and no verdict on a grant from a failure
that may pass.
"""

import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import structlog

from service.grants import signs
from service.grants.conditions import Conditions
from service.grants.cool_down import CoolDown
from service.grants.granted import Grant
from service.grants.grants import Grants
from service.grants.leases import LEASE_POLL_SECONDS, LEASE_SECONDS, too_late
from service.grants.pending_pairs import RETRY_SECONDS, PairInHand, PendingPairs
from service.grants.refresh_rules import Meanwhile, had_no_effect, may_have_lost_an_answer, meanwhile
from service.grants.revocation import Revocation
from service.grants.stored_pairs import StoredPair, StoredPairs
from service.ground import metrics
from service.ground.deadlines import Deadline
from service.ground.errors import AccountGone, ClientMisconfigured, ServiceError, StoreUnavailable
from service.ground.subdomains import Subdomain
from service.store.activity import Activity
from service.store.events import OK
from service.store.store import Store
from service.store.vault import KeyMissing
from service.zendesk.authorization_server import AuthorizationServer, InvalidGrant, TokenPair
from service.zendesk.calls import CALL_SECONDS

# For storing what a refresh brought.
WRITE_SECONDS = 2.0
# Between getting the lease and asking; more, and the process was asleep and the lease may end while Zendesk answers.
LATEST_START_SECONDS = LEASE_SECONDS - CALL_SECONDS - WRITE_SECONDS
# Four tries of a process that has the answer to an earlier refresh in hand, and Redis only just back.
PATIENCE_SECONDS = 4 * RETRY_SECONDS

Cause = Literal["stale", "expired", "refused", "upkeep"]
"""Why a pair is refreshed: early, too late, because Zendesk refused its access token, or so that it does not age."""

_log = structlog.get_logger(__name__)


class Refreshing:
    """Asks Zendesk for new pairs, and stores them."""

    def __init__(
        self,
        *,
        store: Store,
        grants: Grants,
        server: AuthorizationServer,
        conditions: Conditions,
        revocation: Revocation,
        pending_pairs: PendingPairs,
        activity: Activity,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._grants = grants
        self._server = server
        self._conditions = conditions
        self._revocation = revocation
        self._activity = activity
        self._clock = clock
        self.cool_down = CoolDown(store)
        self.pending_pairs = pending_pairs
        self.stored = StoredPairs(self._look_at)

    def refresh(self, account: Subdomain, spent: Grant, cause: Cause, deadline: Deadline) -> Grant | None:
        """Ask for a new pair, as the only one who may; returns it stored. None: the record changed, look again.

        Raises:
            AuthorizationRequired: the grant is dead or gone.
            ServiceError: there is no new pair, or it is not stored yet; the grant is kept.
        """
        # Whoever began this may not wait for it any more, so the process does at its end; and begins none after that.
        with self.pending_pairs.expecting(account) as may_begin:
            if not may_begin:
                raise too_late()
            return self._refresh_expected(account, spent, cause, deadline)

    def _refresh_expected(self, account: Subdomain, spent: Grant, cause: Cause, deadline: Deadline) -> Grant | None:
        began = time.monotonic()
        read = self._conditions.usable(account)
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
            self.pending_pairs.keep(account, lambda: self._settle_pair(account, noted, written))
            raise not_stored() from None

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
            match meanwhile(noted, written, record_id, current):
                case Meanwhile.KEPT:
                    return self._conditions.require_usable(account, current)
                case Meanwhile.REWRITTEN if found is not None:
                    generation = found
                    written = replace(written, generation=secrets.token_hex(16))
                case _:
                    # Not here: others wait for our turn.
                    self._revocation.drop_later(account, written.access_token)
                    return self._conditions.usable(account)
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
            current = self._conditions.usable(account)
            if current.refresh_token != noted.refresh_token:
                return current
            is_lost = may_have_lost_an_answer(current, noted, unanswered=unanswered)
            if is_lost and time.monotonic() < patience:
                # The answer may be in another process's hands, which could not store it yet.
                if deadline.left() <= 0:
                    raise too_late()
                time.sleep(LEASE_POLL_SECONDS)
                continue
            reason = "refresh_outcome_unknown" if is_lost else "grant_revoked"
            if self.declare_dead(account, current, reason):
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
        if had_no_effect(failure):
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

    def declare_dead(self, account: Subdomain, grant: Grant, reason: str) -> bool:
        """Write the verdict, and tell of it; False: somebody wrote meanwhile, so it is not ours to tell."""
        if not self._grants.update(account, grant, grant.changed(dead=reason)):
            return False
        # Lost on its way to us, or ended by the account's own people.
        level = logging.ERROR if reason == "refresh_outcome_unknown" else logging.WARNING
        _log.log(level, "grant_dead", account=account, reason=reason)
        self._activity.note_reauthorization(account)
        return True


def not_stored() -> PairInHand:
    """Return what it means that this process has a pair in hand."""
    return PairInHand(
        "Zendesk gave a new access token, but the store (Redis) does not take it yet. Try again in a moment.",
        retry_after=2,
    )
