"""Who a person is, asked of Zendesk (api-reference/ticketing/users/users, 2026-11)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from service.deadlines import Deadline
from service.errors import ZendeskUnavailable
from service.subdomains import Subdomain, parse_subdomain
from service.zendesk.calls import ZendeskCalls
from service.zendesk.replies import Reply

# A ZIS client's token may not be let in here (unknown); these answers say so.
NOT_READABLE = frozenset({401, 403, 404})


class _User(BaseModel):
    id: int | None
    name: str | None = None
    role: str
    active: bool = True
    suspended: bool = False
    url: str | None = None


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
        return cls(user.id, user.name, user.role, user.active and not user.suspended, account)


def _account_in(url: str) -> Subdomain | None:
    """Return the account whose host is in `url`; None: none is."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return None
    return parse_subdomain(host.removesuffix(".zendesk.com")) if host.endswith(".zendesk.com") else None


def ask_me(calls: ZendeskCalls, account: Subdomain, token: str, deadline: Deadline) -> Reply:
    """Return Zendesk's answer about the person the token acts for."""
    return calls.get(account, "/api/v2/users/me", kind="user", token=token, deadline=deadline)


def ask_user(calls: ZendeskCalls, account: Subdomain, user_id: int, token: str, deadline: Deadline) -> Reply:
    """Return Zendesk's answer about a user."""
    return calls.get(account, f"/api/v2/users/{user_id}", kind="user", token=token, deadline=deadline)
