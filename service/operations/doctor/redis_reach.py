"""Can Redis be reached, and would waiting help if not."""

import time
from collections.abc import Callable

from service.ground.errors import StoreUnavailable
from service.operations.doctor.findings import Finding
from service.store.redis_faults import cause_of, words_of
from service.store.store import Store, StoreRefused

# A store that is being moved or started again by its provider is back within this.
REACH_SECONDS = 60.0
PAUSE_SECONDS = 0.5
TELL_EVERY_SECONDS = 5.0


def reach(
    store: Store,
    seconds: float,
    tell: Callable[[str], None],
    is_interrupted: Callable[[], bool],
    pause: Callable[[float], None] = time.sleep,
) -> Finding:
    """Return whether Redis answers within `seconds`; `tell` hears at first and now and then that it does not."""
    end = time.monotonic() + seconds
    told_at = float("-inf")
    while True:
        try:
            store.read(("PING",))
        except StoreRefused:
            # It answers; what it refuses is looked at later.
            break
        except StoreUnavailable as failure:
            left = end - time.monotonic()
            fault = failure.__cause__ or failure
            cause = cause_of(fault)
            if not cause.may_pass or left <= 0 or is_interrupted():
                says = f"It cannot be reached. {cause.says} {words_of(fault)}"
                return Finding("FAIL", "redis", says, cause.advice)
            if time.monotonic() - told_at >= TELL_EVERY_SECONDS:
                tell(f"Redis does not answer: {cause.says} {words_of(fault)} Trying for {left:.0f} s more.")
                told_at = time.monotonic()
            pause(PAUSE_SECONDS)
        else:
            break
    return Finding("ok", "redis", "It answers.")
