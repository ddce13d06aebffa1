"""Pooled connections to Zendesk, each call within a total time limit and a size cap.

A watchdog shuts the socket when the time is up, and the cap is counted while reading.
"""

import contextlib
import io
import ipaddress
import re
import socket
import threading
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, ReadTimeoutError
from urllib3.poolmanager import PoolKey, PoolManager, ProxyManager
from urllib3.util import make_headers

from service.ground.addresses import Addresses, NameTimeout
from service.ground.memo import Memo
from service.ground.outbound_proxy import OutboundProxy
from service.zendesk.tls import trusting
from service.zendesk.watchdog import Watch, Watchdog

CONNECT_SECONDS = 3.0
LARGEST_REPLY_BYTES = 5 * 1024 * 1024
# One connection pool an account in use; requests' default of 10 would reconnect for ever. Each idle connection, mostly
# one an account, holds a file and, under TLS, 37 KB: some systems allow a process 1,024 files, small plans 512 MB.
POOLED_ACCOUNTS = 256
# Idle connections kept per account: a process never has more than four calls to one, and a token call.
CONNECTIONS_PER_ACCOUNT = 5
_CHUNK_BYTES = 65536
# http.client's words.
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})", re.ASCII)


class TotalTimeout(requests.Timeout):
    """The whole call took longer than it may."""


class NotConnected(requests.ConnectionError):
    """No connection came about, so nothing was sent; its cause says why."""


class NotConnectedInTime(TotalTimeout):
    """No connection came about within the call's time, so nothing was sent."""


class ReplyTooLarge(requests.RequestException):
    """The reply is larger than anything Zendesk has to say."""


class ProxyRefused(OSError):
    """The outbound proxy does not open a tunnel."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered {status} to CONNECT")
        self.status = status


class _CallInProgress(threading.local):
    watch: Watch | None = None
    addresses: Addresses | None = None


_call = _CallInProgress()


class _Watched:
    """A connection that tells the calling thread's watch that it is in use."""

    def connect(self) -> None:
        self._tell()
        super().connect()  # type: ignore[misc]  # mixed into connections only
        self._tell(is_connected=True)

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers, all within the call's time: urllib3 gives its limit to each."""
        connection: Any = self
        host, timeout = connection._dns_host, connection.timeout  # noqa: SLF001 - what urllib3 connects to
        *others, last = self._found(host)
        try:
            for address in others:
                with contextlib.suppress(NewConnectionError, ConnectTimeoutError):
                    return self._connected(address, timeout)
            return self._connected(last, timeout)
        finally:
            # The name is what TLS verifies.
            connection._dns_host, connection.timeout = host, timeout  # noqa: SLF001 - likewise

    def _found(self, host: str) -> list[str]:
        """Return the host's addresses, looked up within the call's time."""
        connection: Any = self
        if _call.watch is None or _call.addresses is None:
            return [host]
        try:
            return _call.addresses.find(host, connection.port, _call.watch.left())
        except socket.gaierror as fault:
            raise NameResolutionError(host, connection, fault) from fault
        except NameTimeout as fault:
            raise ConnectTimeoutError(connection, "the host's addresses were not found in time") from fault
        except RuntimeError as fault:
            raise NewConnectionError(connection, "no thread to look the host up with") from fault

    def _connected(self, address: str, timeout: float) -> socket.socket:
        connection: Any = self
        left = timeout if _call.watch is None else _call.watch.left()
        if left <= 0:
            raise ConnectTimeoutError(connection, "the call's time is up")
        connection._dns_host, connection.timeout = address, min(timeout, left)  # noqa: SLF001 - likewise
        return super()._new_conn()  # type: ignore[misc,no-any-return]  # mixed into connections only

    def request(self, *args: Any, **kwargs: Any) -> None:
        # One without TLS connects only now.
        connection: Any = self
        self._tell(is_connected=connection.sock is not None)
        super().request(*args, **kwargs)  # type: ignore[misc]  # likewise

    def _tell(self, *, is_connected: bool = False) -> None:
        if _call.watch is not None:
            _call.watch.uses(self)  # type: ignore[arg-type]  # likewise
            _call.watch.is_connected |= is_connected


class _WatchedHTTPConnection(_Watched, HTTPConnection):
    pass


class _WatchedHTTPSConnection(_Watched, HTTPSConnection):
    def _tunnel(self) -> None:
        try:
            super()._tunnel()
        except OSError as fault:
            # The class is the same as for a broken connection.
            refusal = _TUNNEL_REFUSED.match(str(fault))
            if refusal is None:
                raise
            raise ProxyRefused(int(refusal[1])) from None


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPSConnection


_Place = tuple[PoolKey, dict[str, Any]]
"""Where urllib3 finds the connections to an origin, and how it makes them."""


