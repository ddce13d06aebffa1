"""One request on its way through an account: what handlers are given."""

import threading
from dataclasses import dataclass, field

from sandbox.simulator.accounts import Account
from sandbox.simulator.messages import Request
from sandbox.simulator.people import Token, User
from sandbox.simulator.world import World

ADMIN_SESSION_COOKIE = "_zendesk_session"
"""`_zendesk_session=<user id>` stands for a signed-in person's browser session."""
API_TOKEN_USER_SUFFIX = "/token"
"""Basic `<user id>/token:<API_TOKEN>` stands for an API token."""
API_TOKEN = "simulated-api-token"


@dataclass(slots=True)
class Exchange:
    """A request, the account it is for, and its path below the account's address."""

    world: World
    account: Account
    request: Request
    segments: tuple[str, ...]
    token: Token | None = None
    """The live bearer; None: none, or a dead one."""
    user: User | None = None
    """Who acts: the bearer's person, or a session's or API token's."""
    by_api_token: bool = False
    gate: threading.Event = field(init=False)
    """What this request waits at; taken on arrival, so that no release is missed."""
    paging_fault: str | None = None
    """A fault kind that a list is to show in this one answer."""

    def __post_init__(self) -> None:
        self.gate = self.account.gate

    @property
    def method(self) -> str:
        return "GET" if self.request.method == "HEAD" else self.request.method
