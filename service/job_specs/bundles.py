"""Which installed job specs an older bundle left behind: those that no bundle of the integration holds any more.

Zendesk's bundles are asked rarely, beside the lists, and never for one: what is not known yet is null in a list. In
Redis for ten minutes, for all processes; in a process's memory, so that a list costs nothing for it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from service.grants.clients import Clients
from service.ground import records
from service.ground.deadlines import Deadline
from service.ground.errors import ServiceError, StoreUnavailable
from service.ground.executor import Executor
from service.ground.subdomains import Subdomain
from service.job_specs import kept_lists
from service.job_specs.kept_lists import LeftOver
from service.store.store import LISTS_GIVE_WAY_AT, Store
from service.zendesk.zis_registry import JobSpec, bundled_job_specs

# How long an answer serves all processes.
KEPT_SECONDS = 600
# A process looks again after this, and earlier at nothing, whatever lists show.
LOOK_SECONDS = 60.0
# A page that was just opened is not what this is for, and its account has other things to answer.
FIRST_LOOK_SECONDS = 3.0
ASK_SECONDS = 20.0
# Beyond these nothing is kept, and nothing told: no account may fill memory with its names.
MOST_NAMES = 5000
MOST_REMEMBERED = 1024

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InBundles:
    """What Zendesk's bundles said of an integration's job specs, and of which ones."""

    held: frozenset[str] | None
    """Names that a bundle holds. None: it could not be told."""
    absent: frozenset[str] = frozenset()
    """Names that were listed then and that no bundle held."""

    @classmethod
    def of(cls, held: frozenset[str] | None, listed: frozenset[str]) -> "InBundles":
        """Return what an answer says of what is listed; one that knows none of it is not about these job specs."""
        if held is None or len(held | listed) > MOST_NAMES or (listed and not held & listed):
            return cls(None)
        return cls(held, listed - held)

    def left_over(self, name: str, *, installed: bool) -> bool | None:
        """Return whether a job spec is left over; None: it came into the list after the bundles were asked."""
        if self.held is None:
            return None
        if not installed or name in self.held:
            return False
        return True if name in self.absent else None

    def of_spec(self, spec: JobSpec) -> bool | None:
        """Return whether this job spec is left over, as `left_over` does."""
        return self.left_over(spec.name, installed=spec.installed)

    def of_all(self, specs: Iterable[JobSpec]) -> list[bool | None]:
        """Return what is known of each job spec."""
        return [self.of_spec(spec) for spec in specs]


_UNKNOWN = InBundles(None)


@dataclass(slots=True)
class _Remembered:
    known: InBundles
    first_seen_at: float
    looked_at: float = float("-inf")
    """Monotonic seconds."""


class Bundles:
    """Knows what is left over, and asks beside the lists. `is_asking` False: lists ask nothing."""

    def __init__(self, store: Store, clients: Clients, executor: Executor) -> None:
        self._store = store
        self._clients = clients
        self._executor = executor
        self._remembered: dict[tuple[Subdomain, str], _Remembered] = {}
        self.is_asking = True

    def known(self, account: Subdomain, integration: str, specs: tuple[JobSpec, ...]) -> LeftOver | None:
        """Return what is known by now of a list just fetched, None: nothing; may begin to ask beside it."""
        now = time.monotonic()
        remembered = self._of(account, integration, now)
        if self._is_due(remembered, now):
            remembered.looked_at = now
            begun = self._executor.begin(
                account, f"bundles-{integration}", lambda: self._look(account, integration, specs, remembered)
            )
            if begun is None:
                remembered.looked_at = float("-inf")
        return None if remembered.known.held is None else remembered.known.of_spec

    def ask(self, account: Subdomain, integration: str, listed: Iterable[str], deadline: Deadline) -> InBundles:
        """Return what Zendesk's bundles say now of what is `listed`, for whoever can wait.

        Where they cannot be asked, nothing is known.
        """
        known = self._asked(account, integration, frozenset(listed), deadline)
        remembered = self._of(account, integration, time.monotonic())
        remembered.known, remembered.looked_at = known, time.monotonic()
        return known

    def _is_due(self, remembered: _Remembered, now: float) -> bool:
        if not self.is_asking or now - remembered.first_seen_at < FIRST_LOOK_SECONDS:
            return False
        return now - remembered.looked_at >= LOOK_SECONDS

    def _of(self, account: Subdomain, integration: str, now: float) -> _Remembered:
        about = (account, integration)
        remembered = self._remembered.get(about)
        if remembered is None:
            remembered = self._remembered[about] = _Remembered(_UNKNOWN, now)
            for forgotten in list(self._remembered)[:-MOST_REMEMBERED]:
                self._remembered.pop(forgotten, None)
        return remembered

    def _look(self, account: Subdomain, integration: str, specs: tuple[JobSpec, ...], remembered: _Remembered) -> None:
        """Learn what is left over, from Redis or Zendesk; where that changes a list, let the next one be asked anew."""
        before = remembered.known.of_all(specs)
        try:
            found = self._store.read(("GET", _key(account, integration)))[0]
            known = _UNKNOWN if found is None else _read(found)
            # One that knows nothing was asked lately, too.
            is_enough = found is not None and (known.held is None or None not in known.of_all(specs))
            if not is_enough:
                known = self._asked(account, integration, _names(specs), Deadline.after(ASK_SECONDS))
            remembered.known = known
            if known.of_all(specs) != before:
                kept_lists.mark_changed(self._store, account, integration)
        except StoreUnavailable as failure:
            _log.warning("bundles_not_kept", account=account, integration=integration, code=failure.code)

    def _asked(self, account: Subdomain, integration: str, listed: frozenset[str], deadline: Deadline) -> InBundles:
        held = None
        try:
            # Zendesk may refuse bundles to every token of ours: that says nothing of the token.
            client = self._clients.of_integration_unrenewed(account, integration, deadline)
            held = bundled_job_specs(client, integration)
        except ServiceError as failure:
            _log.info("bundles_not_read", account=account, integration=integration, code=failure.code)
        known = InBundles.of(held, listed)
        try:
            if self._store.has_room(LISTS_GIVE_WAY_AT):
                self._store.write(("SET", _key(account, integration), _written(known), "EX", KEPT_SECONDS))
        except StoreUnavailable as failure:
            _log.warning("bundles_not_kept", account=account, integration=integration, code=failure.code)
        return known


def _key(account: Subdomain, integration: str) -> str:
    return f"zis:{{{account}}}:bundles:{integration}"


def _written(known: InBundles) -> bytes:
    held = None if known.held is None else sorted(known.held)
    return records.write({"held": held, "absent": sorted(known.absent)})


def _read(stored: bytes) -> InBundles:
    try:
        members = records.read(stored)
    except records.Unreadable:
        return _UNKNOWN
    held, absent = members.get("held"), members.get("absent")
    if not isinstance(held, list) or not isinstance(absent, list):
        return _UNKNOWN
    return InBundles(frozenset(map(str, held)), frozenset(map(str, absent)))


def _names(specs: Iterable[JobSpec]) -> frozenset[str]:
    return frozenset(spec.name for spec in specs)
