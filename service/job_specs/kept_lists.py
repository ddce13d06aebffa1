"""Where lists are kept in Redis: the bytes to be sent, and when their first page was asked.

All instants are Redis's own (microseconds), so that machines whose clocks differ agree. After a failover Redis's clock
may be behind what is stored: a list of the future is not used, and a change of the future counts as made just now.
One hash an integration:
  asked_at  when the kept list was asked; a newer one replaces it, an older never does
  floor     when a change was last sent: a list asked before is not young any more
  grant     id of the grant it was asked with; another's is not served
  etag      of the rows
  rows      the JSON rows without brackets, ready to be joined and sent
  version   of the rows' form; a list of an earlier form is not served, one of a later form is
and a record for the last failure, which lives as long as it is remembered; it names its grant, too.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from service.ground import records
from service.ground.errors import Failure, ServiceError, ZendeskUnavailable
from service.ground.subdomains import Subdomain
from service.store.store import Command, Store
from service.zendesk.zis_registry import JobSpec

LeftOver = Callable[[JobSpec], bool | None]
"""Whether a job spec is left over; None: not known."""

# Raised when the rows get another member, which every answer has to hold from then on. The first release wrote none.
ROWS_VERSION = 2
# Served stale, with its error, up to this age.
STALE_SECONDS = 600
# So that no account fills Redis for all others: of 25 MB, which small plans have, half a megabyte. A row takes some 350
# bytes. A list that is longer is asked for anew by everybody who wants it.
LARGEST_LIST_BYTES = 1024 * 1024
ACCOUNT_BYTES = 2 * 1024 * 1024
ACCOUNT_SHARE = 0.02
# What instants are counted in: two commands of one process would often meet in a millisecond.
SECOND = 1_000_000

_STORE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local floor = math.min(now, tonumber(redis.call('HGET', KEYS[1], 'floor') or '0'))
local kept = tonumber(redis.call('HGET', KEYS[1], 'asked_at') or '0')
if kept > now then kept = 0 end
local asked_at = tonumber(ARGV[1])
if asked_at < floor or asked_at < kept or asked_at > now then return 0 end
redis.call('HSET', KEYS[1], 'asked_at', ARGV[1], 'grant', ARGV[2], 'etag', ARGV[3], 'rows', ARGV[4], 'version', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('DEL', KEYS[2])
return 1
"""

_MARK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] + 1
redis.call('HSET', KEYS[1], 'floor', string.format('%.0f', now))
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


@dataclass(frozen=True, slots=True)
class KeptList:
    """One integration's list."""

    asked_at: int
    """Microseconds of Redis's clock."""
    etag: str
    rows: bytes
    """JSON objects joined by commas, without brackets; b"" for none."""

    @classmethod
    def of(cls, specs: tuple[JobSpec, ...], asked_at: int, left_over: LeftOver | None = None) -> "KeptList":
        """Return a list as it is kept and sent; `left_over` None: of no row it is known whether it is."""
        members = [spec.to_members() for spec in specs]
        if left_over is not None:
            for one, spec in zip(members, specs, strict=True):
                one["left_over"] = left_over(spec)
        array = json.dumps(members, separators=(",", ":"), ensure_ascii=False)
        rows = array[1:-1].encode("utf-8", "replace")
        return cls(asked_at, hashlib.sha256(rows).hexdigest()[:16], rows)


@dataclass(frozen=True, slots=True)
class Kept:
    """What Redis has of an integration."""

    list: KeptList | None
    floor: int
    """Microseconds: when a change was last sent; 0: none lately."""
    failure: ServiceError | None
    """The remembered failure; None: the next question may be asked."""
    is_noted_ready: bool = False
    """A list that succeeds says nothing new of the integration. Only looked at where no list is kept."""

    def young(self, now: int, seconds: int) -> KeptList | None:
        """Return the list if it is younger than `seconds` and than the last change; None: ask."""
        held = self.list
        if held is None or held.asked_at < self.floor or now - held.asked_at >= seconds * SECOND:
            return None
        return held

    def stale(self, now: int) -> KeptList | None:
        """Return the list if it is young enough to be shown with an error."""
        held = self.list
        return held if held is not None and now - held.asked_at < STALE_SECONDS * SECOND else None


def _key(account: Subdomain, integration: str) -> str:
    return f"zis:{{{account}}}:list:{integration}"


def _failure_key(account: Subdomain, integration: str) -> str:
    return f"zis:{{{account}}}:list_failure:{integration}"


def reading(account: Subdomain, integration: str) -> tuple[Command, Command]:
    """Return the commands whose replies `kept_in` takes."""
    return (
        ("HMGET", _key(account, integration), "asked_at", "floor", "grant", "etag", "rows", "version"),
        ("GET", _failure_key(account, integration)),
    )


def kept_in(fields: list[bytes | None], failure: bytes | None, grant_id: str, now: int) -> Kept:
    """Return what is kept for the account's present grant; `now` in microseconds of Redis's clock."""
    asked_at, floor, grant, etag, rows, version = fields
    held = None
    is_ours = grant == grant_id.encode() and int(version or 1) >= ROWS_VERSION
    if asked_at is not None and etag is not None and rows is not None and is_ours:
        held = KeptList(int(asked_at), etag.decode(), rows) if int(asked_at) <= now else None
    return Kept(held, min(now, int(floor or 0)), None if failure is None else _failure_in(failure, grant_id))


def microseconds(time: tuple[int, int]) -> int:
    """Return Redis's TIME in microseconds."""
    return time[0] * SECOND + time[1]


def instant(store: Store, account: Subdomain, integration: str) -> int:
    """Return the time of the server that keeps an integration's list, in microseconds.

    Raises:
        StoreUnavailable: Redis did not answer.
    """
    return microseconds(store.read(("TIME",), near=_key(account, integration))[0])


def keep(store: Store, account: Subdomain, integration: str, grant_id: str, held: KeptList) -> None:
    """Keep a list, unless a newer one is kept or a change was sent since it was asked."""
    keys = [_key(account, integration), _failure_key(account, integration)]
    store.run(_STORE, keys, [held.asked_at, grant_id, held.etag, held.rows, STALE_SECONDS, ROWS_VERSION])


def fits(store: Store, integrations: int, held: KeptList) -> bool:
    """Return whether a list is short enough to be kept: the account's integrations share its part of the memory.

    Raises:
        StoreUnavailable: Redis did not answer.
    """
    share = min(ACCOUNT_BYTES, store.part_of_memory(ACCOUNT_SHARE)) / integrations
    return len(held.rows) <= min(LARGEST_LIST_BYTES, share)


def mark_changed(store: Store, account: Subdomain, integration: str) -> None:
    """Let no list that was asked before now count as young; to be called before a change is sent."""
    store.run(_MARK, [_key(account, integration)], [STALE_SECONDS])


def remembering(account: Subdomain, integration: str, grant_id: str, failure: ServiceError, seconds: float) -> Command:
    """Return the command that remembers a failure for `seconds`."""
    record = records.write({"grant": grant_id, **Failure.of(failure).to_record()})
    return ("SET", _failure_key(account, integration), record, "PX", max(1, int(seconds * 1000)))


def _failure_in(remembered: bytes, grant_id: str) -> ServiceError | None:
    """Return the remembered failure; None: another grant met it, or it cannot be read."""
    try:
        record = records.read(remembered)
    except records.Unreadable:
        return None
    is_ours = record.get("grant") == grant_id
    return Failure.from_record(record, ZendeskUnavailable).error() if is_ours else None
