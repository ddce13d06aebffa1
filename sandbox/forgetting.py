"""What the service is made to forget, so that a button of the workspace shows its effect at once.

A service that runs for real keeps who may do what for five minutes, and knows nothing of a world that begins anew.
"""

from collections.abc import Callable, Iterable

from redis import Redis

# `service.people.roles` names its keys so.
ROLES = "zis:{*}:role:*"


class Forgetting:
    """Empties the service's store, wholly or of roles. `masters`: clients of the servers that hold it now."""

    def __init__(self, masters: "Callable[[], Iterable[Redis]]") -> None:
        self._masters = masters

    def everything(self) -> None:
        """Forget all accounts: nothing is connected any more."""
        for redis in self._masters():
            redis.flushall()

    def roles(self) -> None:
        """Forget who is an admin, so that Zendesk is asked at the next opening."""
        for redis in self._masters():
            for key in redis.scan_iter(ROLES):
                redis.delete(key)
