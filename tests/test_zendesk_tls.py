"""TLS to accounts: a new connection resumes the last session of its host, for an hour, and trusts nobody for it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from service.zendesk import tls as tls_module
from service.zendesk import transport
from service.zendesk.tls import RESUMED_SECONDS, ResumingContext
from service.zendesk.transport import NotConnected, ZendeskAdapter, prepare_session
from tests.raw_server import http_reply
from tests.steps import wait_until
from tests.test_zendesk_transport import has_addresses
from tests.tls import Certificate, make_certificate


class Account:
    """A server under TLS that closes each connection after its reply, as Zendesk does in the end."""

    def __init__(self, certificate: Certificate) -> None:
        self.resumed: list[bool] = []
        """Of each connection that was answered."""
        self.is_broken = False
        """Closes each connection before TLS begins."""
        self.closes = True
        """Says with each reply that it is the connection's last; False: ends it without a word."""
        self.ended = 0
        """Connections that are closed."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"https://localhost:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.is_broken:
                connection.close()
                continue
            try:
                with self._context.wrap_socket(connection, server_side=True) as caller:
                    caller.recv(65536)
                    self.resumed.append(bool(caller.session_reused))
                    caller.sendall(http_reply(b"{}", *(["Connection: close"] if self.closes else [])))
            except OSError:
                connection.close()
            self.ended += 1


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def account(certificate: Certificate) -> Iterator[Account]:
    server = Account(certificate)
    yield server
    server.close()


@pytest.fixture
def session(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> requests.Session:
    """A session whose only authority is the test's own."""
    monkeypatch.setattr(transport, "DEFAULT_CA_BUNDLE_PATH", str(certificate.certificate))
    return prepare_session(requests.Session(), ZendeskAdapter())


def context_of(session: requests.Session) -> ResumingContext:
    adapter = session.get_adapter("https://")
    assert isinstance(adapter, ZendeskAdapter)
    tls = vars(adapter)["_ZendeskAdapter__tls"]
    assert isinstance(tls, ResumingContext)
    return tls


def ask(session: requests.Session, account: Account, times: int = 1) -> None:
    for _ in range(times):
        assert session.get(account.address, timeout=10).content == b"{}"


def test_a_new_connection_resumes_the_session_of_the_last_one(session: requests.Session, account: Account) -> None:
    ask(session, account, 4)
    assert account.resumed == [False, True, True, True]


def test_a_connection_that_was_kept_until_its_host_ended_it_is_resumed(
    session: requests.Session, account: Account
) -> None:
    account.closes = False
    for number in range(1, 4):
        ask(session, account)
        wait_until(lambda count=number: account.ended == count)  # type: ignore[misc]  # mypy infers no lambda's default
    assert account.resumed == [False, True, True]


def test_a_session_is_not_offered_again_to_a_host_that_broke_off(session: requests.Session, account: Account) -> None:
    ask(session, account, 2)
    account.is_broken = True
    with pytest.raises(requests.ConnectionError):
        session.get(account.address, timeout=10)
    account.is_broken = False
    ask(session, account, 2)
    assert account.resumed == [False, True, False, True]


def test_it_verifies_as_much_as_pythons_own(session: requests.Session, certificate: Certificate) -> None:
    own, pythons = context_of(session), ssl.create_default_context(cafile=str(certificate.certificate))
    for what in ("verify_flags", "verify_mode", "check_hostname", "options", "minimum_version", "maximum_version"):
        assert getattr(own, what) == getattr(pythons, what)


@pytest.mark.parametrize("times", [0, 1], ids=["at first", "with a session to resume"])
def test_a_certificate_of_another_host_is_refused(
    times: int, session: requests.Session, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(session, account, times)
    has_addresses(monkeypatch, 1, int(account.address.rstrip("/").rpartition(":")[2]))
    with pytest.raises(NotConnected, match="CERTIFICATE_VERIFY_FAILED"):
        session.get(account.address.replace("localhost", "acme.test"), timeout=10)
    assert len(account.resumed) == times


def test_a_session_is_not_resumed_for_more_than_an_hour(
    session: requests.Session, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(context_of(session), "_ResumingContext__clock", lambda: now[0])
    ask(session, account)
    now[0] += RESUMED_SECONDS
    ask(session, account, 2)
    # That it was resumed in between makes it no younger.
    now[0] += 1
    ask(session, account, 2)
    assert account.resumed == [False, True, True, False, True]


def test_a_host_has_no_session_of_another(session: requests.Session, account: Account) -> None:
    ask(session, account)
    address = account.address.replace("localhost", "127.0.0.1")
    assert session.get(address, timeout=10).content == b"{}"
    assert account.resumed == [False, False]


def test_the_hosts_asked_longest_ago_are_forgotten(
    session: requests.Session, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_module, "REMEMBERED_HOSTS", 1)
    ask(session, account)
    session.get(account.address.replace("localhost", "127.0.0.1"), timeout=10)
    ask(session, account)
    assert account.resumed == [False, False, False]


def test_a_server_that_knows_no_session_is_spoken_to_all_the_same(
    session: requests.Session, certificate: Certificate, account: Account
) -> None:
    ask(session, account)
    successor = Account(certificate)
    try:
        assert session.get(successor.address, timeout=10).content == b"{}"
        assert successor.resumed == [False]
    finally:
        successor.close()


def test_nobody_is_trusted_for_a_session_that_was_resumed(
    session: requests.Session, account: Account, tmp_path: Path
) -> None:
    ask(session, account, 2)
    folder = tmp_path / "another"
    folder.mkdir()
    impostor = Account(make_certificate(folder))
    try:
        with pytest.raises(NotConnected, match="CERTIFICATE_VERIFY_FAILED"):
            session.get(impostor.address, timeout=10)
        assert impostor.resumed == []
    finally:
        impostor.close()
