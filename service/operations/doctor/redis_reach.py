"""Can Redis be reached, and would waiting help if not."""

import ssl
import time
from collections.abc import Callable

from redis.exceptions import AuthenticationError

from service.errors import StoreUnavailable
from service.operations.doctor.findings import Finding
from service.store import Store, StoreRefused

# A store that is being moved or started again by its provider is back within this.
REACH_SECONDS = 60.0
PAUSE_SECONDS = 0.5
TELL_EVERY_SECONDS = 5.0
# Other failures of TLS end only if somebody changes something.
_PASSING_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


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
            advice = _final_advice(failure)
            if advice is not None or left <= 0 or is_interrupted():
                advice = advice or "Start it, or correct REDIS_URL."
                return Finding("FAIL", "redis", f"It cannot be reached: {words_of(failure)}", advice)
            if time.monotonic() - told_at >= TELL_EVERY_SECONDS:
                tell(f"Redis does not answer: {words_of(failure)} Trying for {left:.0f} s more.")
                told_at = time.monotonic()
            pause(PAUSE_SECONDS)
        else:
            break
    return Finding("ok", "redis", "It answers.")


def _final_advice(failure: StoreUnavailable) -> str | None:
    """Return what to do about a failure that waiting does not mend; None: it may pass."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                "Set REDIS_TLS_CA to the file of the CA that signed the server's certificate. Heroku Key-Value Store "
                "signs its own: there set REDIS_TLS_VERIFY=false."
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _PASSING_TLS):
            return "Check that the port of REDIS_URL speaks TLS (rediss://), and REDIS_TLS_CA."
        if isinstance(cause, AuthenticationError):
            return "Correct user and password in REDIS_URL."
        cause = cause.__cause__ or cause.__context__
    return None


def words_of(failure: StoreUnavailable) -> str:
    """Return Redis's or the system's own words; they name host and port, never a password."""
    return " ".join(str(failure.__cause__ or failure.detail).split()).rstrip(".") + "."
