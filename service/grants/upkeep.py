"""Once a day: refresh what is past half of its refresh token's life, so that a quiet account keeps its grant."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from service.grants import signs
from service.grants.access_tokens import AccessTokens
from service.grants.conditions import Conditions
from service.grants.granted import Grant
from service.grants.grants import Grants
from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.errors import InternalError, ServiceError
from service.ground.subdomains import Subdomain
from service.store.store import Store
from service.store.vault import KeyMissing

# One process of all does the day's round; the others find this key.
ROUND_SECONDS = 23 * 3600
# How often a process looks whether the day's round was done; jittered, so that they do not look together.
LOOK_SECONDS = 3600
DAY_SECONDS = 86_400
# A refresh token that ends sooner was due for weeks, and was not to be refreshed.
AHEAD_SECONDS = 14 * DAY_SECONDS

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one account in a round; `failure` None: refreshed."""

    account: Subdomain
    failure: ServiceError | None


class Upkeep:
    """Keeps quiet accounts connected."""

    def __init__(
        self,
        store: Store,
        grants: Grants,
        conditions: Conditions,
        access_tokens: AccessTokens,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._conditions = conditions
        self._grants = grants
        self._access_tokens = access_tokens
        self._clock = clock
        self._stop = threading.Event()

    def start(self) -> None:
        """Look after the accounts from a thread of this process; to be called after fork."""
        try:
            threading.Thread(target=self._run, name="upkeep", daemon=True).start()
        except RuntimeError as fault:
            # The machine gives none; another process does the day's round.
            _log.error("no_thread", name="upkeep", exc_info=fault)

    def stop(self) -> None:
        """Begin no further refresh."""
        self._stop.set()

    def refresh_ageing(self) -> Iterator[Outcome]:
        """Refresh, one after another, every account with less than half of its refresh token's life left."""
        for account in self._grants.accounts():
            if self._stop.is_set():
                return
            try:
                grant = self._ageing(account)
                outcome = None if grant is None else self._refreshed(account, grant)
            except ServiceError:
                # Redis: the others cannot be read either.
                raise
            except Exception as fault:  # noqa: BLE001 - whatever is the matter with one account, others come after it
                _log.error("upkeep_crashed", account=account, exc_info=fault)
                outcome = Outcome(account, InternalError("Something unforeseen happened. Its trace is in the log."))
            if outcome is not None:
                yield outcome

    def _refreshed(self, account: Subdomain, grant: Grant) -> Outcome:
        """Refresh, unless somebody has since: callers may just be using that pair."""
        try:
            self._access_tokens.refresh_now(account, grant, Deadline.after(REQUEST_BUDGET_SECONDS))
        except ServiceError as failure:
            return Outcome(account, failure)
        return Outcome(account, None)

    def _ageing(self, account: Subdomain) -> Grant | None:
        """Return the account's grant if it is past half of its refresh token's life; None: nothing is to be done."""
        try:
            grant = self._grants.get(account)
        except KeyMissing:
            return None
        # One that cannot be used, for whatever reason, waits for a person.
        if grant is None or grant.refresh_token_expires_at is None or self._conditions.reason(grant) is not None:
            return None
        end = grant.refresh_token_expires_at
        return grant if end - self._clock() < (end - grant.obtained_at) / 2 else None

    def look_ahead(self) -> None:
        """Have the operator told of every account that a person has to mend, now or within 14 days.

        The index by which accounts are counted is mended on the way.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        noted = self._grants.noted_ends()
        accounts = self._grants.accounts()
        for account in accounts:
            reply, sign = self._store.read(self._grants.reading(account), signs.reading(account))
            reason = None
            try:
                grant = self._grants.opened(account, reply)
            except KeyMissing:
                grant, reason = None, "key_missing"
            if grant is not None:
                reason = self._conditions.reason(grant)
            if grant is not None or reason is not None:
                self._grants.mend_end(account, grant, noted.get(account))
            state = self._conditions.state(grant, reason, signs.sign_in(sign))
            end = grant.refresh_token_expires_at if grant is not None else None
            if state.name == "reauthorization_required" and state.reason is not None:
                self._conditions.alert(account, state.reason)
            elif end is not None and end - self._clock() < AHEAD_SECONDS:
                # What could be refreshed has been.
                self._conditions.alert_ending(account, int((end - self._clock()) // DAY_SECONDS))
        self._grants.drop_ends(noted.keys() - set(accounts))

    def go_round(self) -> list[Outcome]:
        """Do the day's round, unless a process has done it; returns what became of the accounts that were due.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        if not self._store.write(("SET", "zis:upkeep", "1", "NX", "EX", ROUND_SECONDS))[0]:
            return []
        outcomes = list(self.refresh_ageing())
        for outcome in outcomes:
            failure = outcome.failure
            if failure is None:
                _log.info("upkeep_refreshed", account=outcome.account)
            else:
                _log.log(failure.log_level, "upkeep_refresh_failed", account=outcome.account, code=failure.code)
        self.look_ahead()
        return outcomes

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS * random.uniform(0.5, 1.0)):  # noqa: S311 - spreads load
            try:
                self.go_round()
            except ServiceError as failure:
                _log.warning("upkeep_round_failed", code=failure.code)
            except Exception:  # noqa: BLE001 - without this thread quiet accounts lose their grants, and nobody notices
                _log.exception("upkeep_round_crashed")
