"""Which tests run in one process, one after another: those that share what takes long to start, or play a whole table.

Scattered, each process would start the browser and every gunicorn again, and play each table of faults again.
"""

import zlib

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has no types

from tests.machine import processors
from tests.programs import is_firefox_wanted

_TOGETHER = (
    ("tests/faults/test_token_", "two services of two processes, for Zendesk's faults"),
    ("tests/faults/test_zendesk_", "two services of two processes, for Zendesk's faults"),
    ("tests/faults/", "two services and a proxy, for the store's faults"),
)
# Few tests that take long. Begun last, they would keep one process busy while the others have nothing left.
_LONG = (
    "one browser",
    "tests/operations/test_schemathesis.py",
    "tests/stores/",
    "two services",
    "tests/test_waiting.py",
    "tests/test_processes.py",
    "tests/test_ship.py",
    "tests/deploy/",
    "tests/sandbox/",
    "tests/test_metrics_of_workers.py",
    "tests/model/",
    "tests/attacks/test_server.py",
    "tests/operations/test_console.py",
    "tests/test_benchmarks.py",
    "tests/test_webkit.py",
    "tests/test_no_secret_leaks.py",
)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # whose base has no types
    """Gives a process a group of tests at a time: first what takes long, then those with the most tests."""

    def _assign_work_unit(self, node: object) -> None:
        """Give a process its next group; xdist's way of doing it."""
        first = next((group for start in _LONG for group in self.workqueue if group.startswith(start)), None)
        if first is not None:
            self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)

    def _split_scope(self, nodeid: str) -> str:
        """Return a test's group; xdist's way of telling it (as its own schedulers do)."""
        # Nothing else runs then, so that one group would leave the other processes idle.
        if is_firefox_wanted():
            return nodeid.partition("::")[0]
        file = nodeid.partition("::")[0]
        if file.startswith("tests/browser/"):
            # Two, for one would be at it longer than all others at the rest.
            return f"one browser, and the services it opens: {zlib.crc32(file.encode()) % 2}"
        group = next((group for start, group in _TOGETHER if nodeid.startswith(start)), file)
        # With STORES=all: what starts a kind of store of its own (tests/faults/store_kinds.py).
        words = nodeid.partition("[")[2].removesuffix("]").split("-")
        return " ".join((group, *(kind for kind in ("sentinel", "cluster") if kind in words)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Take the place of `--dist`."""
    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return one process for each processor for `-n logical`, for `-n auto` two: much of what tests do is waiting."""
    return processors() if config.option.numprocesses == "logical" else 2 * processors()
