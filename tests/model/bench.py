"""What is made once for many schedules: the store, the settings, the clock."""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import time_machine
from redis import ConnectionPool, Redis

from service.grants.granted import Grant, MintedToken, Person
from service.grants.grants import Grants
from service.ground.settings import Settings
from service.store.store import Store
from service.store.vault import Vault
from tests.model.store_edge import SteppedRedis
from tests.model.words import ACME, GRANT, Words
from tests.model.zendesk import INTEGRATION, Account, Pair

AGE_SECONDS = {"expired": 50 * 86_400, "stale": 1700, "fresh": 300}
"""How old the stored pair is; the first is also past half of its refresh token's life."""
ACCESS_SECONDS = 1800
REFRESH_SECONDS = 7_689_600

_DUMP = """
local reads = {hash = {'HGETALL'}, string = {'GET'}, list = {'LRANGE', 0, -1}, zset = {'ZRANGE', 0, -1}}
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local read = reads[redis.call('TYPE', key).ok]
  found[#found + 1] = {key, redis.call('PTTL', key), redis.call(read[1], key, unpack(read, 2))}
end
return found
"""
# The server's clock cannot be moved, so the ends of its keys are.
_AGE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and key ~= ARGV[2] then redis.call('PEXPIRE', key, math.max(left - ARGV[1], 0)) end
end
"""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What there is before anybody acts."""

    age: str = "expired"
    """Of the stored pair, as AGE_SECONDS; `none`: not connected."""
    mode: str = "direct"
    minted: bool = False
    """Whether an integration's token is stored, which Zendesk no longer accepts."""
    reads_users: bool = True
    """Whether the tokens may read users; if not, a handshake mints to prove itself."""
    key_is_lost: bool = False
    """Whether the record is sealed under a key that no process has."""
    is_revoked: bool = False
    """Whether an admin has revoked the grant at Zendesk."""
    refuses: bool = False
    """Whether the registry answers every token with 401, until all have finished."""
    fails_as: str = "steps"
    """What counts as a fault: `steps` that fail, crashes and sleep; or `outages`, in which the store answers
    nobody until all have given up or wait."""


class Bench:
    """A store of its own, and the same moment at the beginning of every schedule."""

    def __init__(self, redis_url: str, settings: dict[str, Settings], clock: time_machine.Traveller) -> None:
        pool = ConnectionPool.from_url(redis_url)
        self._redis = Redis(connection_pool=pool)
        self.stepped = SteppedRedis(pool)
        self.settings = settings
        """By mode: `direct` and `mint`; and `lost`, with a key that no process has."""
        self.words = Words(Vault((*settings["direct"].secret_keys, *settings["lost"].secret_keys)))
        self.last_calls: dict[Hashable, str | None] = {}
        """What is wrong with a last call, by the state it is made in; None: nothing."""
        self._clock = clock
        self._began = time.time()
        self._dump = self._redis.register_script(_DUMP)
        self._age = self._redis.register_script(_AGE)

    def begin(self, beginning: Beginning, account: Account) -> None:
        """Set time and store back, and connect the account as the beginning has it."""
        self._clock.move_to(self._began)
        self._redis.flushdb()
        self.words.forget()
        if beginning.age != "none":
            self._connect(beginning, account)

    def let_pass(self, seconds: float) -> None:
        """Let time pass, for our clock and the store's."""
        self._clock.shift(float(seconds))
        self._age(args=[int(seconds * 1000), GRANT])

    def dump(self) -> list[tuple[str, float, Any]]:
        """Return (key, seconds left, value) of all that is stored, sorted; halves of seconds, so that the machine's own
        time does not show. Negative: it does not end."""
        return sorted((key.decode(), -(-milliseconds // 500) / 2, value) for key, milliseconds, value in self._dump())

    def close(self) -> None:
        self._redis.connection_pool.disconnect()

    def _connect(self, beginning: Beginning, account: Account) -> Pair:
        pair = account.consent()
        if beginning.is_revoked:
            pair.end("revocation")
        obtained = self._began - AGE_SECONDS[beginning.age]
        pair.access_lives = pair.access_lives and obtained + ACCESS_SECONDS > self._began
        settings = self.settings[beginning.mode]
        grant = Grant(
            id="the first",
            generation="the first",
            client_id=settings.zendesk_client_id,
            scope=settings.zendesk_scope,
            access_token=pair.access,
            refresh_token=pair.refresh,
            obtained_at=obtained,
            expires_at=obtained + ACCESS_SECONDS,
            refresh_token_expires_at=obtained + REFRESH_SECONDS,
            authorized_at=obtained,
            authorized_by=Person(1, None) if beginning.reads_users else None,
        )
        # Under the oldest key, so that a rotation has something to do.
        oldest = self.settings["lost" if beginning.key_is_lost else beginning.mode].secret_keys[-1:]
        grants = Grants(Store(self._redis), Vault(oldest), time.time)
        grants.replace(ACME, grant, grants.holdings(ACME))
        if beginning.minted:
            token = account.mint()
            token.lives = False
            kept = MintedToken(token.access, token.number, obtained, None)
            grants.save_minted(ACME, grant.id, INTEGRATION, None, kept)
        return pair
