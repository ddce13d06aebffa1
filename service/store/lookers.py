"""Who has looked at an account or managed it within 90 days: they may read its activity when nobody can be asked.

One Redis hash an account: the user id, and the instant in clear (Unix seconds), a colon, and the instant sealed for
this user. Sealed although no secret: whoever can write to Redis would otherwise let in whom they like.
"""

from collections.abc import Callable

from service.ground import records
from service.ground.subdomains import Subdomain
from service.store.store import Command, Store
from service.store.vault import KeyMissing, Vault

LIFE_SECONDS = 90 * 86_400
# Some 200 KB an account. Whoever looked longest ago goes first.
MOST_LOOKERS = 1000
# So that a full hash is not sorted at every look.
LEFT_WHEN_FULL = 900
# What `lookers_key` returns, as a pattern; for whoever goes through everything that is sealed.
KEY_PATTERN = "zis:{*}:lookers"

# One script, so that the hash is never larger than it may be, and never without an expiry.
_REMEMBER = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
if redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[4]) then return end
local all, found = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do found[#found + 1] = {all[i], tonumber(string.match(all[i + 1], '^%d+') or 0)} end
table.sort(found, function(a, b) return a[2] < b[2] end)
for i = 1, #found - ARGV[5] do redis.call('HDEL', KEYS[1], found[i][1]) end
"""

# Puts a record that is only sealed anew in the place of what was read.
_RESEAL = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


def lookers_key(account: Subdomain) -> str:
    """Return the account's key."""
    return f"zis:{{{account}}}:lookers"


def looker_record(account: Subdomain, user: str) -> str:
    """Return the name under which a user's record is sealed; `user`: the id, in digits."""
    return f"{lookers_key(account)}:{user}"


def rehearse(store: Store, account: Subdomain) -> bool:
    """Run every script of this module on a key of `account`, which no account has; return whether each took effect.

    Raises:
        StoreUnavailable: Redis did not answer, or refused a script.
    """
    key = f"zis:{{{account}}}:doctor:lookers"
    # Room for one alone: the second pushes the first out.
    store.run(_REMEMBER, [key], [1, "1:sealed", 60, 1, 1])
    store.run(_REMEMBER, [key], [2, "2:sealed", 60, 1, 1])
    resealed = store.run(_RESEAL, [key], [2, "2:sealed", "2:anew"])
    return bool((resealed, store.write(("HDEL", key, 1), ("HDEL", key, 2))) == (1, [0, 1]))


class Lookers:
    """Remembers people, at most 1000 an account. `clock` in Unix seconds."""

    def __init__(self, store: Store, vault: Vault, clock: Callable[[], float]) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock

    def remember(self, account: Subdomain, user_id: int) -> None:
        """Remember that this person may look, as of now.

        Raises:
            StoreUnavailable: Redis did not take it.
        """
        at = int(self._clock())
        value = f"{at}:{self._vault.seal(looker_record(account, str(user_id)), records.write({'at': at}))}"
        arguments: list[object] = [user_id, value, LIFE_SECONDS, MOST_LOOKERS, LEFT_WHEN_FULL]
        self._store.run(_REMEMBER, [lookers_key(account)], arguments)

    def forget(self, account: Subdomain, user_id: int) -> None:
        """Forget a person who may not look any more.

        Raises:
            StoreUnavailable: Redis did not take it.
        """
        self._store.write(("HDEL", lookers_key(account), user_id))

    def reading(self, account: Subdomain, user_id: int | None) -> Command:
        """Return the command whose reply `knows` takes; for callers that read more in the same round trip."""
        return ("HGET", lookers_key(account), str(user_id))

    def knows(self, account: Subdomain, user_id: int | None, value: bytes | None) -> bool:
        """Return whether the person looked within 90 days; `value` is the reply to `reading`."""
        if value is None or user_id is None:
            return False
        try:
            at = self._vault.parsed(looker_record(account, str(user_id)), value.partition(b":")[2], _instant)
        except KeyMissing:
            return False
        # Not left to Redis's expiry: the hash lives as long as anybody in it, and older ones could be put back.
        return at >= self._clock() - LIFE_SECONDS

    def reseal(self, account: Subdomain, user: str, value: bytes) -> bool:
        """Seal a person's record anew, in its place; False: it was written or deleted since it was read.

        Raises:
            KeyMissing: no key opens it.
            StoreUnavailable: Redis did not answer.
        """
        at, _, sealed = value.partition(b":")
        record = looker_record(account, user)
        anew = at + b":" + self._vault.seal(record, self._vault.open(record, sealed)).encode()
        return bool(self._store.run(_RESEAL, [lookers_key(account)], [user, value, anew]))


def _instant(plaintext: bytes) -> float:
    """Return when the person looked (Unix seconds); one that does not say counts as long ago."""
    at = records.read(plaintext).get("at")
    return float(at) if isinstance(at, int | float) else 0.0
