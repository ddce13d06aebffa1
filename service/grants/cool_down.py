"""How long nobody asks for a new token again after one was of no use; shared by all processes through Redis.

Waited out are a token endpoint that fails, and a 401 that stays with a new token. Both count as failures of the same
row: 2 s, doubling to 30 s. Durations are Redis's own, so that machines whose clocks differ agree.

A grant's waits are the account's; a minted token's are its integration's (`integration` None: the grant's). In Redis
stands of a token only a piece of its hash.
"""

import contextlib
import hashlib
import random

from service.ground import records
from service.ground.errors import Failure, ServiceError, StoreUnavailable, ZendeskUnavailable
from service.ground.memo import Memo
from service.ground.subdomains import Subdomain
from service.store.store import Command, Store
from service.zendesk.calls import CALL_SECONDS
from service.zendesk.measured import Kind

FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 30.0
# A Retry-After is believed up to here.
LONGEST_RETRY_AFTER_SECONDS = 60.0
# After this long without a failure the waits begin at 2 s again.
STEP_TTL_SECONDS = 300
# Whoever had a refused token replaced tries the new one at once; meanwhile nobody else has that replaced as well.
TRIAL_SECONDS = CALL_SECONDS
# What a token has worked for matters while one that was refused is waited for, which is a minute at most.
WORKED_TTL_SECONDS = 3600
# Tokens and kinds of calls of which this process has noted that they work.
NOTED = 4096

# Counts a token that is refused although it is new: once, and not if it has worked for calls of this kind.
_COUNT_REFUSAL = """
local known = redis.call('HMGET', KEYS[1], ARGV[1], 'refused')
if known[1] == ARGV[2] or known[2] == ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'refused', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local step = redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return step
"""
# Notes that a token is on trial, unless whoever was refused it has already begun the wait: that is the shorter.
_BEGIN_TRIAL = """
if redis.call('HMGET', KEYS[1], 'refused')[1] == ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
"""
# A field of what is known of a token: that it has worked for a call of any kind.
_ANY = "any"
_TRIAL = b"trial "


def _key(account: Subdomain) -> str:
    return f"zis:{{{account}}}:cool_down"


def _step_key(account: Subdomain, integration: str | None) -> str:
    return f"zis:{{{account}}}:cool_down_step" + ("" if integration is None else f":mint:{integration}")


def _refused_key(account: Subdomain, integration: str | None) -> str:
    return f"zis:{{{account}}}:refused:" + ("grant" if integration is None else f"mint:{integration}")


def _worked_key(account: Subdomain, integration: str | None) -> str:
    return f"zis:{{{account}}}:worked:" + ("grant" if integration is None else f"mint:{integration}")


def _mark(token: str) -> bytes:
    """Return what stands for a token in Redis: 64 bits of its hash."""
    return hashlib.sha256(token.encode()).hexdigest()[:16].encode()


