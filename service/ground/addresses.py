"""Finds the addresses of hosts within a time limit, which the system's own look-up does not know."""

import contextlib
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from urllib3.util.connection import allowed_gai_family

# The system's look-up cannot be interrupted: it takes 5 to 30 s where name servers are silent. At most this many hang.
THREADS = 4
# A look-up that takes longer is not waited for where the addresses found last are known.
PATIENCE_SECONDS = 1.0
# TLS proves that the host is the right one, so an old address can at worst lead nowhere.
KNOWN_SECONDS = 3600.0
KNOWN_HOSTS = 256


class NameTimeout(TimeoutError):
    """The host's addresses were not found in time."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look-up brought; several callers may wait for one, so it holds no exception to be raised twice."""

    addresses: tuple[str, ...] = ()
    fault: tuple[int, str] | None = None
    """Number and words of the system's refusal."""


class Addresses:
    """Looks up hosts, each once at a time, in at most four threads of its own."""

    def __init__(self, look_up: Callable[..., Any] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[str, int, Future[_Found]]] = queue.SimpleQueue()
        self._open: dict[tuple[str, int], Future[_Found]] = {}
        self._known: dict[tuple[str, int], tuple[float, tuple[str, ...]]] = {}
        self._threads = 0

    def find(self, host: str, port: int, seconds: float) -> list[str]:
        """Return the host's addresses in the order in which they should be tried; at least one.

        Where the look-up hangs or fails for the moment, those found within the last hour.

        Raises:
            socket.gaierror: there is no such host, or the system cannot look it up.
            NameTimeout: nothing was found within `seconds`.
            RuntimeError: the system gives this process no thread to look it up with.
        """
        if _is_number(host):
            return [host]
        key = host, port
        known = self._still_known(key)
        try:
            found = self._begun(key).result(max(0.0, min(seconds, PATIENCE_SECONDS) if known else seconds))
        except TimeoutError:
            if known:
                return known
            raise NameTimeout(f"the addresses of {host} were not found in time") from None
        if found.fault is None:
            return list(found.addresses)
        if known and found.fault[0] == socket.EAI_AGAIN:
            return known
        raise socket.gaierror(*found.fault)

    def prepare(self) -> None:
        """Start the first thread now, if the system gives one: later it may not."""
        with contextlib.suppress(RuntimeError), self._lock:
            self._start_thread()

    def _begun(self, key: tuple[str, int]) -> "Future[_Found]":
        """Return the look-up of a host: the one under way, or a new one."""
        with self._lock:
            found = self._open.get(key)
            if found is None:
                # One more than needed does no harm, and there are never more than four.
                if self._threads < THREADS:
                    self._start_thread()
                found = self._open[key] = Future()
                self._queue.put((*key, found))
            return found

    def _start_thread(self) -> None:
        try:
            # Not of an executor, for whose threads the interpreter waits at its end.
            threading.Thread(target=self._run, name="addresses", daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _run(self) -> None:
        while True:
            host, port, future = self._queue.get()
            found = self._found(host, port)
            with self._lock:
                del self._open[host, port]
                if found.addresses:
                    self._known.pop((host, port), None)
                    self._known[host, port] = self._clock(), found.addresses
                    for forgotten in list(self._known)[:-KNOWN_HOSTS]:
                        del self._known[forgotten]
            future.set_result(found)

    def _found(self, host: str, port: int) -> _Found:
        look_up = socket.getaddrinfo if self._look_up is None else self._look_up
        try:
            found = look_up(host, port, allowed_gai_family(), socket.SOCK_STREAM)
        except OSError as fault:
            return _Found(fault=(fault.errno or socket.EAI_FAIL, fault.strerror or "unknown failure"))
        except UnicodeError:
            # A label that is empty or too long.
            return _Found(fault=(socket.EAI_NONAME, "not a host name"))
        addresses = tuple(str(address[0]) for *_, address in found)
        return _Found(addresses) if addresses else _Found(fault=(socket.EAI_NONAME, "no address"))

    def _still_known(self, key: tuple[str, int]) -> list[str] | None:
        at, addresses = self._known.get(key, (0.0, ()))
        return list(addresses) if addresses and self._clock() - at <= KNOWN_SECONDS else None


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
