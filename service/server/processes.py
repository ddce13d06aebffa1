"""CPU time, memory and open files of this service's processes, read from Linux's /proc (elsewhere: nothing).

prometheus_client tells it of one process only. Under gunicorn any worker answers a scrape, and means all of them.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_PROC = Path("/proc")
# Fields of /proc/{pid}/stat after the command's name, which is in parentheses and may hold anything (proc(5)).
_CPU_TICKS = slice(11, 15)
_RESIDENT_PAGES = 21


@dataclass(frozen=True, slots=True)
class _Use:
    cpu_seconds: float
    """Its own, and that of its children that have ended."""
    resident_bytes: int
    open_files: int


def used(pids: list[int]) -> Iterator[Metric]:
    """Tell what these processes use together."""
    uses = [use for use in map(_use_of, pids) if use is not None]
    if not uses:
        return
    yield GaugeMetricFamily("zis_processes", "Processes of the service.", value=len(uses))
    yield CounterMetricFamily(
        "zis_cpu_seconds", "CPU time of all processes.", value=sum(one.cpu_seconds for one in uses)
    )
    yield GaugeMetricFamily(
        "zis_resident_memory_bytes",
        "Resident memory of all processes; what they share is counted once for each.",
        value=sum(one.resident_bytes for one in uses),
    )
    yield GaugeMetricFamily("zis_open_fds", "Open files of all processes.", value=sum(one.open_files for one in uses))


def _use_of(pid: int) -> _Use | None:
    """Return what a process uses; None: it has ended, or there is no /proc."""
    with contextlib.suppress(OSError):
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ticks = sum(int(field) for field in fields[_CPU_TICKS])
        open_files = len(list((_PROC / str(pid) / "fd").iterdir()))
        return _Use(
            ticks / os.sysconf("SC_CLK_TCK"), int(fields[_RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE"), open_files
        )
    return None
