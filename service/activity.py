"""Who did what to an account, and when: a line in the log, and an entry for the account's people.

One Redis list an account, which survives a disconnect, the newest entry at its head. An item is the entry's instant in
clear (Unix seconds), a colon, and the entry, sealed. A list, because its order is the one in which Redis took the
entries, whatever clocks say; the instant in clear, so that what is too old can be dropped where it lies.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import structlog

from service import metrics, records
from service.errors import InternalError, ServiceError, StoreUnavailable, error_class
from service.store import Command, Store
from service.subdomains import Subdomain
from service.timestamps import parse_timestamp, timestamp
from service.vault import KeyMissing, Vault

MOST_ENTRIES = 500
LIFE_SECONDS = 90 * 86_400
OK = "ok"

Action = Literal["connected", "disconnected", "installed", "uninstalled", "reauthorization_required"]

# One script, so that the list is never longer than it may be, and never without a life.
_PUSH = """
for position = 4, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[position]) end
redis.call('LTRIM', KEYS[1], 0, ARGV[1] - 1)
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


class Activity:
    """Keeps the last 500 entries of an account, none for longer than 90 days.

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

    def latest(self, account: Subdomain, limit: int = MOST_ENTRIES) -> list[dict[str, Any]]:
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
        """Write entries in one round trip; where Redis does not take them, or has better use for its room, say so."""
        for deed in deeds:
            metrics.CHANGES.labels(deed.action, deed.result).inc()
        if not deeds:
            return
        at = int(self._clock())
        items = [f"{at}:{self._sealed(account, at, author, deed)}" for deed in deeds[-MOST_ENTRIES:]]
        try:
            if self._store.has_room():
                arguments: list[object] = [MOST_ENTRIES, at - LIFE_SECONDS, LIFE_SECONDS, *items]
                self._store.run(_PUSH, [activity_key(account)], arguments)
            else:
                _log.warning("activity_not_kept", account=account, entries=len(deeds), reason="store nearly full")
        except StoreUnavailable as failure:
            # What was done is done, and its answer does not depend on this.
            _log.warning("activity_not_kept", account=account, entries=len(deeds), code=failure.code)

    def _sealed(self, account: Subdomain, at: int, author: Author, deed: Deed) -> str:
        entry = {
            "at": timestamp(at),
            "action": deed.action,
            "actor": author.to_json(),
            "integration": deed.integration,
            "job_spec": deed.job_spec,
            "result": deed.result,
            "installation_id": author.installation_id,
            "request_id": self._request_id(),
        }
        return self._vault.seal(activity_key(account), records.write(entry))


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
    return known
