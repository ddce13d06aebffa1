"""Pairs that Zendesk gave and Redis did not take yet: kept in this process's memory until Redis does.

The pair before is spent, so losing this one is losing the grant. A process that has to end with one in hand says so.
"""

import threading
import time
from collections.abc import Callable

import structlog

from service.errors import ServiceError, StoreUnavailable
from service.subdomains import Subdomain

RETRY_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class UnsavedPairs:
    """Goes on trying to settle what could not be stored, in a thread of its own that exists only while needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: dict[Subdomain, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None

    def keep(self, account: Subdomain, settle: Callable[[], None]) -> None:
        """Call `settle` until it no longer raises StoreUnavailable."""
        with self._lock:
            self._waiting[account] = settle
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="unsaved-pairs", daemon=True)
                self._thread.start()
        _log.error("pair_not_stored", account=account, consequence="kept in memory, trying again")

    def holds(self, account: Subdomain) -> bool:
        """Return whether a pair of this account waits to be stored."""
        with self._lock:
            return account in self._waiting

    def finish(self, seconds: float) -> None:
        """Give what waits up to `seconds` to be stored; for a process that ends."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._waiting and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            for account in self._waiting:
                _log.critical("pair_lost", account=account, consequence="the account has to be connected again")

    def _run(self) -> None:
        while True:
            with self._lock:
                waiting = dict(self._waiting)
                if not waiting:
                    self._thread = None
                    return
            for account, settle in waiting.items():
                try:
                    settle()
                except StoreUnavailable:
                    continue
                except Exception as fault:  # noqa: BLE001 - whatever it is, the pair is not given up for it
                    if not isinstance(fault, ServiceError):
                        _log.error("pair_not_settled", account=account, exc_info=fault)
                        continue
                    # Disconnected or connected anew meanwhile: settled as well, and this pair is revoked.
                    _log.info("pair_dropped", account=account, code=fault.code)
                with self._changed:
                    if self._waiting.get(account) is settle:
                        del self._waiting[account]
                    self._changed.notify_all()
            time.sleep(RETRY_SECONDS)
