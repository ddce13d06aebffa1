"""A client of one account: until one deadline, with one credential. The one place where a refused token is replaced.

Where tokens come from it does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from service.ground.deadlines import Deadline
from service.ground.subdomains import Subdomain
from service.zendesk.calls import Request, ZendeskCalls
from service.zendesk.measured import Kind
from service.zendesk.replies import Reply


class Credential:
    """What an account's calls are made with. This one can have no other token, so that a refusal is the answer."""

    def token(self, deadline: Deadline) -> str | None:  # noqa: ARG002 - others may have to ask Zendesk
        """Return an access token that has not expired; None: the call is made without one.

        Raises:
            ServiceError: none could be had within the deadline.
        """
        return None

    def another(self, refused: str, kind: Kind, deadline: Deadline) -> str | None:  # noqa: ARG002 - likewise
        """Return a token for the one that Zendesk has just refused to a call of this kind; None: there is no other.

        Raises:
            ServiceError: none could be had within the deadline, or it is not asked for now.
        """
        return None

    def judge(self, token: str, reply: Reply) -> None:
        """Conclude from the last reply what it says of the token it came to.

        Raises:
            ServiceError: the token replaced a refused one, and is refused as well.
        """


@dataclass(frozen=True, slots=True)
class GivenToken(Credential):
    """A token that somebody holds."""

    value: str = field(repr=False)

    def token(self, deadline: Deadline) -> str:  # noqa: ARG002 - at hand
        return self.value


@dataclass(frozen=True, slots=True)
class Unrenewed(Credential):
    """Another credential's token, for what Zendesk may refuse to it for good: a refusal says nothing of the token."""

    of: Credential

    def token(self, deadline: Deadline) -> str | None:
        return self.of.token(deadline)


@dataclass(frozen=True, slots=True)
class AccountClient:
    """Calls the API of one account."""

    calls: ZendeskCalls
    account: Subdomain
    deadline: Deadline
    credential: Credential = field(default_factory=Credential, repr=False)
    """By default nobody's."""

    def get(self, path: str, *, kind: Kind = "other", query: Mapping[str, str] | None = None) -> Reply:
        """Return the reply to a GET, a 2xx or a 4xx but 429; see `ZendeskCalls.send` for what is repeated and raised.

        Raises:
            ServiceError: no token could be had, Zendesk refuses even a new one, or the call failed.
        """
        return self._send(Request("GET", path, kind, query))

    def change(
        self, method: str, path: str, *, kind: Kind = "other", query: Mapping[str, str] | None = None, json: Any = None
    ) -> Reply:
        """Return the reply to a POST, PUT or DELETE; as `get`.

        Raises:
            ReplyLost, ReplyLate: the change may have taken effect.
        """
        return self._send(Request(method, path, kind, query, json))

    def with_token(self, token: str) -> "AccountClient":
        """Return a client of the same account that uses `token`."""
        return replace(self, credential=GivenToken(token))

    def until(self, deadline: Deadline) -> "AccountClient":
        """Return the client with another deadline."""
        return replace(self, deadline=deadline)

    def _send(self, request: Request) -> Reply:
        token = self.credential.token(self.deadline)
        reply = self.calls.send(self.account, request, token=token, deadline=self.deadline)
        if token is None:
            return reply
        if reply.refuses_token:
            another = self.credential.another(token, request.kind, self.deadline)
            if another is None:
                return reply
            token = another
            reply = self.calls.send(self.account, request, token=token, deadline=self.deadline)
        self.credential.judge(token, reply)
        return reply
