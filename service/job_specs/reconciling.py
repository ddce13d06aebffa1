"""Brings an account to its desired state: the one engine behind the commands and the API.

A plan is made of lists that are asked anew. Changes are sent one after another. Each integration is read back once,
after its changes, and what Zendesk shows then decides.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from service.grants.clients import AccountContext
from service.ground.deadlines import Deadline
from service.ground.errors import (
    AccountGone,
    AdminRequired,
    AuthorizationRequired,
    ClientMisconfigured,
    IntegrationMismatch,
    JobSpecNotFound,
    RateLimited,
    ScopeInsufficient,
    ServiceError,
    StoreUnavailable,
    ZendeskTimeout,
    ZendeskUnavailable,
)
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.job_specs import kept_lists
from service.job_specs.bundles import Bundles
from service.job_specs.changes import READ_BACK_NEEDS_SECONDS, SECOND_LOOK_SECONDS, Changes
from service.job_specs.listing import Answer, Listing, ListRequest
from service.job_specs.plans import SENT, Change, Kind, Listed, make_plan
from service.job_specs.read_back import installed_in, is_outcome_unknown
from service.store.activity import Activity
from service.store.events import OK, Action, Author, Event
from service.store.store import Store
from service.zendesk.zis_registry import SpecName

# A change is not begun with less: it could not be read back any more.
CHANGE_NEEDS_SECONDS = READ_BACK_NEEDS_SECONDS + 3.5
# Where nothing of this kind succeeds in between, the next would only fail as well.
MOST_UNREACHED = 3
# What is left over is worth this much waiting.
BUNDLES_SECONDS = 8.0

_ACTIONS: Mapping[Kind, Action] = {"install": "installed", "uninstall": "uninstalled", "rearm": "rearmed"}
# After one of these nothing else of the account can be changed.
_HOPELESS = (
    AccountGone,
    AdminRequired,
    AuthorizationRequired,
    ClientMisconfigured,
    ScopeInsufficient,
    StoreUnavailable,
)
_UNREACHED = (ZendeskUnavailable, ZendeskTimeout)
_UNSURE = "Zendesk accepted it; its list could not be read to make sure."
_NOT_THERE = "Zendesk says that there is no such job spec, and no list has shown that it is uninstalled."


class _NotThere(ZendeskUnavailable):
    """Zendesk says 404 to an uninstall: the list settles whether that is so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the caller lets changes be made."""

    deadline: Callable[[], Deadline]
    """Until when the next step has to be done."""
    admit: Callable[[Change], bool]
    """Called before each change: False ends the run here, and so does a `RateLimited`."""
    wait: Callable[[int], bool]
    """Called where Zendesk asks to wait (seconds): True: that was done, and the change is tried again."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan."""

    changes: tuple[Change, ...]
    left: int
    """Changes that were not tried."""
    failure: ServiceError | None
    """Why it ended before all were tried; None: it did not, or the caller ended it."""

    @classmethod
    def untried(cls, changes: tuple[Change, ...]) -> "Applied":
        """Return a plan of which nothing was tried."""
        return cls(changes, sum(one.change in SENT for one in changes), None)


