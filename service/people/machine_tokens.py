"""Tokens for machines: a CI that ships a bundle lists, plans, applies, installs and uninstalls for one account.

    zism_{account}_{43 characters of a random secret}

One Redis hash an account, a field a token: named by a keyed hash of the token, holding a sealed record that opens under
this account and this field alone. So whoever can write to Redis makes no token and moves none to another account, and a
copy of Redis holds none. The account stands in the token so that all its keys share a slot of a cluster.

The hash is keyed by an entry of SECRET_KEYS, and only a token that is shown can be hashed anew: after a rotation a
token is found by the older entry until it is shown once, and never again where that entry was taken out before. So each
record says whose hash it lies under.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import structlog

from service.ground import records
from service.ground.errors import InvalidRequest, NotFound, StoreUnavailable, Unauthenticated
from service.ground.subdomains import Subdomain, parse_subdomain
from service.store.store import Store
from service.store.vault import KeyMissing, Vault, derive_keys

PREFIX = "zism_"
SECRET_BYTES = 32
USUAL_DAYS, MOST_DAYS = 90, 365
DAY_SECONDS = 86_400
# An account has a few pipelines; the hash is read whole to list them.
MOST_TOKENS = 100
# What `tokens_key` returns, as a pattern; for whoever goes through everything that is sealed.
KEY_PATTERN = "zis:{*}:machine_tokens"

_TOKEN = re.compile(r"zism_([a-z0-9-]{1,63})_[A-Za-z0-9_-]{43}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)

_log = structlog.get_logger(__name__)

# The hash lives as long as the last of its tokens. Those that the new one replaces go.
_CREATE = """
for position = 4, #ARGV do redis.call('HDEL', KEYS[1], ARGV[position]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 1
"""

# Puts a record that is sealed anew, or found by a newer key's hash, in the place of what was read.
_MOVE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
if ARGV[1] ~= ARGV[3] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """Who shows a token. Instants are Unix seconds."""

    name: str
    created_at: int
    expires_at: int
    hash_key_id: str | None = None
    """Of the entry of SECRET_KEYS under whose hash the record lies; None: written by a release that did not say."""

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> "Machine":
        """Return the machine in a stored record.

        Raises:
            Unreadable: it lacks a member.
        """
        return records.made(cls, records.read(plaintext))


def tokens_key(account: Subdomain) -> str:
    """Return the account's key."""
    return f"zis:{{{account}}}:machine_tokens"


def token_record(account: Subdomain, field: str) -> str:
    """Return the name under which the record in a field is sealed."""
    return f"{tokens_key(account)}:{field}"


def rehearse(store: Store, account: Subdomain) -> bool:
    """Run every script of this module on a key of `account`, which no account has; return whether each took effect.

    Raises:
        StoreUnavailable: Redis did not answer, or refused a script.
    """
    key = f"zis:{{{account}}}:doctor:machine_tokens"
    store.run(_CREATE, [key], ["c", "replaced", 60])
    store.run(_CREATE, [key], ["a", "sealed", 60, "c"])
    moved = store.run(_MOVE, [key], ["a", "sealed", "b", "anew"])
    deleted = store.write(("HDEL", key, "a"), ("HDEL", key, "b"), ("HDEL", key, "c"))
    return bool((moved, deleted) == (1, [0, 1, 0]))


