"""Nothing that the tests start outlives them, and no temporary file, however they end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from sandbox.store_groups import Server
from tests.faults.own_valkey import OwnValkey
from tests.leftovers import MARK
from tests.steps import wait_until
from tests.workers import ROOT, free_port

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the watcher reads /proc")

# Stands for pytest: it starts one process that is named to the watcher and has an environment of its own, as a gunicorn
# may have, and one that starts another in a session of its own and ignores SIGTERM, as a browser may. Its
# worker leaves a temporary folder.
_TESTS = """
import subprocess, sys, tempfile
from tests.leftovers import end_with_us, watch

watch()
SLEEP = "import time; time.sleep(600)"
STUBBORN = '''
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={}, start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
'''
named = subprocess.Popen([sys.executable, "-c", SLEEP], env={}, start_new_session=True)
end_with_us(named.pid)
stubborn = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
print(named.pid, stubborn.pid, stubborn.stdout.readline().strip(), flush=True)
worker = "import tempfile; from tests.leftovers import watch; watch(); print(tempfile.mkdtemp(), flush=True)"
subprocess.run([sys.executable, "-c", worker], check=True)
print(tempfile.gettempdir(), flush=True)
input()
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        # The second where it ends between opening and reading.
        return False


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL, None], ids=["Ctrl-C", "kill", "by itself"])
def test_what_is_left_is_ended_and_removed(end: signal.Signals | None, tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _TESTS],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as tests:
        assert tests.stdout is not None
        started = [int(pid) for pid in tests.stdout.readline().split()]
        assert [runs(pid) for pid in started] == [True, True, True]
        left, folder = (Path(tests.stdout.readline().strip()) for _ in range(2))
        assert left.is_dir()
        assert (left.parent, folder.parent) == (folder, tmp_path)
        if end is None:
            tests.communicate("\n")
        else:
            tests.send_signal(end)
    wait_until(lambda: not any(runs(pid) for pid in started), seconds=60)
    wait_until(lambda: not any(tmp_path.iterdir()), seconds=60)


def is_marked(pid: int) -> bool:
    """Return whether the watcher would know a process by what it was given."""
    return f"{MARK}={os.environ[MARK]}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


@pytest.mark.parametrize("is_sentinel", [False, True], ids=["data", "Sentinel"])
def test_a_server_of_a_group_has_the_mark_as_soon_as_it_runs(is_sentinel: bool, tmp_path: Path) -> None:
    """A run that was ended while a group was starting left those that nobody had named yet."""
    server = Server(tmp_path, free_port(), is_sentinel=is_sentinel)
    server.start()
    try:
        assert is_marked(server.pid)
    finally:
        server.kill()


def test_the_tests_own_servers_have_the_mark(redis: Redis) -> None:
    with OwnValkey() as own:
        for client in (redis, own.redis):
            assert is_marked(int(client.info("server")["process_id"]))
