"""What Zendesk's answer about a person allows them, and the sentence that says why not. Asks nobody."""

from dataclasses import dataclass

from service import records
from service.oauth.people import ZendeskUser, described


@dataclass(frozen=True, slots=True)
class Role:
    """Zendesk's answer about a person, and when it was given (Unix seconds)."""

    role: str | None
    """None: Zendesk does not let our token read this person, or has no such person."""
    name: str | None
    is_active: bool
    """Neither deleted nor suspended."""
    asked_at: float
    is_suspended: bool = False
    is_full_agent: bool | None = None
    """An agent without restrictions (no light agent, contributor, …). None: an older release did not look."""
    is_missing: bool = False
    """Zendesk reads people to us, and has nobody of this id in the account."""

    @classmethod
    def of(cls, user: ZendeskUser, asked_at: float) -> "Role":
        """Return what is kept of a user."""
        return cls(
            user.role,
            user.name,
            is_active=user.is_active,
            asked_at=asked_at,
            is_suspended=user.is_suspended,
            is_full_agent=user.is_full_agent,
        )

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> "Role":
        """Return the role in a stored record; what says who may do what has no default.

        Raises:
            Unreadable: it lacks one of these.
        """
        return records.made(cls, records.read(plaintext), name=None)

    @property
    def is_known(self) -> bool:
        """Whether Zendesk told something of this person, be it that there is nobody."""
        return self.role is not None or self.is_missing

    @property
    def is_outsider(self) -> bool:
        """Whether this is a known end user, a suspended or deleted person, or nobody: they may not even look."""
        return self.is_missing or (self.role is not None and not (self.is_active and self.role in {"admin", "agent"}))

    def counts_as(self, roles: frozenset[str]) -> bool:
        """Return whether a person of this role is one of MANAGER_ROLES, of which `agent` is for full agents alone."""
        if self.is_outsider or self.role not in roles:
            return False
        return self.role != "agent" or self.is_full_agent is True

    def why_outside(self) -> str | None:
        """Return why the person may not even look, with the next step; None: they may."""
        if not self.is_outsider:
            return None
        if self.is_missing:
            return "Zendesk has nobody of your user id in this account. Reload the app, or sign in to Zendesk again."
        kind = described(self.role or "", is_active=self.is_active, is_suspended=self.is_suspended)
        if self.is_suspended:
            return f"Zendesk says that you are {kind} of this account. An admin can end the suspension in Zendesk."
        if not self.is_active:
            return f"Zendesk says that you are {kind} of this account. An admin can add you to it again."
        return (
            f"Zendesk says that you are {kind} of this account, and this is for its agents and admins. An admin can "
            "change your role in Zendesk."
        )

    def why_no_manager(self, roles: frozenset[str]) -> str | None:
        """Return why a person of this role may not change anything, with the next step; None: `counts_as`."""
        if self.counts_as(roles):
            return None
        outside = self.why_outside()
        if outside is not None:
            return outside
        if "agent" not in roles:
            return (
                "Only admins may change job specs, and Zendesk says that you are an agent. An admin can change your "
                "role in Zendesk, or the operator can name you in MANAGER_USER_IDS."
            )
        return (
            "Only admins and full agents may change job specs, and Zendesk says that you are a light agent, a "
            "contributor, a chat-only agent or an agent whose role is restricted. An admin can change your role in "
            "Zendesk, or the operator can name you in MANAGER_USER_IDS."
        )