@dataclass(frozen=True, slots=True)
class Lists:
    """What Zendesk lists, and of which integrations it could not be had; by integration."""

    rows: dict[str, list[Listed]]
    failures: dict[str, ServiceError]


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to change, and what could not be looked at."""

    changes: tuple[Change, ...]
    unseen: Mapping[str, ServiceError]
    """By integration that nobody wishes anything of: why it could not be listed."""


class Reconciler:
    """Plans and applies."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        listing: Listing,
        changes: Changes,
        bundles: Bundles,
        activity: Activity,
    ) -> None:
        self._bundles = bundles
        self._settings = settings
        self._store = store
        self._listing = listing
        self._changes = changes
        self._activity = activity

    def look_closely(self, context: AccountContext, integrations: Iterable[str]) -> Lists:
        """Return what `look` does, with what is left over as Zendesk's bundles say now; it takes two questions more.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        lists = self.look(context, integrations)
        for integration, rows in lists.rows.items():
            until = Deadline.after(min(BUNDLES_SECONDS, context.deadline.left()))
            known = self._bundles.ask(context.account, integration, (row.name for row in rows), until)
            lists.rows[integration] = [
                replace(row, left_over=known.left_over(row.name, installed=row.installed)) for row in rows
            ]
        return lists

    def look(self, context: AccountContext, integrations: Iterable[str]) -> Lists:
        """Return what Zendesk lists now.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        names = list(integrations)
        now, kept = self._listing.look(context.account, names, context.grant_id)
        lists = Lists({}, {})
        for answer in self._listing.answers([ListRequest.of(context, name, now) for name in names], kept, now):
            if answer.list is not None:
                lists.rows[answer.integration] = _rows(answer)
            else:
                lists.failures[answer.integration] = answer.error or _no_time()
        return lists

    def plan(
        self,
        context: AccountContext,
        wanted: Mapping[str, Mapping[str, bool]],
        *,
        rearm: bool,
        closely: bool = False,
    ) -> Plan:
        """Return what has to change; sends no change. `closely`: with what is left over, as of now.

        Raises:
            ServiceError: an integration that is named in `wanted` could not be listed.
        """
        look = self.look_closely if closely else self.look
        lists = look(context, self._settings.integrations_of(context.account))
        for integration in sorted(wanted):
            if integration in lists.failures:
                raise lists.failures[integration]
        return Plan(make_plan(wanted, lists.rows, rearm=rearm), lists.failures)

    def apply(
        self, account: Subdomain, grant_id: str, changes: tuple[Change, ...], author: Author, pace: Pace
    ) -> Applied:
        """Make the changes of a plan, one after another, read back, and record what became of them."""
        run = _Run(self._changes, account, grant_id, pace)
        done: list[Change] = []
        for integration in dict.fromkeys(one.integration for one in changes):
            part = [one for one in changes if one.integration == integration]
            done += self._apply_part(run, integration, part, author)
        left = sum(one.change in SENT and one.result is None for one in done)
        return Applied(tuple(done), left, run.failure)

    def _apply_part(self, run: "_Run", integration: str, part: list[Change], author: Author) -> list[Change]:
        """Return the changes of one integration with their results."""
        sent = _Sent()
        if any(one.change in SENT for one in part) and not run.is_over:
            try:
                kept_lists.mark_changed(self._store, run.account, integration)
            except StoreUnavailable as failure:
                run.end(failure)
            else:
                run.send_each(part, sent)
                self._changes.mark_again(run.account, integration)
        self._settle(run, integration, sent)
        self._record(run.account, author, sent.results.values())
        results = sent.results | sent.refused
        return [
            # What is not listed cannot be installed.
            results.get(position, replace(one, result=JobSpecNotFound.code) if one.is_missed else one)
            for position, one in enumerate(part)
        ]

    def _settle(self, run: "_Run", integration: str, sent: "_Sent") -> None:
        """Put what Zendesk shows afterwards in the place of what it acknowledged; asks once more if they disagree."""
        acknowledged = dict(sent.results)
        unsettled = [position for position, one in acknowledged.items() if not one.is_failed or position in sent.lost]
        is_last = False
        while unsettled:
            context = run.context()
            answer = self._changes.read_back(context, integration)
            installed = None if answer.list is None else frozenset(installed_in(answer))
            if installed is None and is_last:
                # What the first look has shown is what is known.
                return
            for position in unsettled:
                is_lost = position in sent.lost
                sent.results[position] = _judged(acknowledged[position], installed, is_lost=is_lost)
            is_last = is_last or installed is None
            if is_last or context.deadline.left() < SECOND_LOOK_SECONDS + READ_BACK_NEEDS_SECONDS:
                return
            is_last = True
            unsettled = [position for position in unsettled if sent.results[position].is_failed]
            if unsettled:
                time.sleep(SECOND_LOOK_SECONDS)

    def _record(self, account: Subdomain, author: Author, changes: Iterable[Change]) -> None:
        """Note what was done, equal things together, so that the activity tells of them in one entry."""
        events = [Event(_ACTIONS[one.change], one.integration, one.name, one.result) for one in changes if one.result]
        self._activity.note(account, author, *sorted(events, key=lambda event: (event.action, event.result)))


@dataclass(slots=True)
class _Sent:
    """What became of the changes of one integration, by their place among them."""

    results: dict[int, Change] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    """Their replies were lost, or did not tell: reading back decides."""
    refused: dict[int, Change] = field(default_factory=dict)
    """Not sent: they would only meet what one before has met."""


