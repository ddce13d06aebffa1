"""The Procfile's lines in a platform's environment: a store behind self-signed TLS, a router, two processes."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.simulator import Simulator
from tests.deploy.procfile import Dyno
from tests.deploy.router import Router
from tests.programs import nginx_path
from tests.steps import bootstrap_in, wait_until
from tests.tls import Certificate, TLSFront, make_certificate
from tests.workers import READY_SECONDS, free_port

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def dyno_settings(
    environment: dict[str, str], valkey: Any, certificate: Certificate, simulator: Simulator
) -> Iterator[dict[str, str]]:
    """What an operator sets there; the store's certificate is one nobody vouches for."""
    address = f"https://localhost:{free_port()}"
    simulator.use_service(address)
    with TLSFront(valkey.port, certificate) as front:
        yield {
            **environment,
            "PUBLIC_URL": address,
            "REDIS_URL": f"rediss://:@127.0.0.1:{front.port}/0",
            "REDIS_TLS_VERIFY": "false",
            "TRUSTED_PROXIES": "1",
            # The load of these tests is beyond what one person is allowed.
            "RATE_LIMITS": "off",
        }


@dataclass
class Platform:
    """A router in front of two processes of the web line."""

    url: str
    dynos: list[Dyno]
    certificate: Certificate


@pytest.fixture
def platform(dyno_settings: dict[str, str], certificate: Certificate, tmp_path: Path) -> Iterator[Platform]:
    nginx_path()
    ports = [free_port(), free_port()]
    dynos = [Dyno("web", **dyno_settings, PORT=str(port)) for port in ports]
    url = dyno_settings["PUBLIC_URL"]
    router = Router(tmp_path, int(url.rpartition(":")[2]), ports, certificate)
    try:
        for dyno, port in zip(dynos, ports, strict=True):
            wait_until(lambda dyno=dyno, port=port: _is_ready(dyno, port), READY_SECONDS)  # type: ignore[misc]  # bound per turn
        running = Platform(url, dynos, certificate)
        wait_until(lambda: _reaches(running), READY_SECONDS)
        yield running
    finally:
        router.stop()
        for dyno in dynos:
            dyno.stop()


def _is_ready(dyno: Dyno, port: int) -> bool:
    assert dyno.process.poll() is None, dyno.log()
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def _reaches(platform: Platform) -> bool:
    try:
        return platform.certificate.browser().get(f"{platform.url}/livez", timeout=30).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def _connect(platform: Platform, simulator: Simulator) -> requests.Session:
    """Connect acme as its admin, open the sidebar, and return a caller with its session."""
    browser = platform.certificate.browser()
    consent = browser.get(f"{platform.url}/oauth/authorize?subdomain=acme", allow_redirects=False)
    assert consent.status_code == 302, consent.text
    cookie = consent.headers["Set-Cookie"]
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie
    back = browser.get(simulator.consent(consent.headers["Location"], 101))
    assert back.status_code == 200, back.text
    page = browser.post(f"{platform.url}/sidebar", data={"token": simulator.sign("acme", 101)})
    caller = platform.certificate.browser()
    caller.headers["Authorization"] = f"Bearer {bootstrap_in(page.text)['session_token']}"
    return caller


def _served(dyno: Dyno) -> list[str]:
    """Return the paths in its log, which has a request's line only after the answer."""
    return re.findall(r"event=request .*path=(\S+) ", dyno.log())


