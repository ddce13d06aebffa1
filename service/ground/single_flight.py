"""One question for all threads of this process that ask the same at the same time."""

import math
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from service.ground.deadlines import Deadline
from service.ground.errors import Failure, InternalError, ServiceError, ZendeskTimeout
from service.ground.executor import Executor
from service.ground.subdomains import Subdomain

# A deadline later than another by this is more time; less is the same burst of requests.
MORE_TIME_SECONDS = 2.0

T = TypeVar("T")


class _Flight(Generic[T]):
    """A question under way; `outcome` is set before `done`."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.done = threading.Event()
        self.outcome: T | Failure = Failure.of(InternalError("The question was not finished."))


class SingleFlight(Generic[T]):
    """Questions under way, by what they are about."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[tuple[Subdomain, Hashable], _Flight[T]] = {}

    def join(
        self,
        account: Subdomain,
        about: Hashable,
        deadline: Deadline,
        ask: Callable[[], T],
        *,
        beside: Executor | None = None,
        patience: float = math.inf,
    ) -> tuple[T, bool]:
        """Return what asking brought, and whether this thread asked; the others share its result or its failure.

        Nobody waits longer than `patience` (seconds) or his deadline. `beside`: a question goes on until `deadline`,
        where a thread of this executor is free to ask it; otherwise the calling thread asks.

        Raises:
            ZendeskTimeout: no result within the deadline.
            ServiceError: what the asking thread met.
        """
        key = (account, about)
        while True:
            with self._lock:
                flight = self._flights.get(key)
                leads = flight is None
                if flight is None:
                    flight = self._flights[key] = _Flight(deadline)
            if leads and not self._is_begun(beside, key, flight, ask):
                return self._lead(key, flight, ask), True
            if not flight.done.wait(max(0.0, deadline.sooner(patience).left())):
                raise ZendeskTimeout("Zendesk did not answer in time. Try again in a moment.", retry_after=2)
            outcome = flight.outcome
            if not isinstance(outcome, Failure):
                return outcome, False
            # Whoever has more time than the one who asked does not share that one's hurry.
            has_more_time = deadline.at > flight.deadline.at + MORE_TIME_SECONDS
            if not (has_more_time and issubclass(outcome.kind, ZendeskTimeout)):
                raise outcome.error()

    def _is_begun(
        self, beside: Executor | None, key: tuple[Subdomain, Hashable], flight: _Flight[T], ask: Callable[[], T]
    ) -> bool:
        """Return whether a thread beside this one asks."""
        if beside is None:
            return False
        account, _ = key
        return beside.begin(account, f"ask-{account}", lambda: self._lead(key, flight, ask)) is not None

    def _lead(self, key: tuple[Subdomain, Hashable], flight: _Flight[T], ask: Callable[[], T]) -> T:
        try:
            result = flight.outcome = ask()
        except ServiceError as failure:
            flight.outcome = Failure.of(failure)
            raise
        finally:
            with self._lock:
                del self._flights[key]
            flight.done.set()
        return result
