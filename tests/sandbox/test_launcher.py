"""`python -m sandbox`: everything starts, says where it is, and goes away again."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from redis import Redis

from sandbox.environment import service_environment

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sandbox", *arguments]


@contextmanager
def launched(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603  # our own command
        command(*arguments), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=90)


def output_until(process: subprocess.Popen[str], wanted: str) -> str:
    """Return what was printed until a line holds `wanted`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if wanted in line:
            return "".join(lines)
    pytest.fail("it ended: " + "".join(lines))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own command
        command(*arguments), cwd=ROOT, text=True, capture_output=True, timeout=90, check=False
    )


def is_listening(url: str) -> bool:
    port = int(url.rpartition(":")[2])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_help_explains_every_option() -> None:
    result = run("--help")
    assert result.returncode == 0
    for option in ("--port", "--service-port", "--workers", "--mode", "--store", "--verbose", "--set"):
        assert option in result.stdout


@pytest.mark.parametrize(
    "arguments", [["--port", "x"], ["--workers", "0"], ["--set", "nothing"], ["--mode", "other"], ["--store", "two"]]
)
def test_nonsense_is_refused(arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2


def test_a_taken_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments in (["--port", port], ["--port", "0", "--service-port", port]):
            result = run(*arguments)
            assert result.returncode == 2
            assert f"Port {port}" in result.stdout
            assert "Traceback" not in result.stdout + result.stderr


def assert_forgets(workspace: str, output: str) -> None:
    """Check that the workspace's buttons make the service forget."""
    settings = re.search(r"\. (\S+/settings\.sh);", output)
    assert settings
    address = re.search(r"REDIS_URL=(\S+)", Path(settings[1]).read_text())
    assert address
    with Redis.from_url(address[1]) as redis:
        redis.mset({"zis:{acme}:role:101": "admin", "zis:{acme}:grant": "kept"})
        requests.put(f"{workspace}/_sim/accounts/acme/faults", json=[], timeout=90)
        assert redis.exists("zis:{acme}:role:101", "zis:{acme}:grant") == 1
        requests.post(f"{workspace}/_sim/reset", timeout=90)
        assert redis.dbsize() == 0


@pytest.mark.parametrize("mode", ["mint", "direct"])
def test_it_runs_until_stopped(mode: str) -> None:
    with launched("--port", "0", "--workers", "1", "--mode", mode) as process:
        output = output_until(process, "Ctrl-C")
        workspace = re.search(r"Open (http://127\.0\.0\.1:\d+)/", output)
        service = re.search(r"Service +(http://localhost:\d+)/", output)
        log = re.search(r"Service log +(\S+)", output)
        assert workspace
        assert service
        assert log
        assert "Simulated Zendesk" in requests.get(workspace[1], timeout=90).text
        assert requests.get(f"{service[1]}/readyz", timeout=90).status_code == 200
        assert Path(log[1]).is_file()
        assert_forgets(workspace[1], output)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=90)
        assert "Stopped." in rest
        assert process.returncode == 0
        assert not is_listening(workspace[1])
        assert not is_listening(service[1])
        assert not Path(log[1]).parent.exists()


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_the_store_may_be_a_group_of_servers(kind: str) -> None:
    with launched("--port", "0", "--workers", "1", "--store", kind) as process:
        output = output_until(process, "Ctrl-C")
        service = re.search(r"Service +(http://localhost:\d+)/", output)
        workspace = re.search(r"Open (http://127\.0\.0\.1:\d+)/", output)
        assert service
        assert workspace
        assert f"redis+{kind}://127.0.0.1:" in output
        assert requests.get(f"{service[1]}/readyz", timeout=90).status_code == 200
        assert requests.post(f"{workspace[1]}/_sim/reset", timeout=90).ok
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=90)
        assert ("Stopped." in rest, process.returncode) == (True, 0)


def test_it_can_be_stopped_while_starting() -> None:
    with launched("--port", "0") as process:
        output_until(process, "Starting the store")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=90)
        assert process.returncode == 0
        assert "Traceback" not in rest


def test_a_service_that_cannot_start_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The log is kept, but not for ever; the path is also too long for the store's socket.
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with launched("--port", "0", "--set", "PYTHONHOME=/nowhere") as process:
        output = output_until(process, "Logs are kept in")
        assert "ended by itself" in output
        assert "  | " in output
        process.communicate(timeout=90)
        assert process.returncode == 1


def test_settings_of_the_caller_do_not_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENDESK_APPS", "1")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--bind nonsense")
    environment = service_environment(
        front_end="http://packaged-app.localhost:1",
        service_url="http://localhost:1",
        store_url="unix:///s",
        url_template="t",
        is_direct=False,
        changes={"PATH": ""},
    )
    assert environment["ZENDESK_APPS"] == "500001"
    assert "GUNICORN_CMD_ARGS" not in environment
    assert "PATH" not in environment
