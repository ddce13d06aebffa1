"""Where the production process listens, and what its master loads for all workers."""

import socket
import subprocess
import sys
from typing import Any

import pytest

from service.server.gunicorn_config import addresses_of
from tests.deploy.procfile import Dyno
from tests.steps import wait_until
from tests.workers import ROOT, free_port, inherited_environment

# Whether the application's module is there, and how often files are read for the first application that is made then.
LOADED = """
import sys
from service.server import gunicorn_config
gunicorn_config.on_starting(None)
print("service.app" in sys.modules)
from service.sidebar.files import collection
before = collection._read.cache_info().misses
import service.wsgi
print(collection._read.cache_info().misses - before)
"""


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class SystemSocket(socket.socket):
    """A socket of a system that differs from this one."""

    has_ipv6 = True
    ipv6_only = 0

    def __init__(self, family: int = socket.AF_INET, *arguments: Any, **options: Any) -> None:
        if family == socket.AF_INET6 and not self.has_ipv6:
            raise OSError("Address family not supported by protocol")
        super().__init__(socket.AF_INET, *arguments, **options)

    def bind(self, _address: Any) -> None:
        pass

    def getsockopt(self, *_arguments: Any) -> int:  # type: ignore[override]  # with a size it returns bytes
        return self.ipv6_only


@pytest.mark.parametrize(
    ("has_ipv6", "ipv6_only", "addresses"),
    [
        (True, 0, ["[::]:8000"]),
        (True, 1, ["[::]:8000", "0.0.0.0:8000"]),
        (False, 0, ["0.0.0.0:8000"]),
    ],
    ids=["one socket for both", "a socket for each", "no IPv6"],
)
def test_it_listens_on_all_addresses_that_the_system_has(
    has_ipv6: bool, ipv6_only: int, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemSocket, "has_ipv6", has_ipv6)
    monkeypatch.setattr(SystemSocket, "ipv6_only", ipv6_only)
    monkeypatch.setattr(socket, "socket", SystemSocket)
    assert addresses_of("8000") == addresses


def answers(family: socket.AddressFamily, host: str, port: int) -> bool:
    with socket.socket(family) as sock:
        sock.settimeout(30)
        try:
            sock.connect((host, port))
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return sock.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


@pytest.mark.skipif(not has_ipv6(), reason="this system has no IPv6")
def test_the_procfile_serves_ipv4_and_ipv6(environment: dict[str, str]) -> None:
    port = free_port()
    dyno = Dyno("web", **environment, PORT=str(port))
    try:
        wait_until(lambda: answers(socket.AF_INET, "127.0.0.1", port), 40)
        assert answers(socket.AF_INET6, "::1", port)
    finally:
        dyno.stop()


@pytest.mark.processes
def test_the_master_has_loaded_what_its_workers_share(environment: dict[str, str]) -> None:
    told = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", LOADED], cwd=ROOT, env={**inherited_environment(), **environment}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == ["True", "0"]
