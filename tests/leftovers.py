"""Ends whatever a test run leaves running, also after Ctrl-C and SIGKILL. Linux only: it reads /proc.

pytest starts this file as a process of its own, the watcher, and holds the other end of its standard input. The kernel
closes that end when pytest has ended, however it did. The watcher then ends every process that

- was named to it (`end_with_us`): what gets an environment of its own, as gunicorn does where it is not forked,
- or has this run's mark in its environment: Playwright's driver and browser, the sandbox, Valkey,
- or descends from one of these.

Then it removes the folder in which this run, its workers and what they start keep their temporary files, pytest's
`tmp_path` among them (`--basetemp` names another place for that). Python, Valkey's package and Playwright remove theirs
only where nobody kills them.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, NamedTuple

MARK = "TEST_RUN_MARK"
# After SIGTERM, by which gunicorn ends its workers.
GRACE_SECONDS = 2.0
GIVE_UP_SECONDS = 20.0
POLL_SECONDS = 0.05
_PROC = Path("/proc")

_watchers: list[IO[bytes]] = []


class Process(NamedTuple):
    """A process; its start time (clock ticks since boot) tells it from a later one with the same id."""

    pid: int
    started: int


def watch() -> None:
    """Start the watcher of this process, once; does nothing without /proc."""
    if _watchers or not _PROC.joinpath("self/stat").exists():
        return
    # A worker of pytest-xdist has its run's mark, and with it the folder.
    folders = [] if MARK in os.environ else [_temporary_folder()]
    mark = os.environ[MARK] = secrets.token_hex(16)
    watcher = subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, "-I", "-S", __file__, mark, *folders],
        stdin=subprocess.PIPE,
        env={},
        # So that Ctrl-C does not reach it.
        start_new_session=True,
    )
    assert watcher.stdin is not None
    _watchers.append(watcher.stdin)
    # It outlives this process, so nobody waits for it.
    watcher.returncode = 0


def _temporary_folder() -> str:
    """Have temporary files of this process, and of those that inherit its environment, in a folder of their own."""
    # With a short name: some hold sockets, whose path may have 107 characters.
    folder = os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="zis-tests-")
    return folder


def end_with_us(pid: int) -> None:
    """Let a child of this process be ended when this process has ended; does nothing without a watcher."""
    stat = _stat(pid)
    if stat is None:
        return
    for stdin in _watchers:
        stdin.write(f"{pid} {stat.started}\n".encode())
        stdin.flush()


# --- in the watcher ---


class _Stat(NamedTuple):
    parent: int
    started: int


def _stat(pid: int) -> _Stat | None:
    """Return what /proc says of a process; None: it has ended."""
    with contextlib.suppress(OSError):
        # After the command's name, which may hold spaces and parentheses: state, parent, …
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        if fields[0] not in {b"Z", b"X"}:
            return _Stat(int(fields[1]), int(fields[19]))
    return None


def _left(mark: bytes, named: set[Process]) -> set[Process]:
    """Return the processes that are to be ended and still run."""
    left: set[Process] = set()
    children: dict[int, list[Process]] = {}
    for pid in [int(folder.name) for folder in _PROC.iterdir() if folder.name.isdecimal()]:
        stat = _stat(pid)
        if stat is None or _is_watcher(pid):
            continue
        process = Process(pid, stat.started)
        children.setdefault(stat.parent, []).append(process)
        if process in named or _has(mark, pid):
            left.add(process)
    unseen = list(left)
    while unseen:
        new = set(children.get(unseen.pop().pid, [])) - left
        left |= new
        unseen += new
    return left


def _has(mark: bytes, pid: int) -> bool:
    with contextlib.suppress(OSError):
        return mark in (_PROC / str(pid) / "environ").read_bytes()
    return False


def _is_watcher(pid: int) -> bool:
    """Return whether it is a watcher: another pytest's one, such as a worker's of pytest-xdist, has its own work."""
    with contextlib.suppress(OSError):
        return __file__.encode() in (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    return False


def _end(mark: bytes, named: set[Process]) -> None:
    """Send SIGTERM to each, and SIGKILL to those that are left after a while."""
    began = time.monotonic()
    told: set[Process] = set()
    while (left := _left(mark, named | told)) and (past := time.monotonic() - began) < GIVE_UP_SECONDS:
        for process in left - told if past < GRACE_SECONDS else left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGTERM if past < GRACE_SECONDS else signal.SIGKILL)
        # What descends from one that has ended is recognized by having been told.
        told |= left
        time.sleep(POLL_SECONDS)


def _remove(folder: Path) -> None:
    """Remove a folder, in which what another watcher is just ending may still write."""
    end = time.monotonic() + GIVE_UP_SECONDS
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(POLL_SECONDS)


def _main() -> None:
    named = set()
    for line in sys.stdin:
        pid, started = line.split()
        named.add(Process(int(pid), int(started)))
    mark, *folders = sys.argv[1:]
    _end(f"{MARK}={mark}".encode(), named)
    for folder in folders:
        _remove(Path(folder))


if __name__ == "__main__":
    _main()
