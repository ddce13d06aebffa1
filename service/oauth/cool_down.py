"""How long nobody asks the token endpoint again after it failed; shared by all processes through Redis.

Durations are Redis's own, so that machines whose clocks differ agree.
"""

import random

from service import records
from service.errors import Failure, ServiceError, ZendeskUnavailable
from service.store import Store
from service.subdomains import Subdomain

FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 30.0
# A Retry-After is believed up to here.
LONGEST_RETRY_AFTER_SECONDS = 60.0
# After this long without a failure the waits begin at 2 s again.
STEP_TTL_SECONDS = 300


def _key(account: Subdomain) -> str:
    return f"zis:{{{account}}}:cool_down"


def _step_key(account: Subdomain) -> str:
    return f"zis:{{{account}}}:cool_down_step"


class CoolDown:
    """Remembers the last failure while nobody asks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def current(self, account: Subdomain) -> ServiceError | None:
        """Return the failure that is being waited out, with the seconds left; None: the endpoint may be asked.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        remembered, milliseconds = self._store.read(("GET", _key(account)), ("PTTL", _key(account)))
        if remembered is None or milliseconds <= 0:
            return None
        try:
            record = records.read(remembered)
        except records.Unreadable:
            # That there is one is what keeps everybody from asking.
            record = {}
        failure = Failure.from_record(record, ZendeskUnavailable).error()
        failure.retry_after = max(1, -(-milliseconds // 1000))
        return failure

    def begin(self, account: Subdomain, failure: ServiceError) -> None:
        """Wait 2 s after the first failure, doubling to 30 s, or its Retry-After up to 60 s.

        Raises:
            StoreUnavailable: Redis did not take it.
        """
        step_key = _step_key(account)
        step = int(self._store.write(("INCR", step_key), ("EXPIRE", step_key, STEP_TTL_SECONDS))[0])
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(step - 1, 10))
        # Jittered down, so that processes do not all come back at the same moment and nobody waits longer than told.
        wait *= random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
        if failure.retry_after is not None:
            wait = min(LONGEST_RETRY_AFTER_SECONDS, max(wait, float(failure.retry_after)))
        record = records.write(Failure.of(failure).to_record())
        self._store.write(("SET", _key(account), record, "PX", int(wait * 1000)))
        failure.retry_after = max(1, round(wait))

    def clear(self, account: Subdomain) -> None:
        """Forget the failures: the endpoint answered as it should."""
        self._store.write(("DEL", _key(account), _step_key(account)))
