"""How much was searched: schedules of the model, cases of the fuzzers; told at the end of a run, bounded or whole.

A plugin, because with parallel runs only what a report carries reaches the process that tells it.
"""

import functools
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

FULL = os.environ.get("FULL") == "1"
"""Whether everything is searched that can be, instead of what fits into an everyday run."""
_COUNTED = ("schedules", "cases")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Count the examples that Hypothesis gives a test."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is None:
        return (yield)
    inner, seen = handle.inner_test, [0]

    @functools.wraps(inner)
    def counted(*args: Any, **kwargs: Any) -> Any:
        seen[0] += 1
        return inner(*args, **kwargs)

    handle.inner_test = counted
    try:
        return (yield)
    finally:
        handle.inner_test = inner
        item.user_properties.append(("cases", seen[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was searched, and whether that was all."""
    counts: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in report.user_properties:
                if name in _COUNTED and report.when == "call":
                    counts[name] += value
                    tests[name] += 1
    how = "whole, as FULL=1 asks" if FULL else "bounded; whole with FULL=1"
    for name in _COUNTED:
        if tests[name]:
            terminalreporter.write_line(f"searched: {counts[name]} {name} in {tests[name]} tests ({how})")