class _Run:
    """One application of a plan: what ends it, and what it has met so far."""

    def __init__(self, changes: Changes, account: Subdomain, grant_id: str, pace: Pace) -> None:
        self._changes = changes
        self.account = account
        self.pace = pace
        self._grant_id = grant_id
        self.is_over = False
        self.failure: ServiceError | None = None
        self._unreached = 0

    def context(self) -> AccountContext:
        """Return what the next step is done for."""
        return AccountContext(self.account, self._grant_id, self.pace.deadline())

    def end(self, failure: ServiceError | None) -> None:
        """Begin nothing more; `failure`: why."""
        self.is_over, self.failure = True, failure

    def send_each(self, part: list[Change], sent: _Sent) -> None:
        """Send the changes of one integration, as far as there is time and the caller lets them be made."""
        mismatch: Change | None = None
        for position, change in enumerate(part):
            if change.change not in SENT:
                continue
            if mismatch is not None:
                sent.refused[position] = replace(change, result=mismatch.result, detail=mismatch.detail)
                continue
            if self.is_over or not self._may_begin(change):
                return
            failure = self._send(change)
            if failure is None:
                sent.results[position] = replace(change, result=OK, detail=None)
                self._unreached = 0
            elif isinstance(failure, RateLimited):
                # It had no effect, and is still to be made.
                self.end(failure)
                return
            else:
                sent.results[position] = _failed(change, failure)
                if is_outcome_unknown(failure):
                    sent.lost.add(position)
                if isinstance(failure, _NotThere):
                    sent.lost.add(position)
                    self._unreached = 0
                    continue
                if isinstance(failure, IntegrationMismatch):
                    mismatch = sent.results[position]
                self._weigh(failure)

    def _may_begin(self, change: Change) -> bool:
        """Return whether there is time for the change, and the caller admits it."""
        if self.pace.deadline().left() < CHANGE_NEEDS_SECONDS:
            self.end(_no_time())
            return False
        try:
            is_admitted = self.pace.admit(change)
        except RateLimited as limited:
            self.end(limited)
            return False
        if not is_admitted:
            self.end(None)
        return is_admitted

    def _send(self, change: Change) -> ServiceError | None:
        """Send a change; returns why it failed, or why it may have; None: Zendesk accepted it."""
        name = SpecName(change.name, change.integration)
        is_install = change.change != "uninstall"
        while True:
            try:
                is_accepted = self._changes.send(self.context(), name, install=is_install)
            except RateLimited as failure:
                if not self.pace.wait(failure.retry_after or 1):
                    return failure
            except ServiceError as failure:
                return failure
            else:
                return None if is_accepted else _NotThere(_NOT_THERE, upstream_status=404)

    def _weigh(self, failure: ServiceError) -> None:
        """End the run where the next change would only fail as well."""
        self._unreached = self._unreached + 1 if isinstance(failure, _UNREACHED) else 0
        if isinstance(failure, _HOPELESS) or self._unreached >= MOST_UNREACHED:
            self.end(failure)


def _failed(change: Change, failure: ServiceError) -> Change:
    words = failure.members().get("upstream_detail")
    told = f"{failure.detail} Zendesk's words: {words}" if words else failure.detail
    return replace(change, result=failure.code, detail=told)


def _judged(change: Change, installed: frozenset[str] | None, *, is_lost: bool) -> Change:
    """Return a change that was sent as the list afterwards shows it; `installed`: the names; None: no list."""
    if installed is None:
        return change if is_lost else replace(change, detail=_UNSURE)
    is_as_wanted = (change.name in installed) is (change.change != "uninstall")
    if is_lost:
        # That a job spec is installed does not show whether it was installed again.
        return replace(change, result=OK, detail=None) if is_as_wanted and change.change != "rearm" else change
    if is_as_wanted:
        return change
    shows = "still installed" if change.change == "uninstall" else "not installed"
    return replace(
        change,
        result=ZendeskUnavailable.code,
        detail=f"Zendesk took the change, but its list shows the job spec as {shows}. Look again in a moment.",
    )


def _rows(answer: Answer) -> list[Listed]:
    rows = json.loads(b"[" + (answer.list.rows if answer.list else b"") + b"]")
    return [Listed(row["name"], row["installed"], row.get("left_over")) for row in rows]


def _no_time() -> ZendeskTimeout:
    return ZendeskTimeout("There was no time for all changes. Repeat it: the rest will follow.", retry_after=1)
