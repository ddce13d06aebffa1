"""What Zendesk's answer about a person allows them, and the sentence that says why not. Asks nobody."""

from dataclasses import dataclass

from service.ground import records
from service.zendesk.users import ZendeskUser, described

# An answer this old may still decide about a change.
RECENT_SECONDS = 300
# Where Zendesk cannot be asked, an answer this old still decides about looking.
REMEMBERED_SECONDS = 12 * 3600
# Clocks of machines in step differ by less. How old an answer is that was stamped further ahead, nobody knows.
MOST_AHEAD_SECONDS = 5


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

    def is_recent(self, now: float) -> bool:
        """Return whether the answer is at most five minutes old, and not of the future; `now` in Unix seconds."""
        return -MOST_AHEAD_SECONDS <= now - self.asked_at <= RECENT_SECONDS

    def is_remembered(self, now: float) -> bool:
        """Return whether the answer is at most twelve hours old; `now` in Unix seconds.

        One of the future is remembered only if it keeps the person out.
        """
        age = now - self.asked_at
        return age <= REMEMBERED_SECONDS and (age >= -MOST_AHEAD_SECONDS or self.is_outsider)

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


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the person who asks."""

    role: str | None
    name: str | None
    can_manage: bool
    reason: str | None
    """`user.reason` on the wire: why the role is not known; None: it is."""
    why_outside: str | None = None
    """Why they may not even look, as a sentence: a known end user, suspended or deleted person. None: they may."""
    why_no_manager: str | None = None
    """Why they may not change anything, as a sentence. None: they may, or nothing is known of them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say of one person."""

    manager_roles: frozenset[str]
    """MANAGER_ROLES."""
    is_named: bool
    """MANAGER_USER_IDS names the person."""

    def may_decide(self, role: Role, now: float) -> bool:
        """Return whether an answer is recent enough for a change, and says enough; `now` in Unix seconds."""
        if not role.is_recent(now):
            return False
        if role.role is None and not role.is_missing:
            # It may have been a passing refusal, which would keep an admin out; a named manager it keeps in.
            return self.is_named
        return not (role.role == "agent" and role.is_full_agent is None and "agent" in self.manager_roles)

    def standing(self, role: Role) -> Standing:
        """Return how a person of this role stands."""
        if not role.is_known:
            return self.unknown("users_not_readable")
        may = not role.is_outsider and (role.counts_as(self.manager_roles) or self.is_named)
        return Standing(
            role.role,
            role.name,
            may,
            "user_unknown" if role.is_missing else None,
            role.why_outside(),
            None if may else role.why_no_manager(self.manager_roles),
        )

    def unknown(self, reason: str) -> Standing:
        """Return how a person stands of whom nothing is known; `reason`: why, as `user.reason` says it."""
        # While Zendesk is away nobody may change anything, a named manager included: they may have been suspended.
        return Standing(None, None, self.is_named and reason != "zendesk_unavailable", reason)


def deciding(answer: Role, last: Role | None) -> Role:
    """Return what decides about a change: Zendesk's answer, or `last` where that keeps out and the answer says nothing.

    A refusal to say takes nothing back of what was said; only against the person, for whom it may be too old.
    """
    return last if not answer.is_known and last is not None and last.is_outsider else answer


def showing(answer: Role, last: Role | None) -> Role:
    """Return what decides about looking: Zendesk's answer, unless it says nothing of a person who is known."""
    return answer if last is None or answer.is_known else last
