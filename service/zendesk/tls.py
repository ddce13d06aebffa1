"""TLS to accounts: whom it trusts, and sessions that a new connection takes up again."""

import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# Counted from the end of its connection. Taken up again it verifies no certificate, as an open connection does not.
RESUMED_SECONDS = 3600.0
# Hosts, some 5 KB each.
REMEMBERED_HOSTS = 256


class _Ended(NamedTuple):
    session: ssl.SSLSession
    at: float
    """When its connection ended, on the clock."""


class ResumingContext(ssl.SSLContext):
    """Verifies certificates and host names, and resumes the session of a host's last connection (RFC 8446, 2.2).

    That is half the processor time of a new one (0.6 ms of 1.2), and Zendesk closes what is idle. `clock` is monotonic.
    """

    __clock: Callable[[], float]
    # Without a lock: connections are closed by the garbage collector, too, in the middle of anything.
    __ended: dict[str, _Ended]

    @classmethod
    def trusting(
        cls, authorities: str, more: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> "ResumingContext":
        """Return a context that trusts the certification authorities in a PEM file, and those in another one.

        Raises:
            OSError: it cannot be read, or holds none (`ssl.SSLError`).
        """
        # As `ssl.create_default_context`: this protocol requires a certificate for the host's name.
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        if sys.version_info >= (3, 13):
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
        context.load_verify_locations(authorities)
        if more is not None:
            context.load_verify_locations(more)
        context.__clock, context.__ended = clock, {}
        return context

    def note_end(self, tls: ssl.SSLSocket) -> None:
        """Remember the session of a connection that is about to be closed, if its host was verified for it."""
        session, host = tls.session, tls.server_hostname
        # Not one that was resumed: so none lives on by being taken up again and again.
        if session is None or host is None or tls.session_reused:
            return
        self.__ended.pop(host, None)
        self.__ended[host] = _Ended(session, self.__clock())
        for forgotten in list(self.__ended)[:-REMEMBERED_HOSTS]:
            self.__ended.pop(forgotten, None)

    def wrap_socket(  # type: ignore[override]  # urllib3 names no other option
        self, sock: socket.socket, *, server_hostname: str
    ) -> ssl.SSLSocket:
        """Return a connection under TLS, which resumes the host's last session if that is not too long ago.

        Raises:
            OSError: the connection broke, or its host is not who it should be (`ssl.SSLError`).
        """
        last = self.__ended.get(server_hostname)
        session = last.session if last is not None and self.__clock() - last.at <= RESUMED_SECONDS else None
        try:
            return super().wrap_socket(sock, server_hostname=server_hostname, session=session)
        except OSError:
            # It may be the session that the host cannot bear: the next connection begins a new one.
            self.__ended.pop(server_hostname, None)
            raise
