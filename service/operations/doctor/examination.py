"""The order of the checks, and the time they have."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from service.grants.access_tokens import REFRESH_NEEDS_SECONDS
from service.grants.clients import Clients
from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.errors import StoreUnavailable
from service.ground.settings import Settings
from service.operations.connected_accounts import ConnectedAccounts
from service.operations.doctor.account_checks import AccountChecks, KnownAccount
from service.operations.doctor.findings import Finding
from service.operations.doctor.key_checks import check_keys
from service.operations.doctor.redis_checks import check_redis
from service.operations.doctor.redis_reach import REACH_SECONDS, reach
from service.operations.doctor.settings_checks import check_settings, workers_in
from service.operations.doctor.zendesk_checks import check_clock
from service.operations.sealed_records import SealedRecords
from service.store.redis_faults import cause_of, words_of
from service.store.store import Store, StoreRefused
from service.store.vault import Vault

# Of 90 s in all: the rest is for starting, and for storing a pair that Redis did not take at once.
ACCOUNTS_END_SECONDS = 75.0
KEYS_SECONDS = 15.0
ACCOUNTS_AT_ONCE = 4
# An account is not begun with less, because its token may have to be refreshed first.
ACCOUNT_NEEDS_SECONDS = REFRESH_NEEDS_SECONDS + 2.0
NAP_SECONDS = 0.2


@dataclass(slots=True)
class _Report:
    """What one account's checks have found so far."""

    known: KnownAccount
    findings: list[Finding] = field(default_factory=list)
    has_begun: bool = False
    is_whole: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


def _not_told(failure: StoreUnavailable) -> Finding:
    """Return what could not be checked because Redis stopped answering, or refused to be looked through."""
    fault = failure.__cause__ or failure
    cause = cause_of(fault)
    says = f"SECRET_KEYS against what is stored, and the connected accounts, were not checked. {cause.says}"
    return Finding("warn", "redis", f"{says} {words_of(fault)}", cause.advice)


class Examination:
    """Makes every check that can be made, each for itself."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        vault: Vault,
        clients: Clients,
        records: SealedRecords,
        connected: ConnectedAccounts,
        account_checks: AccountChecks,
        *,
        environ: Mapping[str, str],
        tell: Callable[[str], None],
        is_interrupted: Callable[[], bool],
        reach_seconds: float = REACH_SECONDS,
        accounts_end_seconds: float = ACCOUNTS_END_SECONDS,
    ) -> None:
        self._settings = settings
        self._store = store
        self._vault = vault
        self._clients = clients
        self._records = records
        self._connected = connected
        self._account_checks = account_checks
        self._environ = environ
        self._tell = tell
        self._is_interrupted = is_interrupted
        self._reach_seconds = reach_seconds
        self._deadline = Deadline.after(accounts_end_seconds)

    def findings(self) -> Iterator[Finding]:
        """Yield what is found, as soon as it is."""
        yield from check_settings(self._settings, self._environ)
        reached = reach(self._store, self._reach_seconds, self._tell, self._is_interrupted)
        yield reached
        accounts: list[KnownAccount] = self._allowed([])
        if reached.status == "ok":
            try:
                yield from check_redis(self._store, self._settings, workers_in(self._environ) or 1)
                yield from self._of_keys()
                accounts = self._accounts()
            except StoreUnavailable as failure:
                yield _not_told(failure)
        yield check_clock(self._clients, [one.account for one in accounts], self._deadline)
        if reached.status == "ok":
            yield from self._of_accounts(accounts)

    def _of_keys(self) -> Iterator[Finding]:
        try:
            yield from check_keys(self._records, self._vault, self._deadline.sooner(KEYS_SECONDS))
        except StoreRefused as refusal:
            # Hosts that forbid SCAN; the accounts are found in the index of ends.
            words = words_of(refusal.__cause__ or refusal)
            says = (
                f"Redis does not let this user look through its keys. SECRET_KEYS was not checked against them. {words}"
            )
            advice = "Allow SCAN: without it `rotate-keys` does not work, and no key can be taken out of SECRET_KEYS."
            yield Finding("warn", "keys", says, advice)

    def _accounts(self) -> list[KnownAccount]:
        """Return connected accounts first, then those that may connect."""
        return self._allowed([KnownAccount(one.account, one) for one in self._connected.all()])

    def _allowed(self, connected: list[KnownAccount]) -> list[KnownAccount]:
        names = {one.account for one in connected}
        others = sorted(one for one in self._settings.zendesk_subdomains or () if one not in names)
        return [*connected, *(KnownAccount(account, None) for account in others)]

    def _of_accounts(self, accounts: list[KnownAccount]) -> Iterator[Finding]:
        if not any(one.stored for one in accounts):
            advice = f"Open {self._settings.public_url}/ and connect one, as its admin."
            yield Finding("warn", "accounts", "None is connected.", advice)
        reports = [_Report(one) for one in accounts]
        waiting = deque(reports)
        stop = threading.Event()
        threads = [
            # Daemons: a name that cannot be resolved may hold one for minutes, and must not keep the process alive.
            threading.Thread(target=self._work, args=(waiting, stop), name=f"doctor-{number}", daemon=True)
            for number in range(ACCOUNTS_AT_ONCE)
        ]
        if self._is_interrupted():
            stop.set()
        for thread in threads:
            thread.start()
        for report in reports:
            while not report.ended.wait(NAP_SECONDS):
                is_over = self._deadline.left() <= 0 or self._is_interrupted()
                if is_over or not any(thread.is_alive() for thread in threads):
                    break
            if self._is_interrupted():
                stop.set()
            yield from list(report.findings)
            if not report.is_whole:
                yield self._not_checked(report)
        # A check that has just refreshed a token still stores it.
        end = Deadline.after(ACCOUNT_NEEDS_SECONDS).sooner(max(0.0, self._deadline.left()))
        for thread in threads:
            thread.join(max(0.0, end.left()))

    def _work(self, waiting: "deque[_Report]", stop: threading.Event) -> None:
        while not stop.is_set() and self._deadline.left() >= ACCOUNT_NEEDS_SECONDS:
            try:
                report = waiting.popleft()
            except IndexError:
                return
            report.has_begun = True
            try:
                for finding in self._account_checks.check(report.known, self._deadline.sooner(REQUEST_BUDGET_SECONDS)):
                    report.findings.append(finding)
                    if stop.is_set():
                        return
                report.is_whole = True
            finally:
                report.ended.set()

    def _not_checked(self, report: _Report) -> Finding:
        reason = "something unforeseen happened"
        if self._is_interrupted():
            reason = "this was stopped"
        elif self._deadline.left() < ACCOUNT_NEEDS_SECONDS:
            reason = "no time was left"
        how_far = " to the end" if report.has_begun else ""
        account = report.known.account
        return Finding("warn", "not checked", f"It was not checked{how_far}: {reason}.", "Run doctor again.", account)
