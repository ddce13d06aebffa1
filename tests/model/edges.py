"""What the edges of the service ask of the world they stand in."""

from collections.abc import Hashable
from typing import Any, Protocol

from tests.model.guarantees import Guarantees
from tests.model.scheduler import Schedule
from tests.model.steps import Actor
from tests.model.zendesk import Account

NO_ANSWER = "no answer, and none to its repetition"
REPLY_LOST = "done, and the reply is lost"


class World(Protocol):
    """What a step touches, and how it reads."""

    schedule: Schedule
    account: Account
    guarantees: Guarantees
    is_away: bool
    """Whether the store answers nobody."""
    steps_fail: bool
    """Whether a single step may fail."""
    refuses: bool
    """Whether what a token has worked for matters to anybody."""
    taken: set[str]
    """Names of the locks that are held in some process."""

    def describe(self, command: tuple[Any, ...]) -> str:
        """Return a command in words, the same in every run."""

    def told(self, command: tuple[Any, ...], reply: Any) -> tuple[str, Hashable]:
        """Return the reply to a command in words, and all that is in it."""

    def look(self) -> None:
        """Look at what the store holds now, and judge it."""

    def has_lease(self, actor: Actor | None) -> bool:
        """Return whether the lease to refresh is this thread's."""
