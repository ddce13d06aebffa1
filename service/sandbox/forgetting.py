"""What the service is made to forget, so that a button of the workspace shows its effect at once.

A service that runs for real keeps who may do what for five minutes, and knows nothing of a world that begins anew.
"""

from redis import Redis

# `service.sidebar.managers` names its keys so.
ROLES = "zis:{*}:role:*"


class Forgetting:
    """Empties the service's store, wholly or of roles."""

    def __init__(self, store_url: str) -> None:
        self._redis = Redis.from_url(store_url)

    def everything(self) -> None:
        """Forget all accounts: nothing is connected any more."""
        self._redis.flushall()

    def roles(self) -> None:
        """Forget who is an admin, so that Zendesk is asked at the next opening."""
        for key in self._redis.scan_iter(ROLES):
            self._redis.delete(key)

    def close(self) -> None:
        self._redis.close()
