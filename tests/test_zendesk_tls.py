"""TLS to accounts: whose certificates are taken."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from service.zendesk import transport
from service.zendesk.transport import NotConnected, ZendeskAdapter, prepare_session
from tests.raw_server import http_reply
from tests.test_zendesk_transport import has_addresses
from tests.tls import Certificate, make_certificate


class Account:
    """A server under TLS that closes each connection after its reply."""

    def __init__(self, certificate: Certificate) -> None:
        self.answered = 0
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
            try:
                with self._context.wrap_socket(connection, server_side=True) as caller:
                    caller.recv(65536)
                    self.answered += 1
                    caller.sendall(http_reply(b"{}", "Connection: close"))
            except OSError:
                connection.close()


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


def test_a_certificate_of_a_known_authority_is_taken(session: requests.Session, account: Account) -> None:
    assert session.get(account.address, timeout=10).content == b"{}"


def test_a_certificate_of_another_host_is_refused(
    session: requests.Session, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_addresses(monkeypatch, 1, int(account.address.rstrip("/").rpartition(":")[2]))
    with pytest.raises(NotConnected, match="CERTIFICATE_VERIFY_FAILED"):
        session.get(account.address.replace("localhost", "acme.test"), timeout=10)
    assert account.answered == 0


def test_a_certificate_of_an_unknown_authority_is_refused(account: Account) -> None:
    with pytest.raises(NotConnected, match="CERTIFICATE_VERIFY_FAILED"):
        prepare_session(requests.Session(), ZendeskAdapter()).get(account.address, timeout=10)
    assert account.answered == 0
