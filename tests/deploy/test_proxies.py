"""docs/deploy.md's nginx and Caddy in front of the service, as they stand there but for names, ports and files."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from sandbox.simulator import Simulator
from tests.deploy.samples import sample
from tests.leftovers import end_with_us
from tests.programs import nginx_path
from tests.steps import bootstrap_in, wait_until
from tests.tls import Certificate, make_certificate
from tests.workers import READY_SECONDS, LiveService, free_port

pytestmark = pytest.mark.processes

# What the page's file is part of, in Debian.
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {sample}
}}
"""
# No certificate is fetched, and no port of the machine's own is taken.
_CADDY = """{{
	admin off
	auto_https disable_redirects
	skip_install_trust
}}
{sample}
"""


@dataclass(frozen=True)
class Fronted:
    """The service behind a proxy."""

    url: str
    plain_url: str
    service: LiveService
    folder: Path
    certificate: Certificate


def replaced(text: str, changes: dict[str, str]) -> str:
    """Return a sample with some of its words changed; each has to stand in it."""
    for word, new in changes.items():
        assert word in text, word
        text = text.replace(word, new)
    return text


def nginx(folder: Path, certificate: Certificate, ports: dict[str, int]) -> list[str]:
    """Return the command that runs the page's nginx."""
    changes = {
        "listen 80;": f"listen 127.0.0.1:{ports['plain']};",
        "listen 443 ssl;": f"listen 127.0.0.1:{ports['tls']} ssl;",
        "https://zis.example.com$": f"https://localhost:{ports['tls']}$",
        "server_name zis.example.com;": "server_name localhost;",
        "/etc/ssl/zis.example.com.pem": str(certificate.certificate),
        "/etc/ssl/private/zis.example.com.key": str(certificate.key),
        "/var/log/nginx/zis.log": f"{folder}/access.log",
        "127.0.0.1:8000": f"127.0.0.1:{ports['service']}",
        # It leaves the port out, which is the usual one there.
        "Host $host;": "Host $http_host;",
    }
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, sample=replaced(sample("nginx"), changes)))
    return [nginx_path(), "-p", str(folder), "-c", str(configuration)]


def caddy(folder: Path, certificate: Certificate, ports: dict[str, int]) -> list[str]:
    """Return the command that runs the page's Caddy; skips the test without one."""
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed")
    changes = {
        "zis.example.com {": f"https://localhost:{ports['tls']} {{\n\ttls {certificate.certificate} {certificate.key}",
        "127.0.0.1:8000": f"127.0.0.1:{ports['service']}",
    }
    configuration = folder / "Caddyfile"
    configuration.write_text(_CADDY.format(sample=replaced(sample("caddy"), changes)))
    return [program, "run", "--config", str(configuration), "--adapter", "caddyfile"]


@pytest.fixture
def fronted(
    request: pytest.FixtureRequest, environment: dict[str, str], simulator: Simulator, tmp_path: Path
) -> Iterator[Fronted]:
    certificate = make_certificate(tmp_path)
    ports = {"tls": free_port(), "plain": free_port()}
    url = f"https://localhost:{ports['tls']}"
    simulator.use_service(url)
    service = LiveService({**environment, "TRUSTED_PROXIES": "1"}, 1, public_url=url)
    proxy = None
    try:
        ports["service"] = int(service.address.rpartition(":")[2])
        proxy = subprocess.Popen(  # noqa: S603 - the page's own words
            request.param(tmp_path, certificate, ports),
            # Caddy keeps its own files there.
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            stderr=subprocess.DEVNULL,
        )
        end_with_us(proxy.pid)
        service.wait_until_ready()
        fronted = Fronted(url, f"http://localhost:{ports['plain']}", service, tmp_path, certificate)
        wait_until(lambda: _reaches(fronted), READY_SECONDS)
        yield fronted
    finally:
        if proxy is not None:
            proxy.terminate()
            proxy.wait(10)
        service.stop()


def _reaches(fronted: Fronted) -> bool:
    try:
        return fronted.certificate.browser().get(f"{fronted.url}/livez", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


@pytest.mark.parametrize("fronted", [nginx, caddy], indirect=True, ids=["nginx", "caddy"])
def test_the_service_behind_it_knows_address_caller_and_id(fronted: Fronted, simulator: Simulator) -> None:
    with fronted.certificate.browser() as browser:
        assert "This is not the service's own address" not in browser.get(fronted.url).text
        # Its own word counts, not the caller's, who would be sent to https for ever.
        forged = {"X-Forwarded-Proto": "http"}
        assert browser.get(fronted.url, headers=forged, allow_redirects=False).status_code == 200
        asked = browser.get(f"{fronted.url}/oauth/authorize?subdomain=acme", allow_redirects=False)
        assert asked.headers["Set-Cookie"].startswith("__Host-")
        done = browser.get(simulator.consent(asked.headers["Location"], 101))
        assert "Ada Morgan" in done.text
        opened = f"{fronted.url}/sidebar?origin={simulator.address}&app_guid=1"
        page = browser.post(opened, data={"token": simulator.sign("acme", 101)})
        browser.headers["Authorization"] = f"Bearer {bootstrap_in(page.text)['session_token']}"
        listed = browser.get(f"{fronted.url}/api/v1/job_specs")
        assert len(listed.json()["job_specs"]) == 260
        # What is too large or too long is refused by the service, in its own words.
        large = browser.post(f"{fronted.url}/api/v1/job_specs/plan", data="x" * 1_500_000)
        assert large.json()["code"] == "payload_too_large", large.text
        long = browser.get(f"{fronted.url}/api/v1/job_specs?integration={'x' * 8000}")
        assert long.headers["Content-Type"] == "application/problem+json", long.text
    wait_until(lambda: f"request_id={listed.headers['X-Request-Id']}" in fronted.service.log())
    # The proxy's own, which a caller has not sent.
    assert re.fullmatch(r"[0-9a-f]{32}|[0-9a-f-]{36}", listed.headers["X-Request-Id"])


# Caddy leads to https by itself, on port 80 alone, and logs no requests.
@pytest.mark.parametrize("fronted", [nginx], indirect=True, ids=["nginx"])
def test_it_leads_to_https_and_logs_no_code(fronted: Fronted, simulator: Simulator) -> None:
    with fronted.certificate.browser() as browser:
        led = browser.get(f"{fronted.plain_url}/docs?x=1", allow_redirects=False)
        assert (led.status_code, led.headers["Location"]) == (301, f"{fronted.url}/docs?x=1")
        asked = browser.get(f"{fronted.url}/oauth/authorize?subdomain=acme", allow_redirects=False)
        done = browser.get(simulator.consent(asked.headers["Location"], 101))
        assert done.status_code == 200
    log = fronted.folder / "access.log"
    wait_until(lambda: "GET /oauth/callback" in log.read_text())
    assert "code=" not in log.read_text()
    assert "state=" not in log.read_text()
