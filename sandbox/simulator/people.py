"""People, OAuth clients, codes and tokens of one simulated account, as plain records."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class User:
    """One person; `role` is `admin`, `agent` or `end-user`."""

    id: int
    name: str
    role: str
    suspended: bool = False
    active: bool = True
    role_type: int | None = None
    """Of an agent: 0 custom role, 1 light agent, 2 chat-only agent, 3 contributor; None: a full agent."""
    restricted_agent: bool | None = None
    """None: as the role is, True for all but full agents and admins."""
    custom_role_id: int | None = None

    @property
    def is_restricted(self) -> bool:
        """What Zendesk says as `restricted_agent`: false for admins and unrestricted agents."""
        if self.restricted_agent is not None:
            return self.restricted_agent
        return self.role == "end-user" or (self.role == "agent" and self.role_type is not None)

    @property
    def email(self) -> str:
        return f"{self.name.lower().replace(' ', '.')}@example.com"

    @property
    def is_admin(self) -> bool:
        """Whether the registry and the administration of OAuth clients answer this person."""
        return self.role == "admin" and self.active and not self.suspended

    def to_json(self, subdomain: str) -> dict[str, object]:
        return {
            "id": self.id,
            "url": f"https://{subdomain}.zendesk.com/api/v2/users/{self.id}.json",
            "name": self.name,
            "email": self.email,
            "role": self.role,
            "role_type": 4 if self.role == "admin" and self.role_type is None else self.role_type,
            "custom_role_id": self.custom_role_id,
            "restricted_agent": self.is_restricted,
            "active": self.active,
            "suspended": self.suspended,
            "locale": "en-US",
        }


@dataclass(slots=True)
class Client:
    """One OAuth client; `identifier` is what `/oauth/tokens` calls `client_id`, `id` what `/api/v2/oauth` does."""

    id: int
    identifier: str
    name: str
    user_id: int
    secret: str = field(repr=False)
    kind: str = "confidential"
    redirect_uris: list[str] = field(default_factory=list)
    """Without the service's own, which is added where the account's switches say so."""

    @property
    def integration(self) -> str | None:
        """The integration this client belongs to; None: an ordinary client."""
        return self.identifier.removeprefix("zis_") if self.identifier.startswith("zis_") else None


@dataclass(slots=True)
class AuthorizationCode:
    """One consent, to be exchanged once within 120 seconds (developer.zendesk.com, 2026-11)."""

    client: str
    user_id: int
    scope: str
    redirect_uri: str
    challenge: str
    """PKCE S256; empty: none was sent."""
    issued_at: float


@dataclass(slots=True)
class Token:
    """One access token, with the refresh token it was granted with."""

    id: int
    client: str
    """Identifier of its client."""
    client_id: int
    user_id: int
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None
    """Unix seconds; None: lasts."""
    refresh_expires_at: float | None
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    used_at: float | None = None

    @property
    def integration(self) -> str | None:
        """The integration whose ZIS token this is; None: no ZIS token."""
        return self.client.removeprefix("zis_") if self.client.startswith("zis_") else None

    def is_expired(self, now: float) -> bool:
        """Return whether the access token no longer works at `now`."""
        return self.expires_at is not None and self.expires_at <= now

    def covers(self, kind: str) -> bool:
        """Return whether its scopes include `read` or `write`, in general or for ZIS."""
        return kind in self.scopes or f"zis:{kind}" in self.scopes
