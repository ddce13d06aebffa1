"""Who did what to an account, when: the newest 500 entries of the last 90 days, sealed, and an audit line in the log.

It survives a disconnect. An entry that cannot be written never fails what it tells of.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from flask import g, has_request_context

from service.errors import StoreUnavailable
from service.store import Store
from service.subdomains import Subdomain
from service.timestamps import timestamp
from service.vault import KeyMissing, Vault

MOST_ENTRIES = 500
LIFE_SECONDS = 90 * 86_400
OPERATOR = "operator"

_log = structlog.get_logger(__name__)

# Newest first; the whole list ends with its newest entry's life.
_ADD = """
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who acted; None: Zendesk did not say."""

    id: int | None
    name: str | None
    installation_id: int | None = None
    """Of the Zendesk app through which they acted; None: not through it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done, or tried."""

    action: str
    """`connected`, `disconnected`, `installed`, `uninstalled` or `reauthorization_required`."""
    actor: Actor | str
    """`operator` for whoever runs the service."""
    integration: str | None = None
    job_spec: str | None = None
    result: str = "ok"
    """Or the code of the error it ended in."""

    def to_json(self, now: float) -> dict[str, Any]:
        """Return it as our API shows it."""
        person = self.actor if isinstance(self.actor, Actor) else None
        return {
            "at": timestamp(now),
            "action": self.action,
            "actor": {"id": person.id, "name": person.name} if person else self.actor,
            "integration": self.integration,
            "job_spec": self.job_spec,
            "result": self.result,
            "installation_id": person.installation_id if person else None,
            "request_id": str(g.request_id) if has_request_context() and "request_id" in g else None,
        }


class Activity:
    """Keeps and shows what was done."""

    def __init__(self, store: Store, vault: Vault, clock: Callable[[], float]) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock

    def record(self, account: Subdomain, entry: Entry) -> None:
        """Keep an entry, and write its audit line; a store that does not take it is logged, not raised."""
        now = self._clock()
        body = entry.to_json(now)
        actor = body["actor"]
        _log.info(
            "audit", account=account, action=entry.action, integration=entry.integration, job_spec=entry.job_spec,
            result=entry.result, actor=actor["id"] if isinstance(actor, dict) else actor,
        )  # fmt: skip
        key = activity_key(account)
        sealed = self._vault.seal(key, json.dumps(body).encode())
        try:
            if self._store.has_room():
                self._store.run(_ADD, [key], [sealed, MOST_ENTRIES, LIFE_SECONDS])
        except StoreUnavailable as failure:
            _log.warning("activity_not_kept", account=account, code=failure.code)

    def newest(self, account: Subdomain, limit: int) -> list[dict[str, Any]]:
        """Return the newest entries of the last 90 days, newest first; those no key opens are left out.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        key = activity_key(account)
        oldest = timestamp(self._clock() - LIFE_SECONDS) or ""
        entries = []
        for sealed in self._store.read(("LRANGE", key, 0, limit - 1))[0]:
            try:
                entry = json.loads(self._vault.open(key, sealed))
            except KeyMissing:
                continue
            if entry["at"] >= oldest:
                entries.append(entry)
        return entries


def activity_key(account: Subdomain) -> str:
    """Return the account's key."""
    return f"zis:{{{account}}}:activity"
