"""Who a person is, asked of Zendesk (api-reference/ticketing/users/users, 2026-11)."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from service.ground.errors import ZendeskUnavailable
from service.ground.subdomains import Subdomain, parse_subdomain
from service.zendesk.client import AccountClient
from service.zendesk.replies import Reply

# A ZIS client's token may not be let in here (unknown); these answers say so.
NOT_READABLE = frozenset({401, 403, 404})
# `role_type` of agents: 0 custom role, 1 light agent, 2 chat-only agent, 3 contributor; none without custom roles.
_CUSTOM_ROLE = 0


class _User(BaseModel):
    id: int | None
    name: str | None = None
    role: str
    active: bool = True
    suspended: bool = False
    url: str | None = None
    # Any: a kind of agent we cannot read is one that does not count, and no reason to fail.
    role_type: Any = None
    custom_role_id: Any = None
    restricted_agent: Any = None

    @property
    def is_full_agent(self) -> bool:
        """Whether Zendesk says that this is an agent without restrictions; a kind nobody knows is none."""
        if self.role != "agent" or self.restricted_agent is not False:
            return False
        if self.role_type is None:
            return self.custom_role_id is None
        return type(self.role_type) is int and self.role_type == _CUSTOM_ROLE


class _UserReply(BaseModel):
    user: _User


@dataclass(frozen=True, slots=True)
class ZendeskUser:
    """A user as Zendesk describes it now."""

    id: int | None
    """None: nobody is signed in with this token."""
    name: str | None
    role: str
    """`admin`, `agent` or `end-user`."""
    is_active: bool
    """Neither deleted nor suspended."""
    is_suspended: bool
    is_full_agent: bool
    """An agent, and no light agent, contributor, chat-only agent or one whose role is restricted."""
    account: Subdomain | None
    """The account the user says it belongs to, by the host of its `url`; None: it does not say."""

    @classmethod
    def from_reply(cls, reply: Reply) -> "ZendeskUser":
        """Return the user in a 200.

        Raises:
            ZendeskUnavailable: the reply does not describe one.
        """
        try:
            user = _UserReply.model_validate_json(reply.body).user
        except ValidationError:
            raise ZendeskUnavailable(
                "Zendesk's answer about a user could not be read. Try again in a moment.", upstream_status=reply.status
            ) from None
        account = _account_in(user.url or "")
        return cls(
            user.id,
            user.name,
            user.role,
            is_active=user.active and not user.suspended,
            is_suspended=user.suspended,
            is_full_agent=user.is_full_agent,
            account=account,
        )

    def kind(self) -> str:
        """Return what this person is, for a sentence: `an admin`, `a suspended agent`."""
        return described(self.role, is_active=self.is_active, is_suspended=self.is_suspended)


def described(role: str, *, is_active: bool, is_suspended: bool) -> str:
    """Return what a person of this role is, for a sentence: `an admin`, `a suspended agent`, `a deleted end user`."""
    noun = "end user" if role == "end-user" else role
    if not is_active:
        return f"a {'suspended' if is_suspended else 'deleted'} {noun}"
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"


def _account_in(url: str) -> Subdomain | None:
    """Return the account whose host is in `url`; None: none is."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return None
    return parse_subdomain(host.removesuffix(".zendesk.com")) if host.endswith(".zendesk.com") else None


def ask_me(client: AccountClient) -> Reply:
    """Return Zendesk's answer about the person the client's token acts for."""
    return client.get("/api/v2/users/me", kind="user")


def ask_user(client: AccountClient, user_id: int) -> Reply:
    """Return Zendesk's answer about a user."""
    return client.get(f"/api/v2/users/{user_id}", kind="user")
