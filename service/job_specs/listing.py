"""One list for everybody who asks: a young one is served, otherwise one question goes to Zendesk.

In this process the callers of an account's integration wait for one of them; among processes a lease says who asks.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from service.grants import probes, signs
from service.grants.clients import AccountContext, Clients
from service.grants.conditions import Conditions
from service.grants.leases import Leases
from service.grants.zis_tokens import Prefetched
from service.ground import metrics
from service.ground.deadlines import Deadline
from service.ground.errors import (
    AccountGone,
    AdminRequired,
    AuthorizationRequired,
    Failure,
    ServiceError,
    StoreUnavailable,
    ZendeskTimeout,
)
from service.ground.executor import Executor
from service.ground.settings import Settings
from service.ground.single_flight import SingleFlight
from service.ground.subdomains import Subdomain
from service.job_specs import kept_lists
from service.job_specs.bundles import Bundles
from service.job_specs.kept_lists import Kept, KeptList, kept_in, microseconds
from service.store.store import LISTS_GIVE_WAY_AT, Command, Store, StoreRefused
from service.zendesk.bulkhead import Bulkhead, Busy
from service.zendesk.calls import NotReached, ReplyLate
from service.zendesk.zis_registry import list_job_specs

# Without a Retry-After a failure is remembered this long, so that a herd does not ask again at once.
FAILURE_SECONDS = 1

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """One integration's part of a list."""

    integration: str
    list: KeptList | None
    """None: there is none to show, and `error` says why."""
    error: ServiceError | None
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What a caller wants to know of one integration."""

    account: Subdomain
    integration: str
    grant_id: str
    not_before: int | None
    """Microseconds of Redis's clock: nothing asked earlier will do (`no-cache`). None: what is young will do."""
    deadline: Deadline
    prefetched: Prefetched | None = None
    """What the request has read of the token, for a question that begins at once; None: it is looked up then."""

    @classmethod
    def of(cls, context: AccountContext, integration: str, not_before: int | None = None) -> "ListRequest":
        """Return a request for the list of one of the account's integrations."""
        return cls(context.account, integration, context.grant_id, not_before, context.deadline)


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of one question: a list or a failure, and when it was asked."""

    list: KeptList | None
    failure: Failure | None
    """Everybody who shares the question is told a new error of it."""
    asked_at: int
    is_found: bool = False
    """Brought by another process."""

    def suits(self, wanted: ListRequest, floor: int) -> bool:
        """Return whether it is young enough for a caller who knows of a change sent at `floor`."""
        return self.asked_at >= max(wanted.not_before or 0, floor)


class Listing:
    """Lists the job specs of an account's integrations."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        clients: Clients,
        conditions: Conditions,
        bundles: Bundles,
        leases: Leases,
        bulkhead: Bulkhead,
        executor: Executor,
    ) -> None:
        self._settings = settings
        self._seconds = settings.list_cache_seconds
        self._store = store
        self._clients = clients
        self._conditions = conditions
        self._bundles = bundles
        self._leases = leases
        self._bulkhead = bulkhead
        self._executor = executor
        self._single_flight: SingleFlight[_Result] = SingleFlight()

    def answer(self, wanted: ListRequest, kept: Kept, now: int) -> Answer:
        """Return the list from what is `kept`, else ask; `now` in microseconds of Redis's clock.

        A failure is in the answer, not raised; a list under ten minutes old then stands in, unless the caller wants
        nothing older than the request.
        """
        if self._seconds == 0:
            return self._answer_unkept(wanted, kept, now)
        try:
            if wanted.not_before is None:
                young = kept.young(now, self._seconds)
                if young is not None:
                    return _listed(wanted, young, "hit")
                if kept.failure is not None:
                    return _stale(wanted, kept, now, kept.failure)
            result, asked = self._ask_once(wanted, kept.floor)
        except ServiceError as failure:
            return _stale(wanted, kept, now, failure)
        if result.failure is not None:
            return _stale(wanted, kept, now, result.failure.error())
        return _listed(wanted, result.list, "asked" if asked else "coalesced")

    def _answer_unkept(self, wanted: ListRequest, kept: Kept, now: int) -> Answer:
        """Return the list as Zendesk gives it now: nothing is kept, shared, stale or remembered."""
        try:
            return _listed(wanted, self._fetch(wanted, now, is_noted_ready=kept.is_noted_ready), "asked")
        except ServiceError as failure:
            return _missing(wanted, failure)

    def answers(self, wanted: list[ListRequest], kept: list[Kept], now: int) -> list[Answer]:
        """Return an answer for each integration, those that have to be asked side by side.

        They are asked under one place of the account's; where there is none, what is at hand stands in.
        """
        parts = list(zip(wanted, kept, strict=True))
        slow = [position for position, part in enumerate(parts) if not self._is_quick(*part, now)]
        asking = [partial(self.answer, *parts[position], now) for position in slow]
        answers = {}
        if asking:
            account = wanted[0].account
            try:
                with self._bulkhead.holding(account):
                    answers = dict(zip(slow, self._executor.side_by_side(account, "list", asking), strict=True))
            except Busy as failure:
                answers = {position: _stale(*parts[position], now, failure) for position in slow}
        return [answers.get(position) or self.answer(*part, now) for position, part in enumerate(parts)]

    def certain_to_ask(self, integrations: list[str]) -> list[str]:
        """Return those that Zendesk will be asked about whatever is kept: all where nothing is, otherwise none."""
        return [] if self._seconds else integrations

    def reading(self, account: Subdomain, integrations: list[str]) -> list[Command]:
        """Return the commands whose replies `kept` takes."""
        reading = kept_lists.reading if self._seconds else probes.reading_one
        return [command for name in integrations for command in reading(account, name)]

    def kept(self, replies: list[Any], grant_id: str, now: int) -> list[Kept]:
        """Return what is kept of each integration that was read; `now` in microseconds of Redis's clock."""
        pairs = zip(replies[::2], replies[1::2], strict=True)
        if not self._seconds:
            return [Kept(None, 0, None, is_noted_ready=probes.is_ready(*pair)) for pair in pairs]
        return [kept_in(fields, failure, grant_id, now) for fields, failure in pairs]

    def at_hand(self, integrations: list[str], replies: list[Any], grant_id: str, now: int) -> list[Answer]:
        """Return what is kept, up to ten minutes old, in the replies to `reading`; empty: nothing is. Asks nobody.

        What is not young is stale. `now` in microseconds of Redis's clock.
        """
        if not self._seconds:
            return []
        answers = [
            self._kept_answer(name, kept, now)
            for name, kept in zip(integrations, self.kept(replies, grant_id, now), strict=True)
        ]
        return answers if any(answer.list is not None for answer in answers) else []

    def _kept_answer(self, integration: str, kept: Kept, now: int) -> Answer:
        young = kept.young(now, self._seconds)
        if young is not None:
            metrics.LISTS["hit"].inc()
            return Answer(integration, young, None)
        held = kept.stale(now)
        # A list that is missing without a failure is not known to be so: as good as one that is too old.
        return Answer(integration, held, kept.failure, is_stale=held is not None or kept.failure is None)

    def look(self, account: Subdomain, integrations: list[str], grant_id: str) -> tuple[int, list[Kept]]:
        """Return Redis's time (microseconds) and what is kept of each integration, in one round trip.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        time, *replies = self._store.read(("TIME",), *self.reading(account, integrations))
        now = microseconds(time)
        return now, self.kept(replies, grant_id, now)

    def _is_quick(self, wanted: ListRequest, kept: Kept, now: int) -> bool:
        if self._seconds == 0 or wanted.not_before is not None:
            return False
        return kept.failure is not None or kept.young(now, self._seconds) is not None

    def _ask_once(self, wanted: ListRequest, floor: int) -> tuple[_Result, bool]:
        """Return the result of one question that everybody waiting shares, and whether this thread asked it."""
        while True:
            # Not shared with another grant's callers: its failures are not ours.
            about = (wanted.integration, wanted.grant_id)
            result, asked = self._single_flight.join(
                wanted.account, about, wanted.deadline, lambda: self._ask_among_processes(wanted)
            )
            # One that began before this request may be too old for it; then the next one is waited for, or led.
            if asked or result.suits(wanted, floor):
                return result, asked and not result.is_found

    def _ask_among_processes(self, wanted: ListRequest) -> _Result:
        while True:
            with self._lease(wanted) as our_lease:
                # Looked at with the lease in hand: whoever had it before may have brought what is wanted.
                found = self._found(wanted)
                if found is not None:
                    return found
                if our_lease:
                    return self._ask(wanted)
            self._leases.nap(wanted.deadline)

    @contextmanager
    def _lease(self, wanted: ListRequest) -> Iterator[bool]:
        """Try to be the one who asks; where Redis is too full for a lease, everybody asks."""
        with ExitStack() as stack:
            try:
                is_ours = stack.enter_context(self._leases.lease(wanted.account, f"list:{wanted.integration}"))
            except StoreRefused:
                is_ours = True
            yield is_ours

    def _found(self, wanted: ListRequest) -> _Result | None:
        """Return what another process has brought meanwhile; None: nothing that will do."""
        now, (kept,) = self.look(wanted.account, [wanted.integration], wanted.grant_id)
        if wanted.not_before is None:
            held = kept.young(now, self._seconds)
            if held is None and kept.failure is not None:
                return _Result(None, Failure.of(kept.failure), now, is_found=True)
        else:
            held = kept.list if kept.list and kept.list.asked_at >= max(wanted.not_before, kept.floor) else None
        return None if held is None else _Result(held, None, held.asked_at, is_found=True)

    def _ask(self, wanted: ListRequest) -> _Result:
        asked_at = kept_lists.instant(self._store, wanted.account, wanted.integration)
        try:
            held = self._fetch(wanted, asked_at)
        except (AuthorizationRequired, StoreUnavailable):
            # Not about this list: the connection says the first, and Redis cannot remember the second.
            raise
        except ServiceError as failure:
            if _is_own_hurry(failure, wanted.deadline):
                raise
            self._remember(wanted, failure)
            return _Result(None, Failure.of(failure), asked_at)
        with self._forgone(wanted):
            if self._has_room_for(wanted, held):
                kept_lists.keep(self._store, wanted.account, wanted.integration, wanted.grant_id, held)
        return _Result(held, None, asked_at)

    def _has_room_for(self, wanted: ListRequest, held: KeptList) -> bool:
        if not kept_lists.fits(self._store, len(self._settings.integrations_of(wanted.account)), held):
            _log.warning(
                "list_not_kept",
                account=wanted.account,
                integration=wanted.integration,
                reason="too long",
                bytes=len(held.rows),
            )
            return False
        return self._store.has_room(LISTS_GIVE_WAY_AT)

    def _remember(self, wanted: ListRequest, failure: ServiceError) -> None:
        seconds = min(self._seconds, failure.retry_after or FAILURE_SECONDS)
        with self._forgone(wanted):
            self._store.write(
                kept_lists.remembering(wanted.account, wanted.integration, wanted.grant_id, failure, seconds)
            )

    @contextmanager
    def _forgone(self, wanted: ListRequest) -> Iterator[None]:
        """Log and ignore a failed cache write."""
        try:
            yield
        except StoreUnavailable as failure:
            _log.warning("list_not_kept", account=wanted.account, integration=wanted.integration, code=failure.code)

    def _fetch(self, wanted: ListRequest, asked_at: int, *, is_noted_ready: bool = False) -> KeptList:
        """Return the list as Zendesk gives it, and note what that says of the integration, if it is new."""
        account, integration, deadline = wanted.account, wanted.integration, wanted.deadline
        had_seconds = deadline.left()
        try:
            client = self._clients.of_integration(account, integration, deadline, wanted.prefetched)
            specs = list_job_specs(client, integration)
        except (AuthorizationRequired, StoreUnavailable):
            raise
        except ServiceError as failure:
            _log.log(
                failure.log_level, "list_failed", account=wanted.account, integration=wanted.integration,
                code=failure.code, upstream_status=failure.upstream_status,
            )  # fmt: skip
            if not probes.is_hurry(failure, deadline, had_seconds):
                self._record(wanted, failure)
            raise
        if not is_noted_ready:
            self._record(wanted, None)
        return KeptList.of(specs, asked_at, self._bundles.known(account, integration, specs))

    def _record(self, wanted: ListRequest, failure: ServiceError | None) -> None:
        """Record what a list, or its failure, says of the integration; other processes may have recorded otherwise."""
        if isinstance(failure, AdminRequired | AccountGone):
            is_gone = isinstance(failure, AccountGone)
            self._conditions.alert(wanted.account, signs.ACCOUNT_GONE if is_gone else signs.ADMIN_LOST)
        with self._forgone(wanted):
            self._store.write(*probes.recording(wanted.account, wanted.integration, failure))


def _is_own_hurry(failure: ServiceError, deadline: Deadline) -> bool:
    """Return True if the caller's short deadline, not Zendesk, caused the time-out."""
    if not isinstance(failure, ZendeskTimeout):
        return False
    return not isinstance(failure, ReplyLate | NotReached) or deadline.left() < 1


def _stale(wanted: ListRequest, kept: Kept, now: int, failure: ServiceError) -> Answer:
    """Return the stale list with its error, or the error alone."""
    if wanted.not_before is None:
        held = kept.stale(now)
        if held is not None:
            metrics.LISTS["stale"].inc()
            return Answer(wanted.integration, held, failure, is_stale=True)
    return _missing(wanted, failure)


def _listed(wanted: ListRequest, held: KeptList | None, source: str) -> Answer:
    """Return a list that is as young as was wanted."""
    metrics.LISTS[source].inc()
    return Answer(wanted.integration, held, None)


def _missing(wanted: ListRequest, failure: ServiceError) -> Answer:
    metrics.LISTS["none"].inc()
    return Answer(wanted.integration, None, failure)