class CoolDown:
    """Remembers the last failure while nobody asks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._noted: Memo[tuple[Subdomain, str | None, Kind, bytes], bool] = Memo(NOTED)

    def current(
        self, account: Subdomain, token: str, kind: Kind | None = None, integration: str | None = None
    ) -> ServiceError | None:
        """Return the failure that is being waited out, with the seconds left; None: `token` may be replaced now.

        `kind`: of the call for which Zendesk refused it; None: it is to be replaced for another reason. A token that
        has worked for such calls is replaced in spite of one that was refused before.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        failed, again = _key(account), _refused_key(account, integration)
        remembered, milliseconds, refused, milliseconds_refused, worked = self._store.read(
            ("GET", failed),
            ("PTTL", failed),
            ("GET", again),
            ("PTTL", again),
            ("HMGET", _worked_key(account, integration), kind or _ANY, _ANY),
        )
        if remembered is not None and milliseconds > 0 and integration is None:
            try:
                record = records.read(remembered)
            except records.Unreadable:
                # That there is one is what keeps everybody from asking.
                record = {}
            failure = Failure.from_record(record, ZendeskUnavailable).error()
            failure.retry_after = _seconds(milliseconds)
            return failure
        mark = _mark(token)
        if refused is None or milliseconds_refused <= 0:
            return None
        if refused.startswith(_TRIAL):
            # What a trial comes to is known in a moment.
            is_on_trial = kind is not None and refused == _TRIAL + mark and worked[1] != mark
            return refused_again() if is_on_trial else None
        return None if worked[0] == mark else refused_again(milliseconds_refused)

    def begin(self, account: Subdomain, failure: ServiceError) -> None:
        """Wait 2 s after the first failure, doubling to 30 s, or its Retry-After up to 60 s.

        Raises:
            StoreUnavailable: Redis did not take it.
        """
        step_key = _step_key(account, None)
        step = int(self._store.write(("INCR", step_key), ("EXPIRE", step_key, STEP_TTL_SECONDS))[0])
        wait = _wait(step)
        if failure.retry_after is not None:
            wait = min(LONGEST_RETRY_AFTER_SECONDS, max(wait, float(failure.retry_after)))
        record = records.write(Failure.of(failure).to_record())
        self._store.write(("SET", _key(account), record, "PX", int(wait * 1000)))
        failure.retry_after = max(1, round(wait))

    def begin_trial(self, account: Subdomain, token: str, integration: str | None = None) -> None:
        """Note that `token` replaces a refused one: until it has worked, nobody who is refused replaces it as well.

        Others may have been refused it before this is noted; the wait that they have begun stays as it is.

        Raises:
            StoreUnavailable: Redis did not take it.
        """
        keys = [_worked_key(account, integration), _refused_key(account, integration)]
        arguments: list[object] = [_mark(token), _TRIAL + _mark(token), int(TRIAL_SECONDS * 1000)]
        self._store.run(_BEGIN_TRIAL, keys, arguments)

    def count_refusal(self, account: Subdomain, token: str, kind: Kind, integration: str | None = None) -> ServiceError:
        """Return what it means that the new `token` is refused as well, and begin the wait; once for a token.

        Raises:
            StoreUnavailable: Redis did not take it.
        """
        key = _refused_key(account, integration)
        keys = [_worked_key(account, integration), _step_key(account, integration)]
        arguments: list[object] = [kind, _mark(token), WORKED_TTL_SECONDS, STEP_TTL_SECONDS]
        step = int(self._store.run(_COUNT_REFUSAL, keys, arguments))
        if step:
            milliseconds = int(_wait(step) * 1000)
            self._store.write(("SET", key, _mark(token), "PX", milliseconds))
            return refused_again(milliseconds)
        waits, milliseconds_left = self._store.read(("GET", key), ("PTTL", key))
        # It is replaced at once if it has worked, and somebody else is about to begin the wait if there is none yet.
        return refused_again(milliseconds_left if waits == _mark(token) else 0)

    def note_worked(self, account: Subdomain, token: str, kind: Kind, integration: str | None = None) -> None:
        """Tell all processes, once from each, that Zendesk takes the token for calls of this kind."""
        mark = _mark(token)

        def note() -> bool:
            key = _worked_key(account, integration)
            # Only spares others a wait.
            with contextlib.suppress(StoreUnavailable):
                self._store.write(("HSET", key, kind, mark, _ANY, mark), ("EXPIRE", key, WORKED_TTL_SECONDS))
            return True

        self._noted.get((account, integration, kind, mark), note)

    def clear(self, account: Subdomain) -> None:
        """Forget the failures: a token was replaced that nobody had refused."""
        self._store.write(self.forgetting(account, ()))

    def forgetting(self, account: Subdomain, integrations: tuple[str, ...]) -> Command:
        """Return the command that forgets the failures of an account and of its integrations."""
        owners = (None, *integrations)
        keys = (_step_key, _refused_key, _worked_key)
        return ("DEL", _key(account), *(key(account, one) for one in owners for key in keys))


def refused_again(milliseconds: int = 0) -> ZendeskUnavailable:
    """Return what a 401 means that stays with a new token."""
    return ZendeskUnavailable(
        "Zendesk refuses even a new access token. Try again after the wait that Retry-After gives; the account stays "
        "connected.",
        upstream_status=401,
        retry_after=_seconds(milliseconds),
    )


def _seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // 1000))


def _wait(step: int) -> float:
    """Return the seconds of the wait after so many failures."""
    wait: float = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(step - 1, 10))
    # Jittered down, so that processes do not all come back at the same moment and nobody waits longer than told.
    return wait * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
