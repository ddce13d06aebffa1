"""A search on the tests' own store, and the count of all schedules at the end of the run."""

from collections.abc import Iterator

import pytest

from tests.model.explorer import Explored
from tests.model.search import Search, searching

_TALLY = pytest.StashKey[list[Explored]]()


@pytest.fixture
def search(redis_url: str) -> Iterator[Search]:
    """Search schedules of the service as it is."""
    with searching(redis_url) as searched:
        yield searched


@pytest.fixture
def tally(pytestconfig: pytest.Config) -> list[Explored]:
    """What was searched so far; told when all tests have run."""
    return pytestconfig.stash.setdefault(_TALLY, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how much was searched."""
    tally = config.stash.get(_TALLY, [])
    if tally:
        schedules, states, steps = (
            sum(getattr(one, name) for one in tally) for name in ("schedules", "states", "steps")
        )
        terminalreporter.write_line(
            f"token hand-out: {schedules} schedules in {len(tally)} searches, {states} states, {steps} steps"
        )
