"""Who did what to an account, and when: a line in the log, and an entry for the account's people.

One Redis list an account, which survives a disconnect, the newest entry at its head. An item is the entry's instant in
clear (Unix seconds), a colon, and the entry, sealed. A list, because its order is the one in which Redis took the
entries, whatever clocks say; the instant in clear, so that what is too old can be dropped where it lies. Behind the
instant of a connection stands `.c`: connections have room of their own, so that changes do not push them out, nor they
changes. Number and bytes of both are limited, and the oldest go first.

The same change by the same person again, with nothing in between, is counted in its entry and is no other. So are
the same changes to several job specs of an integration, each soon after the other: such a bulk's entry has their names.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from service.ground import metrics, records
from service.ground.errors import StoreUnavailable, error_class
from service.ground.subdomains import Subdomain
from service.ground.timestamps import parse_timestamp, timestamp
from service.store.events import NOBODY, OK, SAME, Action, Author, Entry, Event, entry_in, folded, identity, outcome
from service.store.store import ACTIVITY_GIVES_WAY_AT, Command, Store
from service.store.vault import KeyMissing, Vault

# Changes, and beside them connections, disconnections and ends of grants.
MOST_ENTRIES = 500
MOST_CONNECTIONS = 100
# So that no account fills Redis for all others: of 25 MB, which small plans have, half a megabyte. As many entries as
# above fit into that, unless they are bulks of many names.
ACCOUNT_BYTES = 1024 * 1024
ACCOUNT_SHARE = 0.02
# What connections have of that for themselves.
CONNECTIONS_SHARE = 0.25
# After this a repetition is an entry of its own, so that the time of the first is not lost.
RUN_SECONDS = 3600
# A bulk's next change comes within this: its caller may have been told to wait for the next minute's limit.
BULK_SECONDS = 90
# How often a merge is tried while others write the newest entry; then this one is written by itself.
MERGE_TRIES = 5
LIFE_SECONDS = 90 * 86_400

# One script, so that the list is never longer than it may be, and never without an expiry.
_PUSH = """
local first = 9
if ARGV[7] ~= '' then
  if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[7] then return 0 end
  redis.call('LSET', KEYS[1], 0, ARGV[8])
  first = 10
end
for position = first, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[position]) end
local changes = {items = tonumber(ARGV[1]), bytes = tonumber(ARGV[2])}
local connections = {items = tonumber(ARGV[3]), bytes = tonumber(ARGV[4])}
local is_any_over = false
for place, item in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local room = string.find(item, '^%d+%.c:') and connections or changes
  room.items = room.items - 1
  room.bytes = room.bytes - #item
  if room.items < 0 or room.bytes < 0 then
    redis.call('LSET', KEYS[1], place - 1, '')
    is_any_over = true
  end
end
if is_any_over then redis.call('LREM', KEYS[1], 0, '') end
local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest and tonumber(string.match(oldest, '^%d+') or 0) < tonumber(ARGV[5]) do
  redis.call('RPOP', KEYS[1])
  oldest = redis.call('LINDEX', KEYS[1], -1)
