"""Everything in Redis that the vault has sealed: which key it is under, and sealing it anew.

A sealed record is named in its seal, so each kind of record has its own way to its name:
  grant          the field `sealed` of an account's hash
  minted_token   the other fields of that hash
  activity       an item of an account's list, behind its instant
  machine_token  a field of an account's hash
  looker         a field of an account's hash, behind its instant
  role, app_key, state, sign_in, claim, rearmed   a string; these end by themselves, within a week at most
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from service.connecting import states
from service.grants.granted import MINTED_FIELD, grant_key, minted_record
from service.grants.grants import Grants
from service.ground.subdomains import Subdomain
from service.job_specs import rearmed
from service.people import app_keys, claims, machine_tokens, roles
from service.people.machine_tokens import Machine, MachineTokens
from service.store import lookers
from service.store.activity import Activity, activity_key
from service.store.lookers import Lookers
from service.store.store import Command, Store
from service.store.vault import KeyMissing, Vault

# Kinds of which nothing is lost for long if they do not open.
PASSING_KINDS = frozenset({"looker", "role", "app_key", "state", "sign_in", "claim", "rearmed"})
KEYS_AT_ONCE = 100

_ANY = Subdomain("*")
_PATTERNS = {
    "grant": grant_key(_ANY),
    "activity": activity_key(_ANY),
    "looker": lookers.KEY_PATTERN,
    "machine_token": machine_tokens.KEY_PATTERN,
    "role": roles.KEY_PATTERN,
    "app_key": app_keys.KEY_PATTERN,
    "state": states.KEY_PATTERN,
    "sign_in": states.SIGN_IN_KEY_PATTERN,
    "claim": claims.KEY_PATTERN,
    "rearmed": rearmed.KEY_PATTERN,
}

# Puts a string that is only sealed anew in the place of what was read, for as long as that would have lived.
_RESEAL_STRING = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
"""


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """One sealed record as it was read."""

    kind: str
    key: str
    """In Redis."""
    name: str
    """In the seal."""
    sealed: bytes = field(repr=False)
    value: bytes = field(repr=False)
    """As it stands in Redis, with what is around the seal."""
    key_id: str | None
    """Of the key it was sealed under, unverified; None: unreadable."""

    @property
    def account(self) -> Subdomain:
        """Whose it is; empty where it is nobody's."""
        return _account_of(self.key)

    @property
    def is_lasting(self) -> bool:
        """Whether something is lost if no key opens it any more."""
        return self.kind not in PASSING_KINDS


class SealedRecords:
    """Goes through all of them, beside whoever reads and writes them."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        grants: Grants,
        activity: Activity,
        lookers: Lookers,
        machine_tokens: MachineTokens,
    ) -> None:
        self._machine_tokens = machine_tokens
        self._store = store
        self._vault = vault
        self._grants = grants
        self._activity = activity
        self._lookers = lookers

    def all(self) -> Iterator[SealedRecord]:
        """Yield every record that is there from beginning to end; one that is written meanwhile may come or not.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        for keys in self._keys():
            for (key, kind), value in zip(keys, self._store.read(*(_reading(*one) for one in keys)), strict=True):
                yield from self._in(kind, key, value)

    def opens(self, record: SealedRecord) -> bool:
        """Return whether a key of the ring opens it."""
        try:
            self._vault.open(record.name, record.sealed)
        except KeyMissing:
            return False
        return True

    def waiting_token(self, record: SealedRecord) -> Machine | None:
        """Return the machine token that ends with an older key although its record may be sealed under the newest.

        None: the record is another one, or nothing is to be waited for; as `MachineTokens.waiting`.
        """
        if record.kind != "machine_token":
            return None
        return self._machine_tokens.waiting(record.account, record.name[len(record.key) + 1 :], record.sealed)

    def reseal(self, record: SealedRecord) -> bool:
        """Seal a record under the newest key; False: it was written or deleted since it was read, which stands.

        Raises:
            KeyMissing: no key opens it; it stays as it is.
            StoreUnavailable: Redis did not answer; whether it was written is not known.
        """
        match record.kind:
            case "grant":
                return self._grants.reseal(_account_of(record.key))
            case "minted_token":
                account = _account_of(record.key)
                return self._grants.reseal_minted(account, record.name[len(record.key) + 1 :], record.sealed)
            case "activity":
                return self._activity.reseal(_account_of(record.key), record.value)
            case "machine_token":
                field_name = record.name[len(record.key) + 1 :]
                return self._machine_tokens.reseal(_account_of(record.key), field_name, record.value)
            case "looker":
                return self._lookers.reseal(_account_of(record.key), record.name[len(record.key) + 1 :], record.value)
            case _:
                anew = self._vault.seal(record.name, self._vault.open(record.name, record.sealed))
                return bool(self._store.run(_RESEAL_STRING, [record.key], [record.value, anew]))

    def _keys(self) -> Iterator[list[tuple[str, str]]]:
        """Yield (key, kind) of everything that may hold a sealed record, in handfuls, each key once."""
        seen: set[str] = set()
        waiting: list[tuple[str, str]] = []
        for handful in self._store.keys("zis:*"):
            for key in (name.decode("utf-8", "replace") for name in handful):
                kind = next((kind for kind, pattern in _PATTERNS.items() if fnmatchcase(key, pattern)), None)
                if kind is not None and key not in seen:
                    seen.add(key)
                    waiting.append((key, kind))
            if len(waiting) >= KEYS_AT_ONCE:
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def _in(self, kind: str, key: str, value: object) -> Iterator[SealedRecord]:
        """Yield the records in what Redis holds under a key."""
        match value:
            case dict():
                yield from self._in_hash(kind, key, value)
            case list():
                for item in value:
                    yield self._record(kind, key, key, item.partition(b":")[2], item)
            case bytes():
                yield self._record(kind, key, key, value, value)

    def _in_hash(self, kind: str, key: str, value: dict[bytes, bytes]) -> Iterator[SealedRecord]:
        account = _account_of(key)
        for name, item in value.items():
            field_name = name.decode("utf-8", "replace")
            if kind == "looker":
                record = lookers.looker_record(account, field_name)
                yield self._record(kind, key, record, item.partition(b":")[2], item)
            elif kind == "machine_token":
                yield self._record(kind, key, machine_tokens.token_record(account, field_name), item, item)
            elif field_name == "sealed":
                yield self._record("grant", key, key, item, item)
            elif field_name.startswith(MINTED_FIELD):
                yield self._record("minted_token", key, minted_record(account, field_name), item, item)

    def _record(self, kind: str, key: str, name: str, sealed: bytes, value: bytes) -> SealedRecord:
        return SealedRecord(kind, key, name, sealed, value, self._vault.key_id(sealed))


def rehearse(store: Store, account: Subdomain) -> bool:
    """Reseal a string of `account`, which no account has; return whether it took effect.

    Raises:
        StoreUnavailable: Redis did not answer, or refused a command.
    """
    key = f"zis:{{{account}}}:doctor:string"
    store.write(("SET", key, "sealed", "EX", 60, "NX"))
    resealed = store.run(_RESEAL_STRING, [key], ["sealed", "anew"])
    return bool(resealed == 1 and store.write(("GETDEL", key))[0] == b"anew")


def _reading(key: str, kind: str) -> Command:
    match kind:
        case "grant" | "looker" | "machine_token":
            return ("HGETALL", key)
        case "activity":
            return ("LRANGE", key, 0, -1)
        case _:
            return ("GET", key)


def _account_of(key: str) -> Subdomain:
    return Subdomain(key.partition("{")[2].partition("}")[0])