class MachineTokens:
    """Makes tokens, knows them, lists them and takes them back. `clock` in Unix seconds."""

    def __init__(
        self, secret_keys: tuple[str, ...], store: Store, vault: Vault, clock: Callable[[], float] = time.time
    ) -> None:
        keys = derive_keys(secret_keys, "machine token")
        self._hash_keys = [key.oct_key.raw_value for key in keys]
        self._key_ids = [key.kid for key in keys]
        self._store = store
        self._vault = vault
        self._clock = clock

    def create(self, account: Subdomain, name: str, days: int) -> tuple[str, Machine]:
        """Return a new token, which nobody can be shown again, and what is kept of it.

        It takes the place of one of this name whose key is missing.

        Raises:
            InvalidRequest: the name is none, or taken; or the account has too many.
            StoreUnavailable: Redis did not take it.
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                "A name has 1 to 64 letters, digits, spaces, dots, - or _, and begins with a letter or digit."
            )
        living = dict(self._living(account))
        replaced = [field for field, machine in living.items() if machine.name == name]
        if any(not self.is_key_missing(living[field]) for field in replaced):
            raise InvalidRequest(f"{account} has a token of this name already. Revoke it, or choose another name.")
        if len(living) - len(replaced) >= MOST_TOKENS:
            raise InvalidRequest(f"{account} has {MOST_TOKENS} tokens already. Revoke one first.")
        now = int(self._clock())
        machine = Machine(name, now, now + days * DAY_SECONDS, self._key_ids[0])
        token = f"{PREFIX}{account}_{secrets.token_urlsafe(SECRET_BYTES)}"
        field = self._fields(token)[0]
        sealed = self._vault.seal(token_record(account, field), records.write(asdict(machine)))
        self._store.run(_CREATE, [tokens_key(account)], [field, sealed, machine.expires_at - now, *replaced])
        return token, machine

    def read(self, token: str) -> tuple[Subdomain, Machine]:
        """Return whose token this is.

        Raises:
            Unauthenticated: it is none, has expired or was revoked; nobody is told which.
            StoreUnavailable: Redis did not answer.
        """
        match = _TOKEN.fullmatch(token)
        account = parse_subdomain(match[1]) if match else None
        if account is None:
            raise _refusal()
        fields = self._fields(token)
        for field, sealed in zip(fields, self._store.read(("HMGET", tokens_key(account), *fields))[0], strict=True):
            if sealed is None:
                continue
            try:
                machine = self._vault.opened(token_record(account, field), sealed, Machine.from_bytes)
            except KeyMissing:
                continue
            if machine.expires_at <= self._clock():
                continue
            if (field, machine.hash_key_id) != (fields[0], self._key_ids[0]):
                try:
                    self._take_over(account, field, sealed, fields[0])
                except StoreUnavailable as failure:
                    # The token is as good where it was found.
                    _log.warning("machine_token_not_moved", account=account, code=failure.code)
            return account, machine
        raise _refusal()

    def all(self, account: Subdomain) -> list[Machine]:
        """Return the account's tokens that have not expired, by name; those whose key is missing, too.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return sorted((machine for _, machine in self._living(account)), key=lambda one: one.name)

    def revoke(self, account: Subdomain, name: str) -> None:
        """Make a token unusable.

        Raises:
            NotFound: there is none of this name.
            StoreUnavailable: Redis did not answer.
        """
        was_there = False
        # Shown meanwhile, its record moves to another field: it is looked for until none is left.
        while fields := [field for field, machine in self._living(account) if machine.name == name]:
            was_there = True
            if self._store.write(("HDEL", tokens_key(account), *fields))[0] == len(fields):
                return
        if not was_there:
            raise NotFound(f"{account} has no machine token of this name.")

    def revoke_all(self, account: Subdomain) -> None:
        """Make every token of the account unusable.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        self._store.write(("DEL", tokens_key(account)))

    def reseal(self, account: Subdomain, field: str, sealed: bytes) -> bool:
        """Seal a record anew, in its place; False: it was moved or revoked since it was read.

        Raises:
            KeyMissing: no key opens it.
            StoreUnavailable: Redis did not answer.
        """
        plaintext = self._vault.open(token_record(account, field), sealed)
        oldest = self._key_ids[-1]
        if self._vault.key_id(sealed) == oldest:
            # No newer key was there to hash it.
            plaintext = _with_defaults(plaintext, hash_key_id=oldest)
        return self._move(account, field, sealed, field, plaintext)

    def is_key_missing(self, machine: Machine) -> bool:
        """Return whether SECRET_KEYS lacks the key by whose hash alone the token could be found."""
        return machine.hash_key_id not in {None, *self._key_ids}

    def waiting(self, account: Subdomain, field: str, sealed: bytes) -> Machine | None:
        """Return a token that was not shown since the newest key came, and that ends with its `hash_key_id`.

        Where the record does not say whose hash it lies under, that is the oldest key's id. None: the token is found by
        the newest key, has expired, its key is missing, or no key opens the record.
        """
        try:
            machine = self._vault.opened(token_record(account, field), sealed, Machine.from_bytes)
        except KeyMissing:
            return None
        key_id = machine.hash_key_id or self._key_ids[-1]
        if key_id == self._key_ids[0] or key_id not in self._key_ids or machine.expires_at <= self._clock():
            return None
        return replace(machine, hash_key_id=key_id)

    def _take_over(self, account: Subdomain, field: str, sealed: bytes, to: str) -> None:
        """Put a record that was just read under the newest key's hash, in the field `to`."""
        members = records.read(self._vault.open(token_record(account, field), sealed))
        plaintext = records.write({**members, "hash_key_id": self._key_ids[0]})
        self._move(account, field, sealed, to, plaintext)

    def _move(self, account: Subdomain, field: str, sealed: bytes, to: str, plaintext: bytes) -> bool:
        anew = self._vault.seal(token_record(account, to), plaintext)
        return bool(self._store.run(_MOVE, [tokens_key(account)], [field, sealed, to, anew]))

    def _living(self, account: Subdomain) -> Iterator[tuple[str, Machine]]:
        """Yield the field and the machine of every token that has not expired."""
        found: dict[bytes, bytes] = self._store.read(("HGETALL", tokens_key(account)))[0]
        for name, sealed in found.items():
            field = name.decode("utf-8", "replace")
            try:
                machine = self._vault.opened(token_record(account, field), sealed, Machine.from_bytes)
            except KeyMissing:
                continue
            if machine.expires_at > self._clock():
                yield field, machine

    def _fields(self, token: str) -> list[str]:
        """Return where a token's record may be: under the newest key's hash, else an older one's."""
        return [hashlib.blake2b(token.encode(), key=key, digest_size=32).hexdigest() for key in self._hash_keys]


def _refusal() -> Unauthenticated:
    return Unauthenticated("This machine token is not valid: it is unknown, has expired, or was revoked.")


def _with_defaults(plaintext: bytes, **members: str) -> bytes:
    """Return a record that has these members where it lacks them; what is no record as it is."""
    try:
        return records.write({**members, **records.read(plaintext)})
    except records.Unreadable:
        return plaintext
