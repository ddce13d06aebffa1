"""How a front end of another origin fetches what came of a sign-in. Knows nothing of HTTP.

It begins with a challenge, the hash of a random claim that only its page knows, and fetches by the claim, once. So
neither the window that signs in nor its opener carries a session, and whoever reads Redis has no claim.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from service.ground import records
from service.ground.errors import Failure, NotFound, ServiceError, ZendeskUnavailable
from service.ground.subdomains import Subdomain
from service.store.store import Store
from service.store.vault import KeyMissing, Vault

# Of 32 random bytes, and of their SHA-256: base64url without padding.
_CLAIM = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
# The page that waits asks every two seconds.
CLAIM_SECONDS = 300
# That a claim was used is remembered for as long as a sign-in may take, so that none of its like is kept again.
SPENT_SECONDS = 600
# What `_key` returns, as a pattern; for whoever goes through everything that is sealed.
KEY_PATTERN = "zis:claim:*"

# Of two who fetch at once, one gets it.
_SPEND = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a sign-in."""

    origin: str
    """Of the front end that began it, the only one that may fetch."""
    at: int
    """When it ended (Unix seconds)."""
    account: str = ""
    user_id: int | None = None
    """None: it ended badly."""
    failure: dict[str, Any] | None = None
    is_spent: bool = False

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> "Outcome":
        """Return the outcome in a stored record.

        Raises:
            Unreadable: it lacks what nothing can stand for.
        """
        return records.made(cls, records.read(plaintext))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in, and when (Unix seconds)."""

    account: Subdomain
    user_id: int
    at: int


def is_claim(text: object) -> bool:
    """Return whether a text can be a claim; challenges are of the same form."""
    return isinstance(text, str) and _CLAIM.fullmatch(text) is not None


def challenge_of(claim: str) -> str:
    """Return the hash that a sign-in begins with (as RFC 7636, section 4.2, for S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(claim.encode()).digest()).rstrip(b"=").decode()


def _key(challenge: str) -> str:
    # No account in the key: whoever fetches names none.
    return f"zis:claim:{challenge}"


class Claims:
    """Keeps outcomes until they are fetched. `clock` in Unix seconds."""

    def __init__(self, store: Store, vault: Vault, clock: Callable[[], float]) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock

    def keep(
        self, challenge: str, origin: str, signed_in: SignedIn | None, failure: ServiceError | None = None
    ) -> None:
        """Keep what came of a sign-in: who it was, or the failure. The first one of a challenge counts.

        Raises:
            StoreUnavailable: Redis did not take it.
        """
        now = int(self._clock())
        if signed_in is not None:
            outcome = Outcome(origin, signed_in.at, signed_in.account, signed_in.user_id)
        else:
            outcome = Outcome(origin, now, failure=Failure.of(failure).to_record() if failure else None)
        key = _key(challenge)
        self._store.write(("SET", key, self._sealed(key, outcome), "EX", SPENT_SECONDS, "NX"))

    def fetch(self, claim: str, origin: str) -> SignedIn | None:
        """Return who has signed in, once; None: there is nothing to fetch yet.

        Raises:
            NotFound: fetched already, five minutes old, or of another origin.
            ServiceError: what the sign-in ended in, once.
            StoreUnavailable: Redis did not answer.
        """
        gone = NotFound("There is nothing to fetch with this claim any more. Sign in again.")
        key = _key(challenge_of(claim))
        (value,) = self._store.read(("GET", key))
        if value is None:
            return None
        try:
            outcome = self._vault.parsed(key, value, Outcome.from_bytes)
        except KeyMissing:
            raise gone from None
        if outcome.is_spent or outcome.origin != origin or outcome.at + CLAIM_SECONDS <= self._clock():
            raise gone
        spent = self._sealed(key, Outcome(outcome.origin, outcome.at, is_spent=True))
        if self._store.run(_SPEND, [key], [value, spent, SPENT_SECONDS]) != 1:
            raise gone
        if outcome.user_id is None:
            raise Failure.from_record(outcome.failure or {}, ZendeskUnavailable).error()
        return SignedIn(Subdomain(outcome.account), outcome.user_id, outcome.at)

    def _sealed(self, key: str, outcome: Outcome) -> str:
        return self._vault.seal(key, records.write(asdict(outcome)))


def rehearse(store: Store, account: Subdomain) -> bool:
    """Run the script of this module on a key of `account`, which no account has; return whether it took effect.

    Raises:
        StoreUnavailable: Redis did not answer, or refused it.
    """
    key = f"zis:{{{account}}}:doctor:claim"
    store.write(("SET", key, "kept", "EX", 60, "NX"))
    spent = store.run(_SPEND, [key], ["kept", "spent", 60])
    return bool(spent == 1 and store.write(("GETDEL", key))[0] == b"spent")
