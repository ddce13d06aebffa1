"""Install and uninstall, and what became of them.

The change is always sent, whatever the list says: installing again re-arms a job spec that a bundle upload silenced.
Afterwards Zendesk is asked what is so; only its own answer is passed on as verified.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection

import structlog

from service.grants import signs
from service.grants.clients import AccountContext, Clients
from service.ground.errors import (
    AccountGone,
    InvalidRequest,
    JobSpecNotFound,
    NotFound,
    ServiceError,
    StoreUnavailable,
    ZendeskTimeout,
    ZendeskUnavailable,
)
from service.ground.executor import Executor
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.job_specs import kept_lists
from service.job_specs.listing import Answer, Listing, ListRequest
from service.job_specs.read_back import (
    Changed,
    SentChange,
    Target,
    installed_in,
    is_outcome_unknown,
    rows_of,
    rows_of_one,
    unsettled,
)
from service.store.activity import Activity
from service.store.events import OK, Action, Author, Event, outcome
from service.store.store import Store
from service.zendesk.calls import CALLS_AT_ONCE, ReplyLate
from service.zendesk.zis_registry import SpecName, install_job_spec, parse_name, uninstall_job_spec

# If the list does not show the change yet, it is read once more after this.
SECOND_LOOK_SECONDS = 1.0
# A read-back is not begun with less: it is the time for one page.
READ_BACK_NEEDS_SECONDS = 2.5

_log = structlog.get_logger(__name__)


class Changes:
    """Installs and uninstalls job specs."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        clients: Clients,
        listing: Listing,
        activity: Activity,
        executor: Executor,
    ) -> None:
        self._settings = settings
        self._store = store
        self._clients = clients
        self._listing = listing
        self._activity = activity
        self._executor = executor

    def check_names(self, account: Subdomain, name: str, integration: str | None) -> SpecName:
        """Return the name as given, once it can be one of this account's.

        Raises:
            InvalidRequest: it is no job spec's name, or contradicts `integration`.
            NotFound: the account has no such `integration`.
            JobSpecNotFound: it is qualified with an integration that is not this account's.
        """
        spec = parse_name(name)
        ours = self._settings.integrations_of(account)
        if integration is not None and integration not in ours:
            raise NotFound(f"{account} has no integration {integration} here.")
        if spec.integration is not None:
            if spec.integration not in ours:
                raise JobSpecNotFound(f"{account} has no integration {spec.integration} here.")
            if integration not in {None, spec.integration}:
                raise InvalidRequest("The qualified name and the parameter integration name different integrations.")
            return spec
        return SpecName(spec.name, integration)

    def change(
        self, context: AccountContext, spec: SpecName, *, qualified: bool, install: bool, author: Author
    ) -> Changed:
        """Install or uninstall a job spec; `qualified`: send the name as it is, listed or not.

        What becomes of it is recorded, once it is known what to send.

        Raises:
            IntegrationRequired: several integrations hold the short name.
            JobSpecNotFound: it is not there, by the list or by Zendesk's word.
            ZendeskUnavailable: Zendesk accepted, and twice showed the opposite.
            ServiceError: Zendesk refused or failed.
        """
        target = self._as_named(context, spec) if qualified else self._resolved(context, spec)
        account, integration = context.account, target.name.integration or ""
        kept_lists.mark_changed(self._store, account, integration)
        is_repeated = install and any(row.installed for row in target.known)
        action: Action = "rearmed" if is_repeated else "installed" if install else "uninstalled"
        with self._activity.recorded(
            account, author, action, integration=integration, job_spec=target.name.name
        ) as told:
            changed = self._carried_out(context, target, install)
            told["verified"] = changed.is_verified
        return changed

    def uninstall_all(self, context: AccountContext, author: Author) -> None:
        """Uninstall every installed job spec of the account; stops at the first failure.

        Raises:
            ServiceError: a list or an uninstallation failed, or time ran out; repeated, it goes on with what is left.
        """
        names = list(self._settings.integrations_of(context.account))
        now, kept = self._listing.look(context.account, names, context.grant_id)
        requests = [ListRequest.of(context, name, now) for name in names]
        answers = self._listing.answers(requests, kept, now)
        for answer in answers:
            if answer.list is None:
                raise answer.error or unsettled()
        for answer in answers:
            installed = installed_in(answer)
            if installed:
                self._uninstall_each(context, answer.integration, installed, author)

    def _carried_out(self, context: AccountContext, target: Target, install: bool) -> Changed:
        """Send a change, and return what Zendesk shows after it."""
        integration = target.name.integration or ""
        acknowledged: bool | None = None
        lost: ServiceError | None = None
        try:
            acknowledged = self.send(context, target.name, install=install)
        except (ZendeskUnavailable, ReplyLate) as failure:
            if not is_outcome_unknown(failure):
                raise
            lost = failure
        finally:
            self.mark_again(context.account, integration)
        return self._judged(context, SentChange(target, install, acknowledged, lost))

    def _uninstall_each(
        self, context: AccountContext, integration: str, names: Collection[str], author: Author
    ) -> None:
        account = context.account
        kept_lists.mark_changed(self._store, account, integration)
        done: list[Event] = []
        doubtful: list[str] = []

        def note(name: str, result: str) -> None:
            done.append(Event("uninstalled", integration, name, result))

        def uninstall(name: str) -> None:
            if context.deadline.left() < READ_BACK_NEEDS_SECONDS:
                raise ZendeskTimeout("Not all job specs could be uninstalled in time. Repeat it: the rest will follow.")
            is_accepted: bool | None = True
            with outcome(lambda result: None if is_accepted is None else note(name, result)):
                is_accepted = self.send(context, SpecName(name, integration), install=False)
            if is_accepted is None:
                doubtful.append(name)

        left = deque(names)

        def uninstall_those_left() -> None:
            # Several threads take from it, so whether there is one is only known by taking it.
            with contextlib.suppress(IndexError):
                while True:
                    name = left.popleft()
                    try:
                        uninstall(name)
                    except ServiceError:
                        left.clear()
                        raise

        try:
            self._executor.side_by_side(account, "uninstall", [uninstall_those_left] * min(CALLS_AT_ONCE, len(names)))
            self._settle(context, integration, doubtful, note)
        finally:
            self.mark_again(account, integration)
            for name in doubtful:
                note(name, ZendeskUnavailable.code)
            self._activity.note(account, author, *done)

    def _settle(
        self, context: AccountContext, integration: str, doubtful: list[str], note: Callable[[str, str], None]
    ) -> None:
        """Note what became of the job specs that Zendesk says 404 to, and take them out of `doubtful`.

        Raises:
            ServiceError: one is listed as installed, or the list cannot be had.
        """
        installed = self._still_installed(context, integration, doubtful)
        while doubtful:
            name = doubtful.pop()
            note(name, ZendeskUnavailable.code if name in installed else OK)
        if installed:
            raise ZendeskUnavailable(
                f"Zendesk says that there is no job spec {min(installed)}, and lists it as installed. Try again later.",
                upstream_status=404,
            )

    def _still_installed(self, context: AccountContext, integration: str, names: list[str]) -> set[str]:
        """Return which of the job specs that Zendesk says 404 to are listed as installed; if any, it looks twice.

        Raises:
            ServiceError: the list cannot be had.
        """
        left = set(names)
        is_last = False
        while left:
            answer = self.read_back(context, integration)
            if answer.list is None:
                raise answer.error or unsettled()
            left.intersection_update(installed_in(answer))
            if not left or is_last or context.deadline.left() < SECOND_LOOK_SECONDS + READ_BACK_NEEDS_SECONDS:
                break
            is_last = True
            time.sleep(SECOND_LOOK_SECONDS)
        return left

    def mark_again(self, account: Subdomain, integration: str) -> None:
        """Distrust lists that were asked while the change was on its way: they may show either state."""
        try:
            kept_lists.mark_changed(self._store, account, integration)
        except StoreUnavailable as failure:
            # The change is made; a list asked meanwhile may be shown until it is no longer young.
            _log.warning("change_not_marked", account=account, integration=integration, code=failure.code)

    def send(self, context: AccountContext, name: SpecName, *, install: bool) -> bool | None:
        """Send one change. True: Zendesk accepted it; None: it says 404 to an uninstall, which the list has to settle.

        Raises:
            ReplyLost, ReplyLate: it may have taken effect.
            ServiceError: Zendesk refused or failed.
        """
        integration = name.integration or ""
        client = self._clients.of_integration(context.account, integration, context.deadline)
        try:
            if not install:
                return uninstall_job_spec(client, name) or None
            install_job_spec(client, name)
        except AccountGone as failure:
            signs.note_gone(self._store, context.account, failure)
            raise
        return True

    def _as_named(self, context: AccountContext, spec: SpecName) -> Target:
        """Return a job spec by its qualified name, which is sent as it is, listed or not."""
        integration = spec.integration or ""
        now, kept = self._listing.look(context.account, [integration], context.grant_id)
        answer = Answer(integration, kept[0].stale(now), None)
        return Target(spec, remembered=rows_of(answer, spec.name))

    def _resolved(self, context: AccountContext, spec: SpecName) -> Target:
        """Return the one job spec of a short name; the lists are asked anew before it is said not to be there."""
        account = context.account
        names = [spec.integration] if spec.integration else list(self._settings.integrations_of(account))
        for fresh in (False, True):
            now, kept = self._listing.look(account, names, context.grant_id)
            wanted = [ListRequest.of(context, name, now if fresh else None) for name in names]
            answers = self._listing.answers(wanted, kept, now)
            found = rows_of_one(answers, spec.name)
            if found:
                return Target(SpecName(spec.name, found[0].integration), found)
        raise JobSpecNotFound(f"No integration of {account} lists a job spec named {spec.name}.")

    def _judged(self, context: AccountContext, sent: SentChange) -> Changed:
        """Return what Zendesk shows after the change."""
        has_disagreed = False
        for look in range(2):
            answer = self.read_back(context, sent.target.name.integration or "")
            if answer.list is None:
                if has_disagreed:
                    break
                return sent.unlooked(answer.error)
            changed = sent.proven_by(rows_of(answer, sent.target.name.name))
            if changed is not None:
                return changed
            has_disagreed = True
            if look == 0 and context.deadline.left() > SECOND_LOOK_SECONDS + READ_BACK_NEEDS_SECONDS:
                time.sleep(SECOND_LOOK_SECONDS)
        raise sent.contradicted()

    def read_back(self, context: AccountContext, integration: str) -> Answer:
        """Return the list asked after a change, or why there is none: no time for one, or a failure."""
        if context.deadline.left() < READ_BACK_NEEDS_SECONDS:
            return Answer(integration, None, unsettled())
        try:
            now, kept = self._listing.look(context.account, [integration], context.grant_id)
        except StoreUnavailable as failure:
            return Answer(integration, None, failure)
        return self._listing.answer(ListRequest.of(context, integration, now), kept[0], now)
