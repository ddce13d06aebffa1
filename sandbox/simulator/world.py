"""The whole simulated Zendesk behind one lock, and the log of calls to it."""

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.simulator.accounts import Account
from sandbox.simulator.default_world import default_accounts

# A load test's worth; older calls fall out.
CALLS_KEPT = 200_000


@dataclass(slots=True)
class Call:
    """One request to an account, without any secret; written on arrival, `status` when it was answered."""

    at: float
    account: str
    method: str
    path: str
    """Below the account's address, without query."""
    query: tuple[str, ...]
    """Names only."""
    job_spec_name: str | None
    integration: str | None
    """From the path, or from the job spec's qualified name."""
    token_client: str | None
    """Identifier of the bearer's client; None: no bearer, or an unknown one."""
    grant_type: str | None
    status: int | None = None
    """None: not answered yet; 0: the connection was dropped or reset."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class World:
    """Accounts by subdomain and the call log; whoever reads or changes them elsewhere holds `lock`.

    `redirect_uris` are the service's own, in the list of the ordinary client and, by switch, of every `zis_*` client.
    """

    def __init__(self, redirect_uris: list[str]) -> None:
        self.lock = threading.RLock()
        self.redirect_uris = redirect_uris
        self.accounts: dict[str, Account] = default_accounts()
        self._calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self._held = 0
        self._held_changed = threading.Condition(self.lock)

    def account(self, subdomain: str) -> Account:
        """Return the account.

        Raises:
            KeyError: there is none of this name.
        """
        return self.accounts[subdomain]

    def reset(self) -> None:
        """Go back to the default world, and let go every held request."""
        with self.lock:
            former, self.accounts = self.accounts, default_accounts()
            self._calls.clear()
            for account in former.values():
                account.release()

    def owner_of(self, integration: str) -> Account | None:
        """Return the account that registered the integration; names are unique over all accounts."""
        return next((account for account in self.accounts.values() if integration in account.integrations), None)

    # --- calls ---

    def log(self, call: Call) -> None:
        with self.lock:
            self._calls.append(call)

    def clear_calls(self) -> None:
        """Empty the call log."""
        with self.lock:
            self._calls.clear()

    def calls(
        self,
        *,
        account: str | None = None,
        path_contains: str = "",
        method: str | None = None,
        grant_type: str | None = None,
        integration: str | None = None,
        status: int | None = None,
    ) -> list[Call]:
        """Return the calls that fit every criterion given, oldest first; their number is `len`."""
        wanted: dict[str, str | int | None] = {"account": account, "method": method, "grant_type": grant_type}
        wanted |= {"integration": integration, "status": status}
        criteria = [(name, value) for name, value in wanted.items() if value is not None]
        with self.lock:
            return [
                call
                for call in self._calls
                if path_contains in call.path and all(getattr(call, name) == value for name, value in criteria)
            ]

    # --- held requests ---

    def count_held(self, change: int) -> None:
        """Note that one more (or one less) request waits in a fault."""
        with self._held_changed:
            self._held += change
            self._held_changed.notify_all()

    def wait_until_held(self, count: int, *, timeout_seconds: float = 30.0) -> None:
        """Return once at least `count` requests wait in faults `hold`, `hang` or `slow`; tests need not sleep.

        Raises:
            TimeoutError: they did not come.
        """
        with self._held_changed:
            if not self._held_changed.wait_for(lambda: self._held >= count, timeout_seconds):
                raise TimeoutError(f"{self._held} of {count} requests are held after {timeout_seconds} s")
