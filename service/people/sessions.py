"""Our own short-lived bearer for the sidebar: who is asking, and nothing about what they may do.

A JWS (HS256) with a type of its own, so that no other kind of token passes for it (RFC 8725, section 3.11). It needs
neither Redis nor Zendesk.
"""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from joserfc import jws

from service.ground.errors import Unauthenticated
from service.ground.memo import Memo
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain, parse_subdomain
from service.ground.timestamps import timestamp
from service.store.vault import UNREADABLE, derive_keys
from service.web.documents.account import SessionDocument

SESSION_SECONDS = 900
# Counted from the signed request that opened the page: a working day, then the app is loaded again.
RENEWABLE_SECONDS = 12 * 3600
LONGEST_SESSION_TOKEN = 2048
# Sidebars that one process serves within the life of a token.
REMEMBERED_SESSIONS = 2048

_TYPE = "zis-session+jwt"
_ALGORITHM = "HS256"
_REGISTRY = jws.JWSRegistry(algorithms=[_ALGORITHM])


@dataclass(frozen=True, slots=True)
class Session:
    """Who is asking. Instants are Unix seconds."""

    account: Subdomain
    user_id: int | None
    """None: Zendesk's signed request did not say in a form we know."""
    installation_id: int | None
    """The installation of the app it was opened in; None: signed in elsewhere, or a token of a release without it."""
    signed_at: int
    """`iat` of the signed request it came from, or when the person signed in at Zendesk."""
    expires_at: int
    machine: str | None = None
    """The name of the machine token that was shown instead; None: this is a person."""

    @property
    def counted_as(self) -> str:
        """Whose limits this counts against."""
        who = self.user_id if self.machine is None else f"machine:{self.machine}"
        return f"{self.account}:{who}"


class Sessions:
    """Issues, reads and renews session tokens."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        keys = derive_keys(settings.secret_keys, "session")
        self._writing = keys[0]
        self._keys = {key.kid: key.oct_key for key in keys}
        self._issuer = settings.public_url
        self._clock = clock
        self._memo: Memo[bytes, Session] = Memo(REMEMBERED_SESSIONS)
        self._memo_key = secrets.token_bytes(32)

    def issue(
        self, account: Subdomain, user_id: int | None, installation_id: int | None, signed_at: int
    ) -> tuple[str, Session]:
        """Return a session token for 15 minutes, but not past 12 hours after `signed_at`."""
        expires_at = min(int(self._clock()) + SESSION_SECONDS, signed_at + RENEWABLE_SECONDS)
        session = Session(account, user_id, installation_id, signed_at, expires_at)
        claims = {
            "iss": self._issuer,
            "acc": account,
            "sub": user_id,
            "ins": installation_id,
            "auth_time": signed_at,
            "exp": expires_at,
        }
        header = {"alg": _ALGORITHM, "typ": _TYPE, "kid": self._writing.kid}
        payload = json.dumps(claims, separators=(",", ":"))
        return jws.serialize_compact(header, payload, self._writing.oct_key, registry=_REGISTRY), session

    def signed_in(self, account: Subdomain, user_id: int, signed_at: int) -> SessionDocument:
        """Return a new session, as it is handed out, of somebody who signed in at `signed_at` (Unix seconds)."""
        return self.document(*self.issue(account, user_id, None, signed_at))

    def document(self, token: str, session: Session) -> SessionDocument:
        """Return a session as it is handed out."""
        seconds = self.seconds_left(session)
        return SessionDocument(session_token=token, expires_at=timestamp(session.expires_at) or "", expires_in=seconds)

    def read(self, token: str | None) -> Session:
        """Return the session of a valid token.

        Raises:
            Unauthenticated: missing, not ours, or expired.
        """
        session = self._verified(token)
        if session.expires_at <= self._clock():
            raise Unauthenticated("The sidebar's session has expired. It renews itself; if not, reload the app.")
        return session

    def renew(self, token: str | None) -> tuple[str, Session]:
        """Return a fresh token for one of ours, valid or expired, until 12 hours after the signed request.

        Raises:
            Unauthenticated: missing, not ours, or too old.
        """
        session = self._verified(token)
        if session.signed_at + RENEWABLE_SECONDS <= self._clock():
            raise Unauthenticated(
                "This session began more than 12 hours ago. Reload the app in Zendesk, or sign in again."
            )
        return self.issue(session.account, session.user_id, session.installation_id, session.signed_at)

    def seconds_left(self, session: Session) -> int:
        """Return the seconds until a session expires, not negative."""
        return max(0, session.expires_at - int(self._clock()))

    def _verified(self, token: str | None) -> Session:
        """Return the session of a token that is ours, expired or not.

        One that was verified is known again by a keyed hash: the token itself is not kept, and how long the look-up
        takes tells nothing of tokens that are.

        Raises:
            Unauthenticated: missing, or not ours.
        """
        if token is None or len(token) > LONGEST_SESSION_TOKEN or not token.isascii():
            raise _refusal()
        digest = hashlib.blake2b(token.encode(), key=self._memo_key, digest_size=32).digest()
        return self._memo.get(digest, lambda: self._verify(token))

    def _verify(self, token: str) -> Session:
        refusal = _refusal()
        try:
            signed = jws.extract_compact(token.encode(), registry=_REGISTRY)
            header = signed.headers()
            kid = header.get("kid")
            key = self._keys.get(kid) if isinstance(kid, str) else None
            if key is None or header.get("typ") != _TYPE or header.get("alg") != _ALGORITHM:
                raise refusal
            if not jws.validate_compact(signed, key, registry=_REGISTRY):
                raise refusal
            claims = json.loads(signed.payload)
        except UNREADABLE:
            raise refusal from None
        account = parse_subdomain(claims["acc"])
        if claims["iss"] != self._issuer or account is None:
            raise refusal
        return Session(account, claims["sub"], claims.get("ins"), claims["auth_time"], claims["exp"])


def _refusal() -> Unauthenticated:
    return Unauthenticated("There is no valid session. Reload the app in Zendesk.")
