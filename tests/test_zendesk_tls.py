"""TLS to accounts: whose certificates are taken."""

import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from service.ground.network_faults import NetworkFault, network_fault
from service.zendesk import transport
from service.zendesk.calls import NotSent, ZendeskCalls
from service.zendesk.transport import NotConnected, ZendeskAdapter, prepare_session
from tests.conftest import MakeApp
from tests.raw_server import http_reply
from tests.steps import collaborator
from tests.test_zendesk_transport import has_addresses
from tests.tls import Certificate, make_certificate, make_lax_chain


class Account:
    """A server under TLS that closes each connection after its reply."""

    def __init__(self, certificate: Certificate) -> None:
        self.answered = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"https://localhost:{self.port}/"
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


# --- a CA that does not say what its key is for ---


@pytest.fixture
def lax_account(tmp_path: Path) -> Iterator[tuple[Account, Path]]:
    certificate, authority = make_lax_chain(tmp_path)
    server = Account(certificate)
    yield server, authority
    server.close()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="this Python takes such a CA")
def test_a_ca_that_is_too_lax_for_this_python_is_told_as_that(
    make_app: MakeApp, lax_account: tuple[Account, Path]
) -> None:
    server, authority = lax_account
    session = prepare_session(requests.Session(), ZendeskAdapter(None, authority))
    with pytest.raises(NotSent) as raised, collaborator(make_app(), ZendeskCalls).translated():
        session.get(server.address, timeout=5)
    assert "Python 3.13" in raised.value.detail
    assert "issue it anew" in raised.value.detail
    assert server.answered == 0


def test_what_breaks_the_stricter_rules_is_known_whatever_this_python_insists_on(
    lax_account: tuple[Account, Path],
) -> None:
    server, authority = lax_account
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_connection(("127.0.0.1", server.port)) as connection, pytest.raises(ssl.SSLError) as raised:
        context.wrap_socket(connection, server_hostname="localhost")
    assert network_fault(raised.value) is NetworkFault.TOO_LAX
