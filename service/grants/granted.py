"""What an account has granted: a grant, tokens minted from it, and the names they are sealed under."""

import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from service.ground import records
from service.ground.subdomains import Subdomain
from service.zendesk.authorization_server import ACCESS_TOKEN_SECONDS, TokenPair

# The fields of minted tokens begin so.
MINTED_FIELD = "minted:"


@dataclass(frozen=True, slots=True)
class Person:
    """A Zendesk user as far as we keep one."""

    id: int
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one admin granted. Instants are Unix seconds; tokens do not show in the repr."""

    id: str
    generation: str
    client_id: str
    """The OAuth client it was granted to."""
    scope: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    obtained_at: float
    expires_at: float | None
    refresh_token_expires_at: float | None
    authorized_at: float
    authorized_by: Person | None
    """None: the token may not read users."""
    refresh_begun_at: float | None = None
    """When a refresh began that has had no answer yet; None: none."""
    dead: str | None = None
    """Why it cannot be used any more, as `connection.reason` says it; None: as far as we know it can."""

    @classmethod
    def of(cls, pair: TokenPair, *, client_id: str, scope: str, authorized_by: Person | None) -> "Grant":
        """Return a new authorization's grant; `scope` is what counts as granted."""
        return cls(
            id=secrets.token_hex(8),
            generation=secrets.token_hex(16),
            client_id=client_id,
            scope=scope,
            access_token=pair.access_token,
            refresh_token=pair.refresh_token,
            obtained_at=pair.obtained_at,
            expires_at=pair.expires_at,
            refresh_token_expires_at=pair.refresh_token_expires_at,
            authorized_at=pair.obtained_at,
            authorized_by=authorized_by,
        )

    def with_pair(self, pair: TokenPair) -> "Grant":
        """Return this grant after a refresh, of a new generation; Zendesk may leave out an unchanged scope."""
        expires_at = pair.expires_at
        if expires_at is None and self.refresh_token is not None:
            expires_at = pair.obtained_at + ACCESS_TOKEN_SECONDS
        return replace(
            self,
            generation=secrets.token_hex(16),
            scope=pair.scope or self.scope,
            access_token=pair.access_token,
            # "no new refresh token": the old one is still the one to use (RFC 6749, section 6).
            refresh_token=pair.refresh_token or self.refresh_token,
            obtained_at=pair.obtained_at,
            expires_at=expires_at,
            refresh_token_expires_at=(
                pair.refresh_token_expires_at if pair.refresh_token else self.refresh_token_expires_at
            ),
            refresh_begun_at=None,
            dead=None,
        )

    def changed(self, **fields: Any) -> "Grant":
        """Return this grant with other fields, of a new generation."""
        return replace(self, generation=secrets.token_hex(16), **fields)

    def to_bytes(self) -> bytes:
        return records.write(asdict(self))

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> "Grant":
        """Return the grant in a record.

        Raises:
            Unreadable: it lacks what nothing can stand for.
        """
        members = records.read(plaintext)
        by = members.get("authorized_by")
        members["authorized_by"] = records.made(Person, by, name=None) if isinstance(by, dict) else None
        obtained_at = members.get("obtained_at", 0.0)
        return records.made(
            cls,
            members,
            scope="",
            refresh_token=None,
            obtained_at=obtained_at,
            expires_at=None,
            refresh_token_expires_at=None,
            authorized_at=obtained_at,
        )


@dataclass(frozen=True, slots=True)
class MintedToken:
    """An integration's own token, made from a grant. Instants are Unix seconds."""

    access_token: str = field(repr=False)
    token_id: int | None
    """Zendesk's number of it, by which it is revoked; None: the reply did not say."""
    obtained_at: float
    expires_at: float | None
    """None: Zendesk named no expiry; used until refused."""
    sealed: bytes = field(default=b"", repr=False, compare=False)
    """As read from Redis; b"": not stored yet."""

    def to_bytes(self) -> bytes:
        members = asdict(self)
        del members["sealed"]
        return records.write(members)

    @classmethod
    def from_bytes(cls, plaintext: bytes, sealed: bytes) -> "MintedToken":
        """Return the token in a record that was read as `sealed`.

        Raises:
            Unreadable: it lacks the token.
        """
        members = records.read(plaintext) | {"sealed": sealed}
        return records.made(cls, members, token_id=None, obtained_at=0.0, expires_at=None)


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that is kept for an account, as it was at one moment; what is replaced or forgotten is exactly this."""

    id: str | None
    """None: nothing is kept."""
    generation: str
    """Empty: nothing is kept."""
    mints: int
    """How often a minted token was written."""
    grant: Grant | None
    """None: nothing is kept, or no key opens it."""
    minted: tuple[MintedToken, ...]


def grant_key(account: Subdomain) -> str:
    """Return the account's key; what is stored there opens under this name only."""
    return f"zis:{{{account}}}:grant"


def minted_record(account: Subdomain, field_name: str) -> str:
    """Return the name under which the minted token in that field of the account's record is sealed."""
    return f"{grant_key(account)}:{field_name}"


def account_of_key(key: bytes) -> Subdomain:
    """Return the account a grant's key belongs to."""
    return Subdomain(key.decode().removeprefix("zis:{").removesuffix("}:grant"))