class ZendeskAdapter(HTTPAdapter):
    """Sends one request and reads its whole reply, within a total time limit and a size cap.

    `timeout` is that total, in seconds, and must be given. The reply's body is always read. `proxy` None: every host is
    called directly, as loopback always is. `authorities`: a PEM file of those trusted besides the usual ones.
    """

    def __init__(self, proxy: OutboundProxy | None = None, authorities: Path | None = None) -> None:
        self.__watchdog = Watchdog()
        self.__addresses = Addresses()
        self.__places: Memo[str, _Place] = Memo(POOLED_ACCOUNTS)
        self.__tls = trusting(DEFAULT_CA_BUNDLE_PATH, authorities)
        super().__init__(pool_connections=POOLED_ACCOUNTS, pool_maxsize=CONNECTIONS_PER_ACCOUNT)
        self.__tunnels = None if proxy is None else _tunnels_of(proxy)

    def prepare(self) -> None:
        """Start the threads that every call needs, as far as the system gives them."""
        with contextlib.suppress(RuntimeError):
            self.__watchdog.start()
        self.__addresses.prepare()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self.__tls} if host["scheme"] == "https" else {}

    # The next three do for each call what requests does, without what is the same for all calls to an origin, or not
    # there: proxies, cookies, the encoding of a text.

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: Any,
        proxies: Any = None,  # noqa: ARG002 - none is used
        cert: Any = None,  # noqa: ARG002 - none is used
    ) -> HTTPConnectionPool:
        """Return the pool of the request's origin."""
        manager: PoolManager = self.poolmanager
        if self.__tunnels is not None and not _is_loopback(_origin(request)):
            manager = self.__tunnels

        def place() -> _Place:
            try:
                host, tls = self.build_connection_pool_key_attributes(request, verify)
            except ValueError as fault:
                raise requests.exceptions.InvalidURL(fault, request=request) from fault
            context = {**manager.connection_pool_kw, **tls, **host}
            return manager.key_fn_by_scheme[host["scheme"]](context), context

        key, context = self.__places.get(_origin(request), place)
        # A copy: urllib3 takes out of it what it has used, and makes a pool anew where it has forgotten one.
        return manager.connection_from_pool_key(key, dict(context))

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:  # noqa: ARG002 - none is used
        """Return the path with its query."""
        return str(request.url).removeprefix(_origin(request)) or "/"

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return the reply with its body still to be read."""
        response = requests.Response()
        response.status_code, response.reason, response.headers = resp.status, resp.reason, resp.headers
        response.raw, response.request, response.url = resp, req, str(req.url)
        return response

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave verification to the shared context.

        requests would name the CA file on the pool, and urllib3 would then parse it again for each new connection:
        20 ms of CPU against 2.
        """

    def send(  # type: ignore[override]  # the stubs' timeout is wider; ours is a total
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - requests' signature
        timeout: float | None = None,
        verify: bool | str | None = True,  # noqa: ARG002 - always verified
        cert: Any = None,  # noqa: ARG002 - none is used
        proxies: Any = None,  # noqa: ARG002 - none is used
    ) -> requests.Response:
        """Return the reply with its body read.

        Raises:
            TotalTimeout: not done within `timeout` seconds.
            NotConnectedInTime, NotConnected: nothing was sent.
            ReplyTooLarge: the body is over 5 MB.
            requests.RequestException: any other failure of the network.
        """
        if timeout is None:
            raise ValueError("a call to Zendesk needs a time limit")
        if timeout <= 0:
            raise TotalTimeout(request=request)
        try:
            watch = self.__watchdog.watch(timeout)
        except RuntimeError as fault:
            raise NotConnected("no thread can be started") from fault
        _call.watch, _call.addresses = watch, self.__addresses
        try:
            connect = min(CONNECT_SECONDS, timeout)
            response = super().send(request, stream=True, timeout=(connect, timeout), verify=True)
            response.raw = io.BytesIO(_read(response))
        except (requests.RequestException, HTTPError, OSError) as fault:
            if not watch.is_connected:
                is_late = watch.expired or isinstance(fault, requests.Timeout)
                raise (NotConnectedInTime if is_late else NotConnected)(fault, request=request) from fault
            # The socket's own limit is the same, and may end first while a body is read.
            if watch.expired or isinstance(fault, ReadTimeoutError | TimeoutError):
                raise TotalTimeout(request=request) from fault
            if isinstance(fault, requests.RequestException):
                raise
            raise requests.ConnectionError(fault, request=request) from fault
        finally:
            watch.end()
            _call.watch = _call.addresses = None
        if watch.expired:
            # A shut socket can look like the regular end of a body without a length.
            raise TotalTimeout(request=request)
        return response


def _tunnels_of(proxy: OutboundProxy) -> ProxyManager:
    """Return the pools of connections through a proxy; its credentials are only in the header that it is sent."""
    header = None if proxy.credentials is None else make_headers(proxy_basic_auth=proxy.credentials)
    manager = ProxyManager(
        proxy.address, POOLED_ACCOUNTS, proxy_headers=header, maxsize=CONNECTIONS_PER_ACCOUNT, block=False
    )
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager


def _is_loopback(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(request: requests.PreparedRequest) -> str:
    """Return scheme, host and port of a request's address."""
    return "/".join(str(request.url).split("/", 3)[:3])


def _read(response: requests.Response) -> bytes:
    chunks, size = [], 0
    try:
        for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_REPLY_BYTES:
                raise ReplyTooLarge(f"more than {LARGEST_REPLY_BYTES} bytes", response=response)
    except BaseException:
        response.raw.close()
        raise
    response.raw.release_conn()
    return b"".join(chunks)


def prepare_session(session: requests.Session, adapter: ZendeskAdapter) -> requests.Session:
    """Return `session` made safe for calls with secrets: our adapter, no cookies, nothing from the environment."""
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
