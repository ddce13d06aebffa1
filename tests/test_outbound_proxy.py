"""Zendesk through a proxy, and with a certification authority of one's own."""

import base64
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from service.ground.deadlines import Deadline
from service.ground.outbound_proxy import OutboundProxy
from service.ground.settings import Settings, SettingsError
from service.ground.subdomains import Subdomain
from service.zendesk.calls import NotReached, NotSent, ZendeskCalls
from service.zendesk.client import AccountClient, GivenToken
from service.zendesk.transport import ZendeskAdapter
from tests.conftest import MakeAdmin
from tests.connect_proxy import ConnectProxy
from tests.raw_server import RawServer, http_reply, make_calls
from tests.steps import services
from tests.tls import Certificate, TLSFront, make_certificate
from tests.workers import free_port

ACME = Subdomain("acme")
HOST = "acme.zendesk.test"
PASSWORD = "canary-p@ss"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """Signed by a certification authority that nobody else trusts."""
    return make_certificate(tmp_path, HOST)


@pytest.fixture
def account() -> Iterator[RawServer]:
    with RawServer(lambda _: [http_reply(b"{}", "Content-Type: application/json")]) as server:
        yield server


@pytest.fixture
def front(account: RawServer, certificate: Certificate) -> Iterator[TLSFront]:
    """The account as the proxy finds it."""
    with TLSFront(int(account.address.rpartition(":")[2]), certificate) as front:
        yield front


def calls_through(
    environment: dict[str, str], proxy: str, certificate: Certificate | None, template: str = "https://{subdomain}"
) -> ZendeskCalls:
    variables = {**environment, "OUTBOUND_PROXY": proxy}
    if certificate is not None:
        variables["ZENDESK_CA_FILE"] = str(certificate.certificate)
    settings = Settings.from_env(variables)
    # Not loopback, which the settings let nobody write.
    settings = dataclasses.replace(settings, zendesk_url_template=f"{template}.zendesk.test")
    return ZendeskCalls(settings, ZendeskAdapter(settings.outbound_proxy, settings.zendesk_ca_file))


def ask(calls: ZendeskCalls, seconds: float = 10) -> int:
    return AccountClient(calls, ACME, Deadline.after(seconds), GivenToken("the-token")).get("/api/v2/x").status


def change(calls: ZendeskCalls) -> int:
    client = AccountClient(calls, ACME, Deadline.after(10), GivenToken("the-token"))
    return client.change("POST", "/api/v2/x").status


def test_an_account_is_called_through_the_proxy(
    environment: dict[str, str], front: TLSFront, certificate: Certificate, account: RawServer
) -> None:
    with ConnectProxy(front.port) as proxy:
        calls = calls_through(environment, proxy.address, certificate)
        assert [ask(calls), ask(calls)] == [200, 200]
    # One tunnel for both, and the token inside of it.
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {HOST}:443 HTTP/1.")
    assert "Authorization" not in head
    assert b"Authorization: Bearer the-token" in account.requests[0]
    assert account.requests[0].startswith(b"GET /api/v2/x HTTP/1.1\r\n")


def test_the_proxy_is_shown_its_credentials_and_the_account_is_not(
    environment: dict[str, str], front: TLSFront, certificate: Certificate, account: RawServer
) -> None:
    with ConnectProxy(front.port) as proxy:
        address = proxy.address.replace("//", "//user:canary-p%40ss@")
        assert ask(calls_through(environment, address, certificate)) == 200
    shown = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    assert f"Proxy-Authorization: Basic {shown}\r\n".lower() in proxy.heads[0].lower()
    assert b"proxy-authorization" not in account.requests[0].lower()


@pytest.mark.parametrize(
    ("status", "words"), [(407, "user and password"), (403, "does not let this service reach"), (502, "(502)")]
)
@pytest.mark.parametrize("call", [ask, change])
def test_a_refused_tunnel_is_told_as_not_sent(
    status: int, words: str, call: Callable[[ZendeskCalls], int], environment: dict[str, str]
) -> None:
    with ConnectProxy(0, status) as proxy:
        calls = calls_through(environment, proxy.address.replace("//", "//user:canary-p%40ss@"), None)
        with pytest.raises(NotSent) as raised:
            call(calls)
    assert words in raised.value.detail
    assert raised.value.code == "zendesk_unavailable"
    assert len(proxy.heads) == 2
    told, cause = "", raised.value.__cause__
    while cause is not None:
        told += repr(cause) + str(cause)
        cause = cause.__cause__ or cause.__context__
    assert "canary" not in told


