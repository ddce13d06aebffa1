"""Counts that the workers of one gunicorn share: files in prometheus_client's format, in a folder of their own.

prometheus_client's own files take their place on the disk only when they are written, through a mapping: on a full disk
that ends the process (SIGBUS). Here it is allocated before it is mapped, and whatever fails costs counts only.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import struct
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# Room for some 400 series of a kind; more is allocated when it is needed.
FILE_BYTES = 1 << 16
# An entry's size without its key: lengths, padding, value and instant.
ENTRY_BYTES = 32

_log = structlog.get_logger(__name__)


class SharedCounts:
    """The folder, and the files of this process in it."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        """None: nothing is shared."""
        self.lock = threading.Lock()
        self._files: dict[str, _AllocatedDict] | None = None
        """None: this process counts in its memory alone."""
        self._values: list[SharedValue] = []
        self._lock_of_folder: int | None = None

    def share(self) -> None:
        """Let the processes that this one will start share their counts, in a new folder that is ours alone (0700).

        Nothing is shared where there is no room for a folder.
        """
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="zis-metrics-"))
        except OSError as fault:
            _log.error("metrics_not_shared", reason=fault.strerror)
        else:
            self._keep_from_cleaning(self.folder)

    def make_again(self) -> None:
        """Make the folder anew if something has removed it; for the process that starts others."""
        if self.folder is None or self.folder.is_dir():
            return
        # Where it cannot be made, the next worker finds none and counts nothing.
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700)
            self._keep_from_cleaning(self.folder)

    def _keep_from_cleaning(self, folder: Path) -> None:
        """Lock the folder for as long as one of our processes lives.

        systemd-tmpfiles leaves a locked folder alone (tmpfiles.d(5)); others may not know of that, or the file system
        may have no locks.
        """
        if self._lock_of_folder is not None:
            os.close(self._lock_of_folder)
            self._lock_of_folder = None
        with contextlib.suppress(OSError):
            self._lock_of_folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock_of_folder, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def open(self) -> None:
        """Let this process count in files of its own; where that cannot be, it counts nothing that others see."""
        if self.folder is None:
            return
        with self.lock:
            self._files = {}
            try:
                _require_ours(self.folder)
                for value in self._values:
                    value.attach()
            except OSError as fault:
                self._give_up(fault)

    def file_of(self, kind: str) -> "_AllocatedDict | None":
        """Return this process's file for a kind of values; the caller holds the lock.

        Raises:
            OSError: there is no room for it, or no folder.
        """
        if self._files is None or self.folder is None:
            return None
        file = self._files.get(kind)
        if file is None:
            file = self._files[kind] = _AllocatedDict(self.folder / f"{kind}_{os.getpid()}.db")
        return file

    def add(self, value: "SharedValue") -> None:
        """Count a value in this process's file, too, if it has one."""
        with self.lock:
            self._values.append(value)
            try:
                value.attach()
            except OSError as fault:
                self._give_up(fault)

    def collected(self, own: CollectorRegistry) -> Iterable[Metric]:
        """Return what all processes have counted together; nothing where that cannot be read.

        `own`: what this process has counted, which is all where nothing is shared.
        """
        if self.folder is None:
            return own.collect()
        try:
            collector = MultiProcessCollector(None, os.fspath(self.folder))  # type: ignore[no-untyped-call]  # it leaves it so
            found: Iterable[Metric] = collector.collect()  # type: ignore[no-untyped-call]  # likewise
        except (OSError, ValueError, RuntimeError, struct.error) as fault:
            # The folder is gone, or a file in it is no longer what it was.
            _log.error("metrics_not_read", exc_info=fault)
            return ()
        return found

    def processes(self) -> list[int]:
        """Return the ids of the processes that live: gunicorn's master and its workers, or this one alone."""
        if self.folder is None:
            return [os.getpid()]
        # The file of gauges that count live workers only is removed when its worker ends.
        workers = (int(path.stem.rpartition("_")[2]) for path in self.folder.glob("gauge_livesum_*.db"))
        return [os.getppid(), *sorted(workers)]

    def forget(self, pid: int) -> None:
        """Drop the gauges of a process that has ended; what it has counted stays."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            mark_process_dead(pid, os.fspath(self.folder))  # type: ignore[no-untyped-call]  # likewise

    def remove(self) -> None:
        """Remove the folder with everything in it; this process counts in its memory from now on."""
        with self.lock:
            self._close()
        if self._lock_of_folder is not None:
            os.close(self._lock_of_folder)
            self._lock_of_folder = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _close(self) -> None:
        """Leave this process's files; the caller holds the lock."""
        for value in self._values:
            value.detach()
        for file in (self._files or {}).values():
            file.close()  # type: ignore[no-untyped-call]  # likewise
        self._files = None

    def _give_up(self, fault: OSError) -> None:
        self._close()
        _log.error(
            "metrics_not_counted", reason=fault.strerror or str(fault), consequence="this process counts nothing"
        )


