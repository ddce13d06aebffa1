"""One at a time: first in this process, then among all of them.

Waiting in the process costs no Redis; the lease in Redis ends by itself if its holder stops.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from redis.exceptions import LockError
from redis.lock import Lock

from service.ground import metrics
from service.ground.deadlines import Deadline
from service.ground.errors import ServiceError, StoreUnavailable, ZendeskTimeout
from service.ground.executor import Executor
from service.ground.subdomains import Subdomain
from service.store.store import Store, StoreRefused

# Longer than any token call (10 s in total) and the write after it (2 s); not renewed, so that a process that stops
# in the middle blocks nobody for longer.
LEASE_SECONDS = 15
LEASE_POLL_SECONDS = 0.05
# Between tries to give back a lease for which Redis was away.
RELEASE_RETRY_SECONDS = 0.5


class _ThreadLock:
    """A lock that goes when nobody holds it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Leases:
    """Locks among the threads of this process and leases among all processes, by name."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._thread_locks: WeakValueDictionary[str, _ThreadLock] = WeakValueDictionary()
        self._lock = threading.Lock()

    @contextmanager
    def wait(self, account: Subdomain, name: str, deadline: Deadline) -> Iterator[None]:
        """Hold this process's lock for (account, name).

        Raises:
            ZendeskTimeout: not within the deadline.
        """
        thread_lock = self._thread_lock(_lease_key(account, name))
        began = time.monotonic()
        try:
            if not thread_lock.lock.acquire(timeout=max(0.0, deadline.left())):
                raise too_late()
        finally:
            # An integration's name may hold the account's.
            metrics.LOCK_WAIT.labels(name.partition(":")[0]).observe(time.monotonic() - began)
        try:
            yield
        finally:
            thread_lock.lock.release()

    @contextmanager
    def at_once(self, account: Subdomain, name: str) -> Iterator[bool]:
        """Yield whether this thread is the only one of the process that is about `name`; does not wait."""
        thread_lock = self._thread_lock(_lease_key(account, name))
        is_ours = thread_lock.lock.acquire(blocking=False)
        try:
            yield is_ours
        finally:
            if is_ours:
                thread_lock.lock.release()

    @contextmanager
    def lease(self, account: Subdomain, name: str, *, left_with: type[ServiceError] | tuple[()] = ()) -> Iterator[bool]:
        """Try once to be the only one of all processes; yields whether we are.

        `left_with`: an error after which the work is not over, so that the lease is left to end by itself.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        lock = self._store.redis.lock(_lease_key(account, name), timeout=LEASE_SECONDS, thread_local=False)
        owner = secrets.token_hex(16)
        try:
            is_ours = self._store.translated(lambda: lock.acquire(blocking=False, token=owner))
        except StoreRefused:
            raise
        except StoreUnavailable:
            # It may be ours all the same.
            self._give_back_later(account, lock, owner)
            raise
        is_left = False
        try:
            yield is_ours
        except left_with:
            is_left = True
            raise
        finally:
            if is_ours and not is_left and not self._gave_back(lock, owner):
                self._give_back_later(account, lock, owner)

    def nap(self, deadline: Deadline) -> None:
        """Wait a moment for another process that holds the lease.

        Raises:
            ZendeskTimeout: the deadline is too near.
        """
        if deadline.left() < LEASE_POLL_SECONDS:
            raise too_late()
        time.sleep(LEASE_POLL_SECONDS)
        metrics.LEASE_WAIT.inc(LEASE_POLL_SECONDS)

    def _gave_back(self, lock: Lock, owner: str) -> bool:
        """Return whether the lease is not `owner`'s any more; False: Redis is away."""
        try:
            self._store.translated(lambda: self._release(lock, owner))
        except StoreUnavailable:
            return False
        return True

    def _give_back_later(self, account: Subdomain, lock: Lock, owner: str) -> None:
        """Go on trying until the lease has ended by itself: a Redis away for a second need not cost everybody 15.

        Where no thread is free for that, it does end by itself.
        """
        end = time.monotonic() + LEASE_SECONDS

        def run() -> None:
            while time.monotonic() < end and not self._gave_back(lock, owner):
                time.sleep(RELEASE_RETRY_SECONDS)

        self._executor.begin(account, "lease", run)

    def _release(self, lock: Lock, owner: str) -> None:
        """Give a lease back; an expired or lost one is not an error."""
        try:
            lock.do_release(owner)
        except LockError as fault:
            self._store.note_failure(fault)

    def _thread_lock(self, key: str) -> _ThreadLock:
        with self._lock:
            thread_lock = self._thread_locks.get(key)
            if thread_lock is None:
                thread_lock = self._thread_locks[key] = _ThreadLock()
            return thread_lock


def _lease_key(account: Subdomain, name: str) -> str:
    return f"zis:{{{account}}}:lease:{name}"


def too_late() -> ZendeskTimeout:
    """Return what waiting past the deadline means."""
    return ZendeskTimeout("Zendesk did not give an access token in time. Try again in a moment.", retry_after=2)