def test_two_processes_behind_a_router_pass_the_whole_journey(platform: Platform, simulator: Simulator) -> None:
    front = platform.certificate.browser().get(platform.url)
    assert "This is not the service's own address" not in front.text
    assert front.headers["Strict-Transport-Security"]
    assert platform.certificate.browser().get(f"{platform.url}/livez").json()["commit"] == COMMIT

    caller = _connect(platform, simulator)
    api = f"{platform.url}/api/v1"
    assert caller.get(f"{api}/status").json()["connection"]["state"] == "connected"
    assert len(caller.get(f"{api}/job_specs").json()["job_specs"]) == 260
    installed = caller.post(f"{api}/job_specs/escalate_vip_order/install")
    assert installed.json()["verified"] is True, installed.text
    # Whichever process is asked: the change is seen at once.
    for _ in range(4):
        listed = caller.get(f"{api}/job_specs?integration=acme_orders").json()["job_specs"]
        assert next(one for one in listed if one["name"] == "escalate_vip_order")["installed"] is True
    renewed = caller.post(f"{api}/session").json()["session_token"]
    caller.headers["Authorization"] = f"Bearer {renewed}"
    gone = caller.delete(f"{api}/connection")
    assert gone.json() == {"revoked": True}
    actions = [one["action"] for one in caller.get(f"{api}/activity").json()["activity"]]
    assert actions == ["disconnected", "installed", "connected"]

    # The router's id, so that its log and ours can be laid side by side.
    logged = f"request_id={gone.headers['X-Request-Id']}"
    wait_until(lambda: any(logged in dyno.log() for dyno in platform.dynos))
    for dyno in platform.dynos:
        # A process that served nothing proves nothing.
        wait_until(lambda dyno=dyno: any(path.startswith("/api/") for path in _served(dyno)))  # type: ignore[misc]  # bound per turn
        assert "code=" not in dyno.log()
        assert "?" not in "".join(_served(dyno))
    assert re.fullmatch(r"[0-9a-f]{32}", gone.headers["X-Request-Id"])


def test_a_process_that_is_stopped_under_load_fails_nobody(platform: Platform, simulator: Simulator) -> None:
    caller = _connect(platform, simulator)
    token = caller.headers["Authorization"]
    stopped = threading.Event()

    def ask(number: int) -> list[int]:
        with platform.certificate.browser() as session:
            session.headers["Authorization"] = token
            if number % 8 == 0:
                session.headers["Cache-Control"] = "no-cache"
            statuses = []
            # Until the process is gone, and once more.
            for _ in range(400):
                is_last = stopped.is_set()
                statuses.append(session.get(f"{platform.url}/api/v1/job_specs?integration=acme_orders").status_code)
                if is_last:
                    break
            return statuses

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, number) for number in range(8)]
        wait_until(lambda: "path=/api/v1/job_specs" in platform.dynos[0].log())
        status = platform.dynos[0].stop()
        stopped.set()
        answers = [answer for one in asked for answer in one.result()]

    assert status == 0, platform.dynos[0].log()[-2000:]
    assert set(answers) == {200}


def test_the_store_is_verified_unless_the_operator_says_otherwise(dyno_settings: dict[str, str]) -> None:
    port = free_port()
    dyno = Dyno("web", **{**dyno_settings, "REDIS_TLS_VERIFY": "true"}, PORT=str(port))
    try:
        wait_until(lambda: _status(port) is not None, READY_SECONDS)
        assert _status(port) == 503
    finally:
        dyno.stop()


def _status(port: int) -> int | None:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code
    except (requests.ConnectionError, requests.Timeout):
        return None


def test_faulty_settings_end_the_process_and_name_every_fault(dyno_settings: dict[str, str]) -> None:
    dyno = Dyno("web", **{**dyno_settings, "PUBLIC_URL": "example", "SECRET_KEYS": "short"}, PORT=str(free_port()))

    assert dyno.ended(READY_SECONDS) == 1
    assert "PUBLIC_URL" in dyno.log()
    assert "SECRET_KEYS" in dyno.log()


def test_the_release_line_lets_a_working_release_go_live(dyno_settings: dict[str, str]) -> None:
    release = Dyno("release", **dyno_settings)

    assert release.ended(90) == 0, release.log()
    assert "FAIL" not in release.log()
    assert "ok " in release.log()


def test_the_release_line_stops_a_release_that_would_not_work(dyno_settings: dict[str, str]) -> None:
    release = Dyno("release", **{**dyno_settings, "SECRET_KEYS": "short"})

    assert release.ended(90) == 1
    assert "FAIL settings: SECRET_KEYS" in release.log()
