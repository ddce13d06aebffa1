"""One-time OAuth states in Redis. Knows nothing of HTTP.

A state is 256 random bits, kept under its hash with the account and the PKCE verifier, sealed, and bound to the
browser by a secret that only that browser's cookie holds (RFC 9700, section 4.7; GHSA-fg6f-75jq-6523).

States of sign-ins are marked in the state itself and kept under keys of their own, for which they are sealed: neither
kind is ever taken for the other, not even by a release that knows one of them only.
"""

import hashlib
import hmac
import secrets
from dataclasses import asdict, dataclass, field

from service.ground import records
from service.ground.errors import InvalidState, StoreUnavailable
from service.ground.subdomains import Subdomain
from service.store.store import STATES_GIVE_WAY_AT, Store
from service.store.vault import KeyMissing, Vault

# Time to sign in and read the consent page; a leaked link is soon worthless.
STATE_TTL_SECONDS = 600
# What `_state_key` returns, as patterns; for whoever goes through everything that is sealed.
KEY_PATTERN = "zis:state:*"
SIGN_IN_KEY_PATTERN = "zis:signin:*"
# Has a character that no random state has.
_SIGN_IN = "signin."


@dataclass(frozen=True, slots=True)
class IssuedState:
    """A handshake that begins. `label` is public and names the browser's cookie; the rest is secret."""

    label: str
    state: str = field(repr=False)
    browser_secret: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """What a sign-in is begun with. It ends in a session of whoever consents, and never in a grant."""

    scope: str
    """What Zendesk is asked for."""
    challenge: str | None = None
    """Of the claim that fetches the session; None: the browser that signs in goes on to /console."""
    origin: str | None = None
    """Of the front end that began it; None: this service's own page."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What is stored of a state."""

    account: str
    verifier: str = field(repr=False)
    browser: str = field(repr=False)
    """Hash of the secret in the browser's cookie."""
    scope: str = ""
    """This and the others: of a sign-in alone."""
    challenge: str | None = None
    origin: str | None = None

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> "_Record":
        return records.made(cls, records.read(plaintext))


@dataclass(frozen=True, slots=True)
class PendingAuthorization:
    """What was issued with a state."""

    account: Subdomain
    code_verifier: str = field(repr=False)
    sign_in: SignInRequest | None = None
    """None: the account is to be connected."""


def label_of(state: str) -> str:
    """Return a short public name for a state; says nothing about it."""
    return hashlib.sha256(b"label:" + state.encode()).hexdigest()[:16]


def _state_key(state: str) -> str:
    # No account in the key: the callback learns the account from the record alone.
    kind = "signin" if is_sign_in(state) else "state"
    return f"zis:{kind}:{hashlib.sha256(state.encode()).hexdigest()}"


def is_sign_in(state: str) -> bool:
    """Return whether a state, if it is one, was issued for a sign-in."""
    return state.startswith(_SIGN_IN)


class States:
    """Issues and consumes states."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    def issue(self, account: Subdomain, sign_in: SignInRequest | None = None) -> IssuedState:
        """Return a new state for `account`, usable once within ten minutes; `sign_in` None: to connect it.

        Raises:
            StoreUnavailable: Redis did not take it, or is nearly full.
        """
        mark, asked = (_SIGN_IN, asdict(sign_in)) if sign_in else ("", {})
        state, browser_secret = mark + secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(64)  # 86 characters; RFC 7636, section 4.1, allows 43 to 128
        record = _Record(account, verifier, _digest(browser_secret), **asked)
        if not self._store.has_room(STATES_GIVE_WAY_AT):
            raise StoreUnavailable("The store (Redis) is nearly full. Its operator has to make room.", retry_after=60)
        key = _state_key(state)
        self._store.write(("SET", key, self._vault.seal(key, records.write(asdict(record))), "EX", STATE_TTL_SECONDS))
        return IssuedState(label_of(state), state, browser_secret, verifier)

    def consume(self, state: str, browser_secret: str | None) -> PendingAuthorization:
        """Return what was issued with `state`, and make it unusable. At most one caller gets a record.

        Raises:
            InvalidState: unknown, expired, used, or issued to another browser.
            StoreUnavailable: Redis did not answer.
        """
        what = "sign in" if is_sign_in(state) else "connect"
        refusal = InvalidState(f"This attempt to {what} is no longer valid. Close this window and {what} again.")
        key = _state_key(state)
        # Not GET then DEL: two racing callbacks must not both win.
        sealed = self._store.write(("GETDEL", key))[0]
        if sealed is None or browser_secret is None:
            raise refusal
        try:
            record = self._vault.parsed(key, sealed, _Record.from_bytes)
        except KeyMissing:
            raise refusal from None
        if not hmac.compare_digest(record.browser, _digest(browser_secret)):
            raise refusal
        sign_in = SignInRequest(record.scope, record.challenge, record.origin) if is_sign_in(state) else None
        return PendingAuthorization(Subdomain(record.account), record.verifier, sign_in)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
