"""What a re-arming that did not fit into one request has done already, so that the repeated request goes on.

Nothing at Zendesk tells a job spec that was installed again from one that was not. So one sealed string in Redis for
each account, caller and document says which were; it lives a minute longer than the caller was told to wait. It is
sealed so that whoever can write to Redis makes nobody believe that something was re-armed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

import structlog

from service.ground import records
from service.ground.errors import StoreUnavailable
from service.ground.subdomains import Subdomain
from service.job_specs.plans import Change
from service.store.events import OK
from service.store.store import Store
from service.store.vault import KeyMissing, Vault

PATIENCE_SECONDS = 60
# A caller who is told to wait longer than this begins anew.
LONGEST_LIFE_SECONDS = 300
# What `_key` returns, as a pattern; for whoever goes through everything that is sealed.
KEY_PATTERN = "zis:{*}:rearmed:*"

_log = structlog.get_logger(__name__)


class Rearmed:
    """Remembers re-armed job specs between a request and its repetition."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    def without_done(
        self, account: Subdomain, who: str, wanted: Mapping[str, Mapping[str, bool]], changes: tuple[Change, ...]
    ) -> tuple[Change, ...]:
        """Return the plan without what this caller has re-armed by this very document a moment ago.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        key = _key(account, who, wanted)
        sealed = self._store.read(("GET", key))[0]
        try:
            done = set() if sealed is None else {*self._vault.parsed(key, sealed, _names)}
        except KeyMissing:
            done = set()
        return tuple(
            replace(one, change="none", detail="Re-armed a moment ago, by the request that this one repeats.")
            if one.change == "rearm" and (one.integration, one.name) in done
            else one
            for one in changes
        )

    def note(
        self,
        account: Subdomain,
        who: str,
        wanted: Mapping[str, Mapping[str, bool]],
        changes: tuple[Change, ...],
        retry_after: int | None,
    ) -> None:
        """Remember what is done of a plan until it is repeated; `retry_after` None: nothing is left, so forget it.

        A store that does not take it is logged: the repetition then begins anew.
        """
        key = _key(account, who, wanted)
        done = [
            (one.integration, one.name) for one in changes if one.wanted and (one.change == "none" or one.result == OK)
        ]
        try:
            if retry_after is None:
                self._store.write(("DEL", key))
            else:
                sealed = self._vault.seal(key, records.write({"done": done}))
                self._store.write(("SET", key, sealed, "EX", min(retry_after + PATIENCE_SECONDS, LONGEST_LIFE_SECONDS)))
        except StoreUnavailable as failure:
            _log.warning("rearmed_not_kept", account=account, code=failure.code)


def _key(account: Subdomain, who: str, wanted: Mapping[str, Mapping[str, bool]]) -> str:
    seed = json.dumps([who, wanted], sort_keys=True)
    return f"zis:{{{account}}}:rearmed:{hashlib.sha256(seed.encode()).hexdigest()[:32]}"


def _names(plaintext: bytes) -> list[tuple[str, str]]:
    """Return (integration, name) of what was done.

    Raises:
        Unreadable: the record does not say.
    """
    done = records.read(plaintext).get("done")
    if not isinstance(done, list):
        raise records.Unreadable
    return [(one[0], one[1]) for one in done]