def _require_ours(folder: Path) -> None:
    """Raise OSError if somebody else has put something in the folder's place."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != 0o700:
        raise PermissionError("the folder of the counts is not ours")


COUNTS = SharedCounts()
"""The counts of this process, which it shares with others once somebody says so."""


class SharedValue:
    """One number of a metric, as prometheus_client wants it; in this process's file if it has one."""

    _multiprocess = False

    def __init__(
        self,
        kind: str,
        metric_name: str,
        name: str,
        labelnames: list[str],
        labelvalues: list[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_options: Any,
    ) -> None:
        self._kind = f"{kind}_{multiprocess_mode}" if kind == "gauge" else kind
        self._key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
        self._value = 0.0
        self._file: _AllocatedDict | None = None
        COUNTS.add(self)

    def attach(self) -> None:
        """Go on in this process's file; the caller holds the lock.

        Raises:
            OSError: there is no room for it.
        """
        self._file = COUNTS.file_of(self._kind)
        if self._file is not None:
            self._value, _ = self._file.read_value(self._key)  # type: ignore[no-untyped-call]  # it leaves it so

    def detach(self) -> None:
        """Count in memory alone from now on."""
        self._file = None

    def inc(self, amount: float) -> None:
        """Add to the number."""
        with COUNTS.lock:
            self._write(self._value + amount)

    def set(self, value: float, timestamp: float | None = None) -> None:  # noqa: ARG002 - prometheus_client's signature
        """Set the number."""
        with COUNTS.lock:
            self._write(value)

    def _write(self, value: float) -> None:
        self._value = value
        if self._file is not None:
            self._file.write_value(self._key, value, 0.0)  # type: ignore[no-untyped-call]  # it leaves it so

    def get(self) -> float:
        """Return what this process has counted."""
        return self._value

    def set_exemplar(self, exemplar: Any) -> None:
        """Ignore an exemplar: the files have no place for one."""

    def get_exemplar(self) -> None:
        """Return no exemplar."""


class _AllocatedDict(MmapedDict):
    """prometheus_client's file, with its space allocated before it is mapped."""

    def __init__(self, path: Path) -> None:
        with path.open("ab") as file:
            _allocate(file.fileno(), FILE_BYTES)
        super().__init__(os.fspath(path))  # type: ignore[no-untyped-call]  # it leaves it so

    def _init_value(self, key: str) -> None:
        needed, capacity = self._used + len(key.encode()) + ENTRY_BYTES, self._capacity
        while capacity < needed:
            capacity *= 2
        if capacity > self._capacity:
            _allocate(self._f.fileno(), capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]  # likewise


def _allocate(file: int, size: int) -> None:
    """Take space on the disk for a file up to `size` bytes.

    Raises:
        OSError: there is not so much.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        # macOS, where only the sandbox runs.
        os.truncate(file, max(size, os.fstat(file).st_size))
