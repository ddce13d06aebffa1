"""Which tests `make quick` leaves out because they take long: those listed in slow.txt, as last measured.

`make slow` measures again. A test that is not listed counts as quick.
"""

from collections import defaultdict
from pathlib import Path

import pytest

LISTED = Path(__file__).with_name("slow.txt")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--note-slow", type=float, metavar="SECONDS", help=f"list what takes longer in {LISTED.name}")


def pytest_configure(config: pytest.Config) -> None:
    """Measure where that is asked for, in the process that hears of all tests."""
    limit: float | None = config.getoption("--note-slow")
    if limit is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Durations(limit))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is listed."""
    listed = set(LISTED.read_text().splitlines())
    for item in items:
        if _function(item.nodeid) in listed:
            item.add_marker("slow")


class Durations:
    """What the cases of each test function took on average, set-up included."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._of_cases: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._of_cases[_function(report.nodeid)][report.nodeid] += report.duration

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the list, unless the run was cut short."""
        if exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            slow = [name for name, of in self._of_cases.items() if sum(of.values()) / len(of) > self._limit]
            LISTED.write_text("".join(f"{name}\n" for name in sorted(slow)))


def _function(nodeid: str) -> str:
    """Return a test's id without its case."""
    return nodeid.partition("[")[0]
