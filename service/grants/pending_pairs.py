"""Token pairs not yet stored (or not surely), and tokens still to be revoked: retried in the background.

Kept in this process's memory until settled. The pair before is spent, so losing a pair is losing the grant. A process
that has to end with something in hand says so.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from service.ground.errors import ServiceError, StoreUnavailable
from service.ground.executor import Executor
from service.ground.subdomains import Subdomain

RETRY_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class NotYet(Exception):
    """What is in hand cannot be settled now, and is to be tried again for some time; the end does not wait for it."""


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


class PendingPairs:
    """Goes on trying to settle what is in hand, beside the requests."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: list[_Unsettled] = []
        self._put_off: set[_Unsettled] = set()
        self._expected: list[Subdomain] = []
        self._lanes: set[tuple[Subdomain, bool]] = set()
        """Those that are being looked after."""
        self._is_ending = False

    @contextmanager
    def expecting(self, account: Subdomain) -> Iterator[bool]:
        """Let the end of the process wait for the block: it asks for a pair, and stores it or gives it to `keep`.

        Yields whether it may: once the process ends, nobody would wait for what is begun now.
        """
        with self._changed:
            may_begin = not self._is_ending
            if may_begin:
                self._expected.append(account)
        try:
            yield may_begin
        finally:
            if may_begin:
                with self._changed:
                    self._expected.remove(account)
                    self._changed.notify_all()

    def keep(self, account: Subdomain, settle: Callable[[], object], *, is_pair: bool = True) -> None:
        """Call `settle` until it raises neither StoreUnavailable nor NotYet; `is_pair` False: about a loose token."""
        one = _Unsettled(account, settle, is_pair)
        with self._changed:
            self._waiting.append(one)
            self._changed.notify_all()
            self._start(one.lane)
        if is_pair:
            _log.error("not_stored", account=account, consequence="kept in memory, trying again")
        else:
            _log.info("token_to_be_settled", account=account)

    def holds(self, account: Subdomain) -> bool:
        """Return whether a pair of this account waits to be stored."""
        with self._changed:
            self._start_missing()
            return any(one.is_pair and one.account == account for one in self._waiting)

    def begin_no_more(self) -> None:
        """Let nobody begin to ask for a pair; for a process that ends."""
        with self._changed:
            self._is_ending = True

    def finish(self, seconds: float) -> None:
        """Give what waits or is expected up to `seconds` to be stored; for a process that ends.

        After `begin_no_more` nobody comes later: what is left then is given up.
        """
        end = time.monotonic() + seconds
        with self._changed:
            self._start_missing()
            while (self._expected or set(self._waiting) - self._put_off) and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            for account in {*self._expected, *(one.account for one in self._waiting if one.is_pair)}:
                _log.critical("pair_lost", account=account, consequence="the account has to be connected again")
            for account in {one.account for one in self._waiting if not one.is_pair}:
                _log.warning("token_left", account=account, consequence="it may live on at Zendesk, used by nobody")
            if self._is_ending:
                self._waiting.clear()
                self._changed.notify_all()

    def _start_missing(self) -> None:
        """Look after the lanes for which there was no thread before."""
        for lane in {one.lane for one in self._waiting}:
            self._start(lane)

    def _try_again(self) -> None:
        with self._changed:
            self._start_missing()

    def _start(self, lane: tuple[Subdomain, bool]) -> None:
        """Have the lane looked after; the caller holds the lock."""
        if lane in self._lanes:
            return
        name = "unsaved-pairs" if lane[1] else "loose-tokens"
        begun = self._executor.begin(lane[0], name, lambda: self._settle_all(lane), when_free=self._try_again)
        if begun is None:
            # What is in hand stays there until a thread is free; the next who comes by tries, too.
            _log.warning("no_thread", account=lane[0], name=name)
        else:
            self._lanes.add(lane)

    def _settle_all(self, lane: tuple[Subdomain, bool]) -> None:
        while True:
            with self._changed:
                waiting = [one for one in self._waiting if one.lane == lane]
                if not waiting:
                    # Under the same lock: whoever adds something now begins anew.
                    self._lanes.remove(lane)
                    return
            for one in waiting:
                if self._is_settled(one):
                    with self._changed:
                        # `finish` may have given it up meanwhile.
                        if one in self._waiting:
                            self._waiting.remove(one)
                        self._put_off.discard(one)
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
        except NotYet:
            with self._changed:
                self._put_off.add(one)
                self._changed.notify_all()
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
