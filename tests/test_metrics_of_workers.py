"""Under gunicorn the metrics are those of all workers together, and of this gunicorn alone."""

import fcntl
import os
import re
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from sandbox.simulator import Simulator
from sandbox.simulator.faults import Fault
from tests.scraping import TOKEN, Scrape
from tests.steps import ORDERS_ONLY, wait_until
from tests.workers import LiveService, meanwhile

pytestmark = pytest.mark.processes

StartService = Callable[..., LiveService]
WORKERS = 3
ASKED = 60


@pytest.fixture
def start(live_service: StartService, tmp_path: Path) -> StartService:
    """Start the service so that what it puts into the temp dir is seen."""

    def started(**changes: str) -> LiveService:
        environment = {"METRICS_TOKEN": TOKEN, "TMPDIR": str(tmp_path), **ORDERS_ONLY, **changes}
        service = live_service(WORKERS, **environment)
        # The first worker is ready before the others are started, and each start makes a missing folder again.
        wait_until(lambda: len(workers(service)) == WORKERS, 30)
        return service

    return started


def folders(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.glob("zis-metrics-*"))


def workers(service: LiveService) -> list[int]:
    """Return the process ids of all workers there have been."""
    return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", service.log())]


def ask(service: LiveService, times: int = ASKED) -> None:
    """Ask over a new connection each time, so that any worker answers."""
    for _ in range(times):
        assert requests.get(f"{service.address}/livez", timeout=30).status_code == 200


def alive(service: LiveService) -> float:
    """Return how many answers of /livez are counted."""
    return Scrape.at(service.address).total("zis_requests_total", route="/livez", status="200")


def files(folder: Path, pid: int) -> set[str]:
    """Return what a process has in the folder, by kind."""
    return {path.name.removesuffix(f"_{pid}.db") for path in folder.glob(f"*_{pid}.db")}


@pytest.mark.parametrize("options", ["", "--preload"])
def test_counts_add_up_over_all_workers(start: StartService, tmp_path: Path, options: str) -> None:
    service = start(GUNICORN_CMD_ARGS=options)
    (folder,) = folders(tmp_path)
    # New connections are taken by whoever is quickest; ask until every worker has answered some.
    asked = 0
    for _ in range(20):
        ask(service)
        asked += ASKED
        if all("histogram" in files(folder, pid) for pid in workers(service)):
            break
    shown = {Scrape.at(service.address).total("zis_requests_total", route="/livez") for _ in range(10)}

    assert shown == {asked}
    assert len(workers(service)) == WORKERS
    assert all("histogram" in files(folder, pid) for pid in workers(service))
    shown_now = Scrape.at(service.address)
    assert shown_now.value("zis_requests_in_progress") == 1
    assert shown_now.value("zis_processes") == 1 + WORKERS
    assert shown_now.total("zis_request_duration_seconds_count", route="/livez") == asked


def test_the_folder_is_the_service_s_own_and_goes_with_it(start: StartService, tmp_path: Path) -> None:
    one, other = start(), start()
    both = folders(tmp_path)
    ask(one)
    shown = [alive(one), alive(other)]
    modes = {stat.S_IMODE(folder.stat().st_mode) for folder in both}
    one.stop()
    left = folders(tmp_path)
    other.stop()

    assert len(both) == 2
    assert modes == {0o700}
    assert shown == [ASKED, 0]
    assert len(left) == 1
    assert folders(tmp_path) == []


def test_an_inherited_folder_is_not_used(start: StartService, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    service = start(PROMETHEUS_MULTIPROC_DIR=str(theirs))
    ask(service)

    assert alive(service) == ASKED
    assert list(theirs.iterdir()) == []


def test_without_a_token_nothing_is_put_anywhere(live_service: StartService, tmp_path: Path) -> None:
    service = live_service(1, TMPDIR=str(tmp_path))
    ask(service, 3)
    assert folders(tmp_path) == []


def test_the_folder_is_locked_against_cleaning(start: StartService, tmp_path: Path) -> None:
    start()
    (folder,) = folders(tmp_path)
    opened = os.open(folder, os.O_RDONLY)
    try:
        # What systemd-tmpfiles asks before it looks into a folder.
        with pytest.raises(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(opened)


def test_a_removed_folder_costs_counts_and_no_worker(start: StartService, tmp_path: Path) -> None:
    service = start()
    (folder,) = folders(tmp_path)
    shutil.rmtree(folder)
    ask(service, 3)
    without = Scrape.at(service.address).total("zis_build_info")
    for pid in workers(service):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(workers(service)) == 2 * WORKERS, 30)
    wait_until(lambda: all("gauge_livesum" in files(folder, pid) for pid in workers(service)[WORKERS:]), 30)
    ask(service)

    assert without == 1
    assert "metrics_not_read" in service.log()
    assert alive(service) == ASKED
    assert service.process.poll() is None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_boot_that_fails_leaves_no_folder(environment: dict[str, str], tmp_path: Path) -> None:
    service = LiveService({**environment, "METRICS_TOKEN": TOKEN, "SECRET_KEYS": "short", "TMPDIR": str(tmp_path)}, 1)
    try:
        assert service.process.wait(30) == 1
        assert folders(tmp_path) == []
    finally:
        service.stop()


def test_a_killed_worker_leaves_its_counts_and_takes_its_present_along(
    start: StartService, tmp_path: Path, simulator: Simulator
) -> None:
    service = start()
    (folder,) = folders(tmp_path)
    ask(service)
    before = workers(service)
    with simulator.world.lock:
        simulator.world.account("acme").faults[:] = [Fault.from_json({"where": "token", "kind": "hold"})]
    with meanwhile(lambda: connect(service, simulator)) as answers:
        simulator.world.wait_until_held(1)
        in_progress = Scrape.at(service.address).value("zis_requests_in_progress")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
    simulator.release()
    wait_until(lambda: len(workers(service)) == 2 * WORKERS, 30)
    wait_until(lambda: all("gauge_livesum" in files(folder, pid) for pid in workers(service)[WORKERS:]), 30)

    assert (in_progress, answers) == (2, [None])
    assert [files(folder, pid) & {"gauge_livesum"} for pid in before] == [set()] * WORKERS
    shown = Scrape.at(service.address)
    assert shown.total("zis_requests_total", route="/livez") == ASKED
    assert shown.value("zis_requests_in_progress") == 1
    assert shown.value("zis_processes") == 1 + WORKERS


def connect(service: LiveService, simulator: Simulator) -> int | None:
    """Connect acme; return the status of the answer, None: the connection broke."""
    with requests.Session() as browser:
        asked = browser.get(f"{service.url}/oauth/authorize?subdomain=acme", allow_redirects=False, timeout=30)
        try:
            return browser.get(simulator.consent(asked.headers["Location"]), timeout=60).status_code
        except requests.ConnectionError:
            return None


def test_a_reload_goes_on_counting_and_a_restart_begins_anew(start: StartService, tmp_path: Path) -> None:
    service = start()
    ask(service)
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(workers(service)) == 2 * WORKERS, 30)
    wait_until(lambda: service.log().count("Worker exiting") == WORKERS, 30)
    ask(service)
    shown = alive(service)
    folder = folders(tmp_path)
    service.stop()
    again = start()

    assert shown == 2 * ASKED
    assert len(folder) == 1
    assert alive(again) == 0
    assert folders(tmp_path) != folder