end
redis.call('EXPIRE', KEYS[1], ARGV[6])
return 1
"""

# New entries move the others meanwhile, so an item is found by its value and not by its place.
_RESEAL = """
local place = redis.call('LPOS', KEYS[1], ARGV[1])
if not place then return 0 end
redis.call('LSET', KEYS[1], place, ARGV[2])
return 1
"""

_CONNECTIONS = frozenset({"connected", "disconnected", "reauthorization_required"})

# The log's names for actions that failed, so that nobody takes `installed` at warning for an installation.
_FAILED: dict[Action, str] = {
    "connected": "connect_failed",
    "disconnected": "disconnect_failed",
    "installed": "install_failed",
    "uninstalled": "uninstall_failed",
    "rearmed": "rearm_failed",
}

_log = structlog.get_logger(__name__)


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
    room = [ACCOUNT_BYTES, MOST_CONNECTIONS, ACCOUNT_BYTES, LIFE_SECONDS, LIFE_SECONDS]
    # The first is too old, and leaves the list by its other end.
    store.run(_PUSH, [key], [2, *room, "", "", "0:old", newest])
    # One takes the newest's place, and is then one too many.
    store.run(_PUSH, [key], [1, *room, newest, merged, merged, next_one])
    resealed = store.run(_RESEAL, [key], [next_one, anew])
    kept = store.read(("LRANGE", key, 0, -1))[0]
    deleted = store.write(("DEL", key))[0]
    return bool((resealed, kept, deleted) == (1, [anew.encode()], 1))


class Activity:
    """Keeps the last 500 changes and 100 connections of an account, none for longer than 90 days.

    They take 2 % of Redis's memory at most, and 1 MiB: fewer are kept where they are longer.

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
        """Record the outcome of the block; what it puts into the dict goes to the log alone."""
        told: dict[str, object] = {}
        with outcome(lambda result: self.note(account, author, Event(action, integration, job_spec, result), **told)):
            yield told

    def note(self, account: Subdomain, author: Author, *events: Event, **told: object) -> None:
        """Log what was done, and keep it; the last event is the newest. A failure of the store is only logged."""
        events = tuple(event.shortened() for event in events)
        by = "operator" if author.is_operator else author.name if author.id is None else author.id
        for event in events:
            about = {"integration": event.integration, "job_spec": event.job_spec} if event.job_spec else {}
            is_done = event.result == OK
            level = logging.INFO if is_done else error_class(event.result).log_level
            said = event.action if is_done else _FAILED.get(event.action, event.action)
            _log.log(level, said, account=account, by=by, **about, result=event.result, **told)
        self._keep(account, author, events)

    def note_reauthorization(self, account: Subdomain) -> None:
        """Keep that the account has to be connected again, which nobody did; whoever found out logs why."""
        self._keep(account, NOBODY, (Event("reauthorization_required"),))

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
                entry = self._vault.parsed(activity_key(account), item.partition(b":")[2], entry_in)
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

    def _keep(self, account: Subdomain, author: Author, events: tuple[Event, ...]) -> None:
        """Write entries by one script; where Redis does not take them, or has better use for its room, say so."""
        for event in events:
            metrics.CHANGES.labels(event.action, event.result).inc()
        if not events:
            return
        at = int(self._clock())
        entries = folded(events)[-MOST_ENTRIES:]
        try:
            if self._store.has_room(ACTIVITY_GIVES_WAY_AT):
                self._push(account, at, author, entries)
            else:
                _log.warning("activity_not_kept", account=account, entries=len(events), reason="store nearly full")
        except StoreUnavailable as failure:
            # What was done is done, and its answer does not depend on this.
            _log.warning("activity_not_kept", account=account, entries=len(events), code=failure.code)

    def _push(self, account: Subdomain, at: int, author: Author, entries: list[Entry]) -> None:
        """Write entries; the first takes the place of the newest one there, if it goes on with that.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        items = [self._item(account, at, author, entry) for entry in entries]
        room = min(ACCOUNT_BYTES, self._store.part_of_memory(ACCOUNT_SHARE))
        of_connections = int(CONNECTIONS_SHARE * room)
        limits: list[object] = [MOST_ENTRIES, int(room) - of_connections, MOST_CONNECTIONS, of_connections]
        limits += [at - LIFE_SECONDS, LIFE_SECONDS]
        for _ in range(MERGE_TRIES):
            head, merged = self._merged(account, at, author, entries[0])
            replacement = b"" if merged is None else self._item(account, at, author, merged)
            if self._store.run(_PUSH, [activity_key(account)], [*limits, head, replacement, *items]):
                return
        self._store.run(_PUSH, [activity_key(account)], [*limits, b"", b"", *items])

    def _merged(self, account: Subdomain, at: int, author: Author, entry: Entry) -> tuple[bytes, Entry | None]:
        """Return the newest item and what takes its place, if `entry` goes on with it; (b"", None): it does not.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        head = self._head(account)
        if head is None or not author.is_known:
            return b"", None
        try:
            before = self._vault.parsed(activity_key(account), head.partition(b":")[2], entry_in)
        except KeyMissing:
            return b"", None
        kind = (identity(author.to_json()), *(getattr(entry.event, name) for name in SAME))
        if (identity(before["actor"]), *(before[name] for name in SAME)) != kind:
            return b"", None
        names = tuple(before["items"] or ([] if before["job_spec"] is None else [before["job_spec"]]))
        age = at - (parse_timestamp(before["at"]) or 0)
        if age > (RUN_SECONDS if names == entry.names else BULK_SECONDS):
            return b"", None
        merged = entry.with_more(before["count"], names)
        return (b"", None) if merged is None else (head, merged)

    def _item(self, account: Subdomain, at: int, author: Author, entry: Entry) -> str:
        mark = ".c" if entry.event.action in _CONNECTIONS else ""
        return f"{at}{mark}:{self._sealed(account, at, author, entry)}"

    def _sealed(self, account: Subdomain, at: int, author: Author, entry: Entry) -> str:
        members = {
            "at": timestamp(at),
            "actor": author.to_json(),
            "installation_id": author.installation_id,
            "request_id": self._request_id(),
            **entry.to_members(),
        }
        return self._vault.seal(activity_key(account), records.write(members))
