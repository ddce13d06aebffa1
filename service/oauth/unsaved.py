"""What Zendesk gave and Redis did not take yet, or may have taken, and tokens that are still to be revoked.

Kept in this process's memory until settled. The pair before is spent, so losing a pair is losing the grant. A process
that has to end with something in hand says so.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from service.errors import ServiceError, StoreUnavailable
from service.subdomains import Subdomain

RETRY_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class PairInHand(StoreUnavailable):
    """Zendesk gave a pair that Redis does not take yet; this process goes on trying."""


@dataclass(frozen=True, slots=True, eq=False)
class _Unsettled:
    """One thing in hand."""

    account: Subdomain
    settle: Callable[[], object]
    is_pair: bool
    """False: what is lost with it is only that a token, which nobody uses, is revoked."""

    @property
    def lane(self) -> tuple[Subdomain, bool]:
        """What it waits in line with: no pair behind a token's revocation, nobody behind a slow account."""
        return self.account, self.is_pair


class UnsavedPairs:
    """Goes on trying to settle what is in hand, in threads of its own that exist only while needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: list[_Unsettled] = []
        self._expected: list[Subdomain] = []
        self._threads: dict[tuple[Subdomain, bool], threading.Thread] = {}

    @contextmanager
    def expecting(self, account: Subdomain) -> Iterator[None]:
        """Let the end of the process wait for the block: it asks for a pair, and stores it or gives it to `keep`."""
        with self._changed:
            self._expected.append(account)
        try:
            yield
        finally:
            with self._changed:
                self._expected.remove(account)
                self._changed.notify_all()

    def keep(self, account: Subdomain, settle: Callable[[], object], *, is_pair: bool = True) -> None:
        """Call `settle` until it no longer raises StoreUnavailable; `is_pair` False: it is about a loose token."""
        one = _Unsettled(account, settle, is_pair)
        with self._changed:
            self._waiting.append(one)
            self._changed.notify_all()
            if one.lane not in self._threads:
                name = "unsaved-pairs" if is_pair else "loose-tokens"
                thread = threading.Thread(target=self._run, args=(one.lane,), name=name, daemon=True)
                self._threads[one.lane] = thread
                thread.start()
        if is_pair:
            _log.error("not_stored", account=account, consequence="kept in memory, trying again")
        else:
            _log.info("token_to_be_settled", account=account)

    def holds(self, account: Subdomain) -> bool:
        """Return whether a pair of this account waits to be stored."""
        with self._lock:
            return any(one.is_pair and one.account == account for one in self._waiting)

    def finish(self, seconds: float) -> None:
        """Give what waits or is expected up to `seconds` to be stored; for a process that ends."""
        end = time.monotonic() + seconds
        with self._changed:
            while (self._waiting or self._expected) and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            for account in {*self._expected, *(one.account for one in self._waiting if one.is_pair)}:
                _log.critical("pair_lost", account=account, consequence="the account has to be connected again")
            for account in {one.account for one in self._waiting if not one.is_pair}:
                _log.warning("token_left", account=account, consequence="it may live on at Zendesk, used by nobody")

    def _run(self, lane: tuple[Subdomain, bool]) -> None:
        while True:
            with self._changed:
                waiting = [one for one in self._waiting if one.lane == lane]
                if not waiting:
                    del self._threads[lane]
                    return
            for one in waiting:
                if self._is_settled(one):
                    with self._changed:
                        self._waiting.remove(one)
                        self._changed.notify_all()
            with self._changed:
                if any(one.lane == lane for one in self._waiting):
                    # Until the next try, or until there is something new to try.
                    self._changed.wait(RETRY_SECONDS)

    def _is_settled(self, one: _Unsettled) -> bool:
        try:
            one.settle()
        except StoreUnavailable:
            return False
        except ServiceError as outcome:
            # Disconnected or connected anew meanwhile: settled as well, and this pair is revoked.
            _log.info("dropped", account=one.account, code=outcome.code)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the pair is not given up for it
            _log.error("not_settled", account=one.account, exc_info=fault)
            return False
        else:
            _log.info("settled", account=one.account)
        return True
