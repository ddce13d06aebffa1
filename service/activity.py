"""Who did what to an account, and when: a line in the log, and an entry for the account's people.

One Redis list an account, which survives a disconnect, the newest entry at its head. An item is the entry's instant in
clear (Unix seconds), a colon, and the entry, sealed. A list, because its order is the one in which Redis took the
entries, whatever clocks say; the instant in clear, so that what is too old can be dropped where it lies. Behind the
instant of a connection stands `.c`: connections have room of their own, so that changes do not push them out, nor they
changes.

The same change by the same person again, with nothing in between, is counted in its entry and is no other.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

import structlog

from service import metrics, records
from service.errors import InternalError, ServiceError, StoreUnavailable, error_class
from service.store import ACTIVITY_GIVES_WAY_AT, Command, Store
from service.subdomains import Subdomain
from service.timestamps import parse_timestamp, timestamp
from service.vault import KeyMissing, Vault

# Changes, and beside them connections, disconnections and ends of grants.
MOST_ENTRIES = 500
MOST_CONNECTIONS = 100
# After this a repetition is an entry of its own, so that the time of the first is not lost.
RUN_SECONDS = 3600
LIFE_SECONDS = 90 * 86_400
OK = "ok"

Action = Literal["connected", "disconnected", "installed", "uninstalled", "rearmed", "reauthorization_required"]

# One script, so that the list is never longer than it may be, and never without a life.
_PUSH = """
local first = 7
if ARGV[5] ~= '' and redis.call('LINDEX', KEYS[1], 0) == ARGV[5] then
  redis.call('LSET', KEYS[1], 0, ARGV[6])
  first = 8
end
for position = first, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[position]) end
if redis.call('LLEN', KEYS[1]) > tonumber(ARGV[1]) then
  local connections, changes = 0, 0
  for place, item in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    local is_over
    if string.find(item, '^%d+%.c:') then
      connections = connections + 1
      is_over = connections > tonumber(ARGV[4])
    else
      changes = changes + 1
      is_over = changes > tonumber(ARGV[1])
    end
    if is_over then redis.call('LSET', KEYS[1], place - 1, '') end
  end
  redis.call('LREM', KEYS[1], 0, '')
end
local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest and tonumber(string.match(oldest, '^%d+') or 0) < tonumber(ARGV[2]) do
  redis.call('RPOP', KEYS[1])
  oldest = redis.call('LINDEX', KEYS[1], -1)
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""

# New entries push the others on meanwhile, so an item is found by itself and not by its place.
_RESEAL = """
local place = redis.call('LPOS', KEYS[1], ARGV[1])
if not place then return 0 end
redis.call('LSET', KEYS[1], place, ARGV[2])
return 1
"""

_CONNECTIONS = frozenset({"connected", "disconnected", "reauthorization_required"})
# What makes a change the same one, beside who made it.
_SAME = ("action", "integration", "job_spec", "result")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Author:
    """Who did something, as Zendesk knows them; None: not known."""

    id: int | None = None
    name: str | None = None
    installation_id: int | None = None
    """The installation of the Zendesk app it was done from."""
    is_operator: bool = False
    """Done by a command, so by nobody Zendesk knows."""

    def to_json(self) -> dict[str, Any] | str:
        """Return the `actor` as our API shows it."""
        return "operator" if self.is_operator else {"id": self.id, "name": self.name}


NOBODY = Author()
OPERATOR = Author(is_operator=True)


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done, or attempted."""

    action: Action
    integration: str | None = None
    job_spec: str | None = None
    """Short name."""
    result: str = OK
    """`ok`, or the code of the error it ended in."""


@contextmanager
def outcome(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell what becomes of the block: `ok`, or the code of the error it raises."""
    result = InternalError.code
    try:
        yield
        result = OK
    except ServiceError as failure:
        result = failure.code
        raise
    finally:
        tell(result)


def activity_key(account: Subdomain) -> str:
    """Return the account's key; what is stored there opens under this name only."""
    return f"zis:{{{account}}}:activity"


