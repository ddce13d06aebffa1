"""A certificate nobody vouches for, and a store that is reached through TLS, as hosted ones are."""

import datetime as dt
import ipaddress
import selectors
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificate(NamedTuple):
    """Two PEM files."""

    certificate: Path
    key: Path

    def browser(self) -> requests.Session:
        """Return a browser that knows this certificate, and no proxy of the machine's."""
        browser = requests.Session()
        browser.verify = str(self.certificate)
        browser.trust_env = False
        return browser


def make_certificate(folder: Path, host: str = "localhost") -> Certificate:
    """Return a self-signed certificate for a host (and 127.0.0.1), valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _begun(key, subject=host, issuer=host)
        .add_extension(_names(host), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _written(folder, certificate, key)


def make_lax_chain(folder: Path, host: str = "localhost") -> tuple[Certificate, Path]:
    """Return a host's certificate, and the file of the CA that signed it: one that does not say what its key is for."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = (
        _begun(ca_key, subject="A lax CA", issuer="A lax CA")
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    certificate = (
        _begun(key, subject=host, issuer="A lax CA")
        .add_extension(_names(host), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    authority = folder / "ca.pem"
    authority.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return _written(folder, certificate, key), authority


def _begun(key: ec.EllipticCurvePrivateKey, *, subject: str, issuer: str) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
    )


def _names(host: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


def _written(folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
    files = Certificate(folder / "certificate.pem", folder / "key.pem")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files.key.write_bytes(private)
    return files


class _Relay(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, TLSFront)
        try:
            with (
                server.context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection(("127.0.0.1", server.behind)) as store,
            ):
                _relay(client, store)
        except OSError:
            # The other side refuses the certificate, or goes away: that is what is being tested.
            return


def _relay(client: ssl.SSLSocket, store: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, store)
        selector.register(store, selectors.EVENT_READ, client)
        while True:
            for ready, _ in selector.select():
                source = ready.fileobj
                assert isinstance(source, socket.socket)
                data = source.recv(65536)
                if not data:
                    return
                ready.data.sendall(data)
                # TLS may hold more than the selector sees.
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    ready.data.sendall(source.recv(65536))


class TLSFront(socketserver.ThreadingTCPServer):
    """Speaks TLS on a port of its own and passes everything on to a server behind it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, behind: int, certificate: Certificate) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.behind = behind
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()
