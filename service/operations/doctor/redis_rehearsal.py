"""Whether Redis lets the service do its work: its own scripts and commands, on keys of an account that nobody has."""

import re
import secrets
from collections.abc import Callable
from contextlib import suppress

from service.grants import grants, probes
from service.grants.cool_down import CoolDown
from service.grants.leases import LEASE_SECONDS
from service.ground.errors import ZendeskUnavailable
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.job_specs import kept_lists
from service.operations import sealed_records
from service.operations.doctor.findings import Finding
from service.people import claims, machine_tokens
from service.store import activity, lookers
from service.store.redis_faults import RIGHTS, Cause, cause_of, words_of
from service.store.store import Store, StoreRefused
from service.web.rate_limits import RateLimits

# More refused commands than these are not named.
MOST_WORDS = 5
# One that is missed has one chance in four billion where there are two nodes.
SLOTS_TRIED = 32
# For a name on each server of a Cluster: of twenty servers one is missed once in 10^21 runs.
MOST_TRIES = 1000
# Keys of rehearsals that do not expire by themselves.
_LASTING = ("grant", "activity", "lookers", "machine_tokens", "string")
# The script's digest says nothing to an operator.
_WHERE = re.compile(r" script: (\w+, )?on @user_script:\d+")
_FAILURE = ZendeskUnavailable("A rehearsal.")


def rehearsal(store: Store, settings: Settings) -> Finding:
    """Return whether everything that is sent to Redis is taken, has its effect, and comes back.

    Raises:
        StoreUnavailable: Redis stopped answering.
    """
    refusals: dict[str, Cause] = {}
    is_kept = True
    for account in _accounts(store):
        is_kept = _rehearsed(store, settings, account, refusals) and is_kept
    if refusals:
        return _refused(refusals)
    if not is_kept:
        advice = "REDIS_URL may lead to a replica or a cache that keeps nothing: correct it."
        return Finding("FAIL", "redis writing", "What was written did not come back.", advice)
    return Finding("ok", "redis writing", "It takes every command and script of the service.")


def _accounts(store: Store) -> list[Subdomain]:
    """Return accounts that nobody has, one for each server that shares the keys."""
    found: dict[object, Subdomain] = {}
    for _ in range(MOST_TRIES):
        # No subdomain has a dot.
        account = Subdomain(f"doctor.{secrets.token_hex(8)}")
        found.setdefault(store.node_of(f"{{{account}}}"), account)
        if len(found) >= store.nodes():
            break
    return list(found.values())


def _rehearsed(store: Store, settings: Settings, account: Subdomain, refusals: dict[str, Cause]) -> bool:
    """Return whether everything took effect; what was refused is put into `refusals`, by Redis's words."""
    parts: tuple[Callable[[], bool], ...] = (
        lambda: grants.rehearse(store, account),
        lambda: activity.rehearse(store, account),
        lambda: lookers.rehearse(store, account),
        lambda: claims.rehearse(store, account),
        lambda: machine_tokens.rehearse(store, account),
        lambda: sealed_records.rehearse(store, account),
        lambda: RateLimits(settings, store).rehearse(account),
        lambda: _lists(store, account),
        lambda: _conditions(store, account),
        lambda: _leases(store, account),
        lambda: _slots(store, account),
    )
    is_kept, is_refused = True, False
    for part in parts:
        try:
            is_kept = part() and is_kept
        except StoreRefused as refusal:
            is_refused = True
            fault = refusal.__cause__ or refusal
            refusals[_WHERE.sub("", words_of(fault))] = cause_of(fault)
    if is_refused:
        # Keys that do not expire are deleted, if that is allowed.
        with suppress(StoreRefused):
            store.write(("DEL", *(f"zis:{{{account}}}:doctor:{name}" for name in _LASTING)))
    return is_kept


def _refused(refusals: dict[str, Cause]) -> Finding:
    # A missing right hides nothing: what is full or read-only refuses those with every right, too.
    cause = next((cause for cause in refusals.values() if cause is not RIGHTS), RIGHTS)
    words = " ".join(list(refusals)[:MOST_WORDS])
    return Finding("FAIL", "redis writing", f"Redis refuses to write. {cause.says} {words}", cause.advice)


def _lists(store: Store, account: Subdomain) -> bool:
    """Keep a list and a failure, mark a change."""
    held = kept_lists.KeptList.of((), kept_lists.instant(store, account, "doctor"))
    kept_lists.keep(store, account, "doctor", "grant", held)
    kept_lists.mark_changed(store, account, "doctor")
    store.write(kept_lists.remembering(account, "doctor", "grant", _FAILURE, 60))
    fields, failure = store.read(*kept_lists.reading(account, "doctor"))
    names = [command[1] for command in kept_lists.reading(account, "doctor")]
    deleted = store.write(("DEL", *names))[0]
    return bool(fields[0] is not None and fields[1] is not None and failure is not None and deleted == 2)


def _conditions(store: Store, account: Subdomain) -> bool:
    """Remember and forget what is known of an integration, and a failure that is waited out."""
    store.write(*probes.recording(account, "doctor", _FAILURE))
    fields, _ = store.read(*probes.reading(account))
    (one, _) = store.read(*probes.reading_one(account, "doctor"))
    store.write(probes.forgetting(account))
    cool_down = CoolDown(store)
    cool_down.begin(account, ZendeskUnavailable("A rehearsal."))
    cool_down.note_worked(account, "the token before", "other")
    cool_down.begin_trial(account, "a token")
    cool_down.count_refusal(account, "a token", "other")
    current = cool_down.current(account, "a token", "other")
    cool_down.clear(account)
    return bool(fields) and one is not None and current is not None


def _slots(store: Store, account: Subdomain) -> bool:
    """Ask for keys in many slots: one node of a Cluster answers for its own, and says of the others where they are."""
    found = store.read(*(("EXISTS", f"zis:{{{account}.{number}}}:doctor") for number in range(SLOTS_TRIED)))
    return found == [0] * SLOTS_TRIED


def _leases(store: Store, account: Subdomain) -> bool:
    """Take a lease and give it back, as `Leases` does; ask what `/readyz` asks, and load a script."""
    owner = secrets.token_hex(8)
    lock = store.redis.lock(f"zis:{{{account}}}:lease:doctor", timeout=LEASE_SECONDS, thread_local=False)
    is_ours = store.translated(lambda: lock.acquire(blocking=False, token=owner))
    store.translated(lambda: lock.do_release(owner))
    store.ping()
    # A script that Redis knows already is not loaded again; after a restart it knows none.
    store.translated(lambda: store.redis.script_load("return 1"))
    return bool(is_ours)