def test_a_proxy_that_hangs_costs_no_more_than_the_calls_time(environment: dict[str, str]) -> None:
    began = time.monotonic()
    with ConnectProxy(0, None) as proxy, pytest.raises(NotReached):
        ask(calls_through(environment, proxy.address, None), seconds=0.3)
    assert time.monotonic() - began < 20


def test_a_proxy_that_is_not_there_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(NotSent, match=r"The outbound proxy could not be reached.*refused"):
        ask(calls_through(environment, f"http://127.0.0.1:{free_port()}", None))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_called_directly(host: str, environment: dict[str, str], account: RawServer) -> None:
    with ConnectProxy(0, 403) as proxy:
        address = account.address.replace("127.0.0.1", host)
        settings = Settings.from_env(
            {**environment, "OUTBOUND_PROXY": proxy.address, "ZENDESK_URL_TEMPLATE": address + "/a/{subdomain}"}
        )
        calls = ZendeskCalls(settings, ZendeskAdapter(settings.outbound_proxy))
        assert ask(calls) == 200
    assert proxy.heads == []


def test_the_environments_own_proxies_are_not_used(
    environment: dict[str, str], account: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ConnectProxy(0, 403) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert ask(make_calls(environment, account.address)) == 200
    assert proxy.heads == []


def test_the_service_itself_uses_the_proxy_and_authorities(make_admin: MakeAdmin, certificate: Certificate) -> None:
    app: Flask = make_admin(OUTBOUND_PROXY="http://127.0.0.1:1", ZENDESK_CA_FILE=str(certificate.certificate)).app
    adapter: Any = services(app).calls._adapter
    assert adapter._ZendeskAdapter__tunnels is not None
    assert [one["subject"] for one in adapter._ZendeskAdapter__tls.get_ca_certs() if HOST in str(one)]


# --- certification authorities ---


def test_a_certificate_nobody_vouches_for_is_not_sent_to_and_named(
    environment: dict[str, str], front: TLSFront, account: RawServer
) -> None:
    with ConnectProxy(front.port) as proxy, pytest.raises(NotSent, match=r"signed by nobody.*ZENDESK_CA_FILE"):
        ask(calls_through(environment, proxy.address, None))
    assert account.requests == []


def test_the_usual_authorities_are_still_trusted(certificate: Certificate) -> None:
    usual: Any = ZendeskAdapter()
    more: Any = ZendeskAdapter(None, certificate.certificate)
    assert len(more._ZendeskAdapter__tls.get_ca_certs()) == len(usual._ZendeskAdapter__tls.get_ca_certs()) + 1


# --- settings ---


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example.com:3128", OutboundProxy("http://proxy.example.com:3128")),
        ("http://proxy.example.com:3128/", OutboundProxy("http://proxy.example.com:3128")),
        ("http://u:p%40%3A@10.0.0.1:80", OutboundProxy("http://10.0.0.1:80", "u:p@:")),
        ("http://u@[2001:db8::1]:80", OutboundProxy("http://[2001:db8::1]:80", "u:")),
    ],
)
def test_a_proxy_is_read(text: str, proxy: OutboundProxy, environment: dict[str, str]) -> None:
    assert Settings.from_env({**environment, "OUTBOUND_PROXY": text}).outbound_proxy == proxy


@pytest.mark.parametrize(
    "text",
    [
        "https://u:canary@proxy.example.com:3128",
        "http://u:canary@proxy.example.com",
        "http://u:canary@:3128",
        "http://u:canary@proxy.example.com:3128/path",
        "http://u:canary@proxy.example.com:99999",
        "http://u:canary%0a@proxy.example.com:3128",
        "http://u%3Ax:canary@proxy.example.com:3128",
        "http://u:canary@[proxy:3128",
        "http://u:canary@pro xy:3128",
        "socks5://u:canary@proxy.example.com:3128",
        "canary.example.com:3128",
    ],
)
def test_a_faulty_proxy_is_a_fault_that_repeats_no_password(text: str, environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="OUTBOUND_PROXY") as raised:
        Settings.from_env({**environment, "OUTBOUND_PROXY": text})
    assert "canary" not in str(raised.value)


def test_the_credentials_are_in_no_repr(environment: dict[str, str]) -> None:
    settings = Settings.from_env({**environment, "OUTBOUND_PROXY": "http://user:canary@proxy.example.com:3128"})
    adapter: Any = ZendeskAdapter(settings.outbound_proxy)
    assert "canary" not in repr(settings) + repr(settings.outbound_proxy) + repr(adapter._ZendeskAdapter__tunnels)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_faulty_file_of_authorities_is_a_fault(
    content: str | None, tmp_path: Path, environment: dict[str, str]
) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match="ZENDESK_CA_FILE"):
        Settings.from_env({**environment, "ZENDESK_CA_FILE": str(path)})
