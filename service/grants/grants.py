"""Where what an account has granted is kept.

One Redis hash an account:
  id          random, new with every authorization; survives refreshes
  generation  128 random bits, new at every write of the grant, in clear and again inside the seal
  sealed      the grant
  mints       counts writes of minted tokens
  minted:<integration>   a minted ZIS token, sealed (mint mode)
Whatever ends the grant ends its minted tokens with it.

Every script touches this hash alone, so that a Redis Cluster takes it. When each grant ends stands in an index beside
(`grant_ends`).
"""

import math
import time
from collections.abc import Callable, Iterable

from service.grants import grant_ends
from service.grants.grant_ends import AFTERLIFE_SECONDS, Census, GrantEnds
from service.grants.granted import MINTED_FIELD, Grant, Holdings, MintedToken, account_of_key, grant_key, minted_record
from service.ground.subdomains import Subdomain, parse_subdomain
from service.store.store import Command, Store, StoreRefused
from service.store.vault import KeyMissing, Vault

# Replaces generation and seal if nobody wrote since the caller read.
_UPDATE = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'sealed', ARGV[3])
if ARGV[4] == 'as it is' then return 1 end
if ARGV[4] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('EXPIREAT', KEYS[1], ARGV[4]) end
return 1
"""

# Puts a minted token that is only sealed anew in the place of what was read.
_RESEAL_MINTED = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""

# Puts a new authorization in the place of what the caller read, if neither grant nor minted tokens were written since.
_REPLACE = """
local now = redis.call('HMGET', KEYS[1], 'generation', 'mints')
if (now[1] or '') ~= ARGV[1] or (now[2] or '0') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'id', ARGV[3], 'generation', ARGV[4], 'sealed', ARGV[5], 'mints', 0)
if ARGV[6] ~= '' then redis.call('EXPIREAT', KEYS[1], ARGV[6]) end
return 1
"""

# Forgets the account if neither the grant nor a minted token was written since the caller read.
_FORGET = """
local now = redis.call('HMGET', KEYS[1], 'generation', 'mints')
if (now[1] or '') ~= ARGV[1] or (now[2] or '0') ~= ARGV[2] then return 0 end
return redis.call('DEL', KEYS[1])
"""

# Keeps a minted token if its grant is still this one and nobody minted since the caller read.
_SAVE_MINTED = """
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return -1 end
local held = redis.call('HGET', KEYS[1], ARGV[2]) or ''
if held ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
redis.call('HINCRBY', KEYS[1], 'mints', 1)
return 1
"""

_EVER_KEY = "zis:ever_connected"


class Grants:
    """Keeps grants and minted tokens, sealed, one hash an account."""

    def __init__(self, store: Store, vault: Vault, clock: Callable[[], float]) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._ends = GrantEnds(store, clock)

    def reading(self, account: Subdomain, *integrations: str) -> Command:
        """Return the command whose reply `opened` and `minted_in` take; for callers that read more in one round trip.

        `integrations`: those whose minted tokens are read, too.
        """
        return ("HMGET", grant_key(account), "generation", "sealed", *map(_minted_field, integrations))

    def opened(self, account: Subdomain, reply: list[bytes | None]) -> Grant | None:
        """Return the grant in the reply to `reading`; None: not connected.

        Raises:
            KeyMissing: no key opens it.
        """
        generation, sealed = reply[:2]
        if generation is None or sealed is None:
            return None
        grant = self._vault.opened(grant_key(account), sealed, Grant.from_bytes)
        if grant.generation.encode() != generation:
            # An older record of the same account under a newer generation: not something we wrote.
            raise KeyMissing(grant_key(account))
        return grant

    def minted_in(self, account: Subdomain, reply: list[bytes | None], *integrations: str) -> list[MintedToken | None]:
        """Return the minted tokens in the reply to `reading` of the same integrations; None: there is none."""
        fields = zip(map(_minted_field, integrations), reply[2:], strict=True)
        return [self._opened_minted(account, field_name, sealed) for field_name, sealed in fields]

    def get(self, account: Subdomain) -> Grant | None:
        """Return the account's grant; None: not connected.

        Raises:
            KeyMissing: no key opens it.
            StoreUnavailable: Redis did not answer.
        """
        return self.opened(account, self._store.read(self.reading(account))[0])

    def update(self, account: Subdomain, read: Grant, written: Grant) -> bool:
        """Replace what was read; False: somebody wrote or deleted it since.

        Raises:
            StoreUnavailable: Redis did not answer; whether it was written is not known.
        """
        if not self._replaces(account, read.generation, written, self._record_end(written)):
            return False
        if self._end(written) != self._end(read):
            self._ends.put(account, self._end(written))
        return True

    def update_generation(self, account: Subdomain, generation: str, written: Grant) -> bool:
        """Replace the record of that generation, whatever it holds; as `update`."""
        if not self._replaces(account, generation, written, self._record_end(written)):
            return False
        self._ends.put(account, self._end(written))
        return True

    def reseal(self, account: Subdomain) -> bool:
        """Seal the grant anew, which changes nothing else; False: somebody wrote or deleted it meanwhile.

        Raises:
            KeyMissing: no key opens it.
            StoreUnavailable: Redis did not answer; whether it was written is not known.
        """
        grant = self.get(account)
        if grant is None:
            return False
        written = grant.changed()
        return self._replaces(account, grant.generation, written, "as it is")

    def reseal_minted(self, account: Subdomain, field_name: str, sealed: bytes) -> bool:
        """Seal a minted token anew that was read as `sealed`; as `reseal`."""
        record = minted_record(account, field_name)
        anew = self._vault.seal(record, self._vault.open(record, sealed))
        return bool(self._store.run(_RESEAL_MINTED, [grant_key(account)], [field_name, sealed, anew]))

    def clear_fields(self, account: Subdomain) -> tuple[str | None, str | None]:
        """Return (id, generation) as they stand in clear; None: not connected."""
        values = self._store.read(("HMGET", grant_key(account), "id", "generation"))[0]
        one, other = (None if value is None else value.decode() for value in values)
        return one, other

    def holdings(self, account: Subdomain) -> Holdings:
        """Return all that is kept for the account.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        held: dict[bytes, bytes] = self._store.read(("HGETALL", grant_key(account)))[0]
        try:
            grant = self.opened(account, [held.get(b"generation"), held.get(b"sealed")])
        except KeyMissing:
            grant = None
        record_id = held.get(b"id")
        return Holdings(
            id=None if record_id is None else record_id.decode(),
            generation=held.get(b"generation", b"").decode(),
            mints=int(held.get(b"mints", 0)),
            grant=grant,
            minted=() if grant is None else tuple(self._minted_in(account, held)),
        )

    def replace(self, account: Subdomain, grant: Grant, held: Holdings) -> bool:
        """Store a new authorization in the place of what was read; False: something was written since.

        Raises:
            StoreUnavailable: Redis did not answer; whether it was written is not known.
        """
        arguments: list[object] = [held.generation, str(held.mints), grant.id, grant.generation]
        arguments += [self._seal(account, grant), self._record_end(grant)]
        if not self._store.run(_REPLACE, [grant_key(account)], arguments):
            return False
        self._ends.put_first(account, self._end(grant))
        return True

    def forget(self, account: Subdomain, held: Holdings) -> bool:
        """Delete grant and minted tokens; False: something was written since they were read (or nothing is there).

        Raises:
            StoreUnavailable: Redis did not answer; whether they were deleted is not known.
        """
        if not self._store.run(_FORGET, [grant_key(account)], [held.generation, str(held.mints)]):
            return False
        self._ends.remove(account)
        return True

    def delete(self, account: Subdomain) -> None:
        """Delete whatever is there."""
        self._store.write(("DEL", grant_key(account)))
        self._ends.remove(account)

    def with_minted(self, account: Subdomain, integration: str) -> tuple[Grant | None, MintedToken | None]:
        """Return the grant and the integration's minted token, in one round trip.

        Raises:
            KeyMissing: no key opens the grant.
        """
        reply = self._store.read(self.reading(account, integration))[0]
        (minted,) = self.minted_in(account, reply, integration)
        return self.opened(account, reply), minted

    def save_minted(
        self, account: Subdomain, grant_id: str, integration: str, held: MintedToken | None, minted: MintedToken
    ) -> bool | None:
        """Keep a minted token in the place of `held`; False: somebody else minted; None: the grant is gone.

        Raises:
            StoreUnavailable: Redis did not answer; whether it was written is not known.
        """
        field_name = _minted_field(integration)
        sealed = self._vault.seal(minted_record(account, field_name), minted.to_bytes())
        arguments: list[object] = [grant_id, field_name, held.sealed if held else b"", sealed]
        answer = int(self._store.run(_SAVE_MINTED, [grant_key(account)], arguments))
        return None if answer < 0 else bool(answer)

    def holds_minted(self, account: Subdomain, integration: str, minted: MintedToken) -> bool:
        """Return whether this very token is stored.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        field_name = _minted_field(integration)
        sealed = self._store.read(("HGET", grant_key(account), field_name))[0]
        held = self._opened_minted(account, field_name, sealed)
        return held is not None and held.access_token == minted.access_token

    def has_any(self) -> bool:
        """Return whether an account was ever connected here."""
        return bool(self._store.read(("EXISTS", _EVER_KEY))[0])

    def note_connection(self) -> None:
        """Remember that an account was connected here."""
        # No life of its own: one byte that says whether the set-up was ever finished.
        self._store.write(("SET", _EVER_KEY, "1"))

    def is_stored(self, account: Subdomain) -> bool:
        """Return whether the account has a record, of a grant that is alive or dead.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return bool(self._store.read(("EXISTS", grant_key(account)))[0])

    def accounts(self) -> list[Subdomain]:
        """Return the accounts that have a record, sorted.

        Where Redis does not let this user look through its keys (SCAN), those in the index of ends.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        try:
            keys = [key for handful in self._store.keys(grant_key(Subdomain("*"))) for key in handful]
        except StoreRefused:
            return sorted(account for account in self._ends.all() if parse_subdomain(account) is not None)
        return sorted({account_of_key(key) for key in keys})

    def census(self) -> Census:
        """Return how the accounts are; as `GrantEnds.census`."""
        return self._ends.census()

    def noted_ends(self) -> dict[Subdomain, float]:
        """Return the index of ends; for `mend_end` and `drop_ends`, to be read before the records are.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return self._ends.all()

    def mend_end(self, account: Subdomain, grant: Grant | None, noted: float | None) -> None:
        """Correct what the index says of an account whose record was read: a write of the index may have been lost.

        `grant` None: no key opens it. `noted` None: the index lacks the account.
        """
        now = self._clock()
        end = self._end(grant) if grant is not None and grant.dead is None else min(noted or now, now)
        if noted is None:
            self._ends.put_if_absent(account, end)
        elif end != noted and grant is not None:
            self._ends.put(account, end)

    def drop_ends(self, accounts: Iterable[Subdomain]) -> None:
        """Drop those of the accounts from the index that have no record now.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        for account in accounts:
            if not self.is_stored(account):
                self._ends.remove(account)

    def _replaces(self, account: Subdomain, generation: str, written: Grant, record_end: int | str) -> bool:
        """Return whether `written` has taken the place of that generation."""
        arguments: list[object] = [generation, written.generation, self._seal(account, written), record_end]
        return bool(self._store.run(_UPDATE, [grant_key(account)], arguments))

    def _seal(self, account: Subdomain, grant: Grant) -> str:
        return self._vault.seal(grant_key(account), grant.to_bytes())

    def _end(self, grant: Grant) -> float:
        """Return when the grant ends unless it is refreshed, or that it has ended now; infinite: none is announced."""
        if grant.dead is not None:
            return self._clock()
        end = grant.expires_at if grant.refresh_token is None else grant.refresh_token_expires_at
        return math.inf if end is None else end

    def _record_end(self, grant: Grant) -> int | str:
        """Return when the record may go; "": never, because a grant without an announced end may live for ever."""
        if grant.dead is not None:
            return int(self._clock() + AFTERLIFE_SECONDS)
        end = grant.refresh_token_expires_at
        return "" if end is None else int(end + AFTERLIFE_SECONDS)

    def _minted_in(self, account: Subdomain, fields: dict[bytes, bytes]) -> list[MintedToken]:
        found = [
            self._opened_minted(account, name.decode(), sealed)
            for name, sealed in fields.items()
            if name.decode().startswith(MINTED_FIELD)
        ]
        return [minted for minted in found if minted is not None]

    def _opened_minted(self, account: Subdomain, field_name: str, sealed: bytes | None) -> MintedToken | None:
        """Return a minted token; None: absent, or no key opens it, so that a new one is minted in its place."""
        if sealed is None:
            return None
        try:
            return self._vault.opened(
                minted_record(account, field_name),
                sealed,
                lambda plaintext: MintedToken.from_bytes(plaintext, sealed),
            )
        except KeyMissing:
            return MintedToken("", None, 0.0, 0.0, sealed)


def rehearse(store: Store, account: Subdomain) -> bool:
    """Run every script of this module on a key of `account`, which no account has; return whether each took effect.

    It is no grant's key, so that nobody who looks through the accounts finds it. In the index of ends it stands before
    all time, where it is not counted, until it is forgotten at the end.

    Raises:
        StoreUnavailable: Redis did not answer, or refused a script.
    """
    keys = [f"zis:{{{account}}}:doctor:grant"]
    life = int(time.time()) + 86_400
    field_name = _minted_field("doctor")
    return [
        store.run(_REPLACE, keys, ["", "0", "id", "1", "sealed", life]),
        store.run(_UPDATE, keys, ["1", "2", "sealed", ""]),
        store.run(_UPDATE, keys, ["2", "3", "sealed", "as it is"]),
        store.run(_UPDATE, keys, ["3", "4", "sealed", life]),
        store.run(_SAVE_MINTED, keys, ["id", field_name, "", "sealed"]),
        store.run(_RESEAL_MINTED, keys, [field_name, "sealed", "anew"]),
        grant_ends.rehearse(store, account),
        store.read(("HMGET", keys[0], "generation"), ("HGETALL", keys[0]), ("HGET", keys[0], "id"))[::2]
        == [[b"4"], b"id"],
        store.read(("EXISTS", _EVER_KEY), ("EXISTS", keys[0]))[1],
        store.run(_FORGET, keys, ["4", "1"]),
        store.write(("DEL", keys[0])) == [0],
    ] == [1] * 11


def _minted_field(integration: str) -> str:
    return f"{MINTED_FIELD}{integration}"
