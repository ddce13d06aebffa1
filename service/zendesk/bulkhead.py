"""How many of this process's threads a slow account may hold.

Waiting costs a thread. While an account's call to Zendesk has been open for long, or its last one was given up, at most
a quarter of the threads may wait for that account; the others are told so at once.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ZendeskTimeout
from service.subdomains import Subdomain

# From here on a call counts as slow: Zendesk answers in 0.1 to 0.3 s.
SLOW_AFTER_SECONDS = 3.0
SLOW_RETRY_AFTER_SECONDS = 5
# Without gunicorn's word (set_threads): a modest guess.
DEFAULT_THREADS = 32


class _Account:
    __slots__ = ("calls", "gave_up", "holders")

    def __init__(self) -> None:
        self.holders = 0
        self.calls: dict[int, float] = {}
        self.gave_up = False


class _Held(threading.local):
    account: Subdomain | None = None
    was_let_go: bool = False


class Bulkhead:
    """Counts, per account, the threads that wait and the calls that are open."""

    def __init__(self, threads: int = DEFAULT_THREADS) -> None:
        self._quota = max(1, threads // 4)
        self._lock = threading.Lock()
        self._accounts: dict[Subdomain, _Account] = {}
        self._held = _Held()
        self._numbers = 0

    def set_threads(self, threads: int) -> None:
        """Say how many threads this process serves requests with."""
        self._quota = max(1, threads // 4)

    @contextmanager
    def holding(self, account: Subdomain) -> Iterator[None]:
        """Count the calling thread as one that may wait for `account`; entering again in the same thread is free.

        Raises:
            ZendeskTimeout: the account is slow and holds its quarter already.
        """
        if self._held.account == account:
            yield
            return
        with self._lock:
            entry = self._accounts.setdefault(account, _Account())
            if self._is_slow(entry) and entry.holders >= self._quota:
                raise _slow()
            entry.holders += 1
        self._held.account, self._held.was_let_go = account, False
        try:
            yield
        finally:
            self._held.account = None
            with self._lock:
                if not self._held.was_let_go:
                    entry.holders -= 1
                self._tidy(account, entry)

    def check(self, account: Subdomain) -> None:
        """Let go of the calling thread if the account has become slow and holds more than its quarter.

        To be called between two naps of a wait, inside `holding`.

        Raises:
            ZendeskTimeout: this thread is one too many.
        """
        with self._lock:
            entry = self._accounts.get(account)
            if entry is not None and self._is_slow(entry) and entry.holders > self._quota and not self._held.was_let_go:
                # Counted out here and not when it has left, so that no more are let go than necessary.
                entry.holders -= 1
                self._held.was_let_go = True
                raise _slow()

    @contextmanager
    def calling(self, account: Subdomain) -> Iterator[None]:
        """Count a call to Zendesk as open."""
        with self._lock:
            entry = self._accounts.setdefault(account, _Account())
            self._numbers += 1
            number = self._numbers
            entry.calls[number] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                began = entry.calls.pop(number)
                # An account that hung a moment ago will hang again: it must not fill the threads for 3 s each time.
                entry.gave_up = time.monotonic() - began > SLOW_AFTER_SECONDS
                self._tidy(account, entry)

    def _is_slow(self, entry: _Account) -> bool:
        if entry.gave_up:
            return True
        return bool(entry.calls) and time.monotonic() - min(entry.calls.values()) > SLOW_AFTER_SECONDS

    def _tidy(self, account: Subdomain, entry: _Account) -> None:
        # A thread that was let go may leave when a newer entry has taken its place.
        if self._accounts.get(account) is entry and not (entry.holders or entry.calls or entry.gave_up):
            del self._accounts[account]


def _slow() -> ZendeskTimeout:
    return ZendeskTimeout(
        "Zendesk is slow to answer for this account, and enough requests wait for it already. Try again in a moment.",
        retry_after=SLOW_RETRY_AFTER_SECONDS,
    )