def rehearse(store: Store, account: Subdomain) -> bool:
    """Run every script of this module on a key of `account`, which no account has; return whether each took effect.

    Raises:
        StoreUnavailable: Redis did not answer, or refused a script.
    """
    key = f"zis:{{{account}}}:doctor:activity"
    newest, merged, next_one, anew = (f"{LIFE_SECONDS}:{name}" for name in ("newest", "merged", "next", "anew"))
    # The first is too old, and leaves the list by its other end.
    store.run(_PUSH, [key], [2, LIFE_SECONDS, LIFE_SECONDS, 2, "", "", "0:old", newest])
    # One takes the newest's place, and is then one too many.
    store.run(_PUSH, [key], [1, LIFE_SECONDS, LIFE_SECONDS, 1, newest, merged, merged, next_one])
    resealed = store.run(_RESEAL, [key], [next_one, anew])
    kept = store.read(("LRANGE", key, 0, -1))[0]
    deleted = store.write(("DEL", key))[0]
    return bool((resealed, kept, deleted) == (1, [anew.encode()], 1))


class Activity:
    """Keeps the last 500 changes and 100 connections of an account, none for longer than 90 days.

    `request_id` returns the id of the request at hand; None: there is none.
    """

    def __init__(
        self, store: Store, vault: Vault, clock: Callable[[], float], request_id: Callable[[], str | None]
    ) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._request_id = request_id

    @contextmanager
    def recorded(
        self,
        account: Subdomain,
        author: Author,
        action: Action,
        *,
        integration: str | None = None,
        job_spec: str | None = None,
    ) -> Iterator[dict[str, object]]:
        """Note what becomes of the block; what it puts into the dict is told to the log alone."""
        told: dict[str, object] = {}
        with outcome(lambda result: self.note(account, author, Deed(action, integration, job_spec, result), **told)):
            yield told

    def note(self, account: Subdomain, author: Author, *deeds: Deed, **told: object) -> None:
        """Log what was done, and keep it; the last deed is the newest. A failure of the store is logged, not raised."""
        by = "operator" if author.is_operator else author.id
        for deed in deeds:
            about = {"integration": deed.integration, "job_spec": deed.job_spec} if deed.job_spec else {}
            level = logging.INFO if deed.result == OK else error_class(deed.result).log_level
            _log.log(level, deed.action, account=account, by=by, **about, result=deed.result, **told)
        self._keep(account, author, deeds)

    def note_reauthorization(self, account: Subdomain) -> None:
        """Keep that the account has to be connected again, which nobody did; whoever found out logs why."""
        self._keep(account, NOBODY, (Deed("reauthorization_required"),))

    def reading(self, account: Subdomain, limit: int) -> Command:
        """Return the command whose reply `opened` takes; for callers that read more in the same round trip."""
        return ("LRANGE", activity_key(account), 0, limit - 1)

    def _head(self, account: Subdomain) -> bytes | None:
        item: bytes | None = self._store.read(("LINDEX", activity_key(account), 0))[0]
        return item

    def opened(self, account: Subdomain, items: list[bytes]) -> list[dict[str, Any]]:
        """Return the entries in the reply to `reading` as our API shows them, newest first.

        What no key opens, what a newer release alone can name, and what is older than 90 days is left out.
        """
        earliest = self._clock() - LIFE_SECONDS
        entries = []
        closed = 0
        for item in items:
            try:
                entry = self._vault.parsed(activity_key(account), item.partition(b":")[2], _entry)
            except KeyMissing:
                closed += 1
                continue
            if (parse_timestamp(entry["at"]) or 0) >= earliest:
                entries.append(entry)
        if closed:
            _log.warning("activity_not_opened", account=account, entries=closed)
        return entries

    def latest(self, account: Subdomain, limit: int = MOST_ENTRIES + MOST_CONNECTIONS) -> list[dict[str, Any]]:
        """Return the account's entries, newest first; by default all there are.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return self.opened(account, self._store.read(self.reading(account, limit))[0])

    def reseal(self, account: Subdomain, item: bytes) -> bool:
        """Seal an item of the list anew, in its place; False: it has left the list.

        Raises:
            KeyMissing: no key opens it.
            StoreUnavailable: Redis did not answer.
        """
        key = activity_key(account)
        at, _, sealed = item.partition(b":")
        anew = at + b":" + self._vault.seal(key, self._vault.open(key, sealed)).encode()
        return bool(self._store.run(_RESEAL, [key], [item, anew]))

    def purge(self, account: Subdomain) -> None:
        """Forget everything that was done.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        self._store.write(("DEL", activity_key(account)))

    def _keep(self, account: Subdomain, author: Author, deeds: tuple[Deed, ...]) -> None:
        """Write entries by one script; where Redis does not take them, or has better use for its room, say so."""
        for deed in deeds:
            metrics.CHANGES.labels(deed.action, deed.result).inc()
        if not deeds:
            return
        at = int(self._clock())
        runs = _runs(deeds[-MOST_ENTRIES:])
        try:
            if self._store.has_room(ACTIVITY_GIVES_WAY_AT):
                items = [self._item(account, at, author, deed, count) for deed, count in runs]
                head, before = self._repeated(account, at, author, runs[0][0])
                # In the place of what it repeats, if that is the newest one still.
                merged = self._item(account, at, author, runs[0][0], before + runs[0][1]) if head else b""
                limits: list[object] = [MOST_ENTRIES, at - LIFE_SECONDS, LIFE_SECONDS, MOST_CONNECTIONS]
                self._store.run(_PUSH, [activity_key(account)], [*limits, head, merged, *items])
            else:
                _log.warning("activity_not_kept", account=account, entries=len(deeds), reason="store nearly full")
        except StoreUnavailable as failure:
            # What was done is done, and its answer does not depend on this.
            _log.warning("activity_not_kept", account=account, entries=len(deeds), code=failure.code)

    def _repeated(self, account: Subdomain, at: int, author: Author, deed: Deed) -> tuple[bytes, int]:
        """Return the newest item and its count, if it is the same thing done by the same person; (b"", 0): it is not.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        head = self._head(account)
        if head is None or (author.id is None and not author.is_operator):
            return b"", 0
        try:
            entry = self._vault.parsed(activity_key(account), head.partition(b":")[2], _entry)
        except KeyMissing:
            return b"", 0
        who = "operator" if author.is_operator else author.id
        by = entry["actor"] if entry["actor"] == "operator" else entry["actor"]["id"]
        is_same = (by, *(entry[name] for name in _SAME)) == (who, *(getattr(deed, name) for name in _SAME))
        is_recent = at - (parse_timestamp(entry["at"]) or 0) <= RUN_SECONDS
        return (head, entry["count"]) if is_same and is_recent else (b"", 0)

    def _item(self, account: Subdomain, at: int, author: Author, deed: Deed, count: int) -> str:
        mark = ".c" if deed.action in _CONNECTIONS else ""
        return f"{at}{mark}:{self._sealed(account, at, author, deed, count)}"

    def _sealed(self, account: Subdomain, at: int, author: Author, deed: Deed, count: int) -> str:
        entry = {
            "at": timestamp(at),
            "action": deed.action,
            "actor": author.to_json(),
            "integration": deed.integration,
            "job_spec": deed.job_spec,
            "result": deed.result,
            "installation_id": author.installation_id,
            "request_id": self._request_id(),
            "count": count,
        }
        return self._vault.seal(activity_key(account), records.write(entry))


def _runs(deeds: tuple[Deed, ...]) -> list[tuple[Deed, int]]:
    """Return the deeds in their order, those that repeat the one before as one with their number."""
    return [(deed, len(list(same))) for deed, same in groupby(deeds)]


def _entry(plaintext: bytes) -> dict[str, Any]:
    """Return the entry in a record as our API shows it.

    Raises:
        Unreadable: it does not say what was done, when, or what became of it.
    """
    members = records.read(plaintext)
    if members.get("action") not in get_args(Action) or not {"at", "result"} <= members.keys():
        raise records.Unreadable
    actor = members.get("actor")
    known: dict[str, Any] = {"at": members["at"], "action": members["action"], "actor": "operator"}
    if actor != "operator":
        actor = actor if isinstance(actor, dict) else {}
        known["actor"] = {"id": actor.get("id"), "name": actor.get("name")}
    for name in ("integration", "job_spec", "result", "installation_id", "request_id"):
        known[name] = members.get(name)
    # An older release counted nothing, and none keeps names in an entry.
    count = members.get("count")
    known["count"] = count if type(count) is int and count > 0 else 1
    known["items"] = None
    return known
