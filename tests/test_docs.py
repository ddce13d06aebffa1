"""What the pages in docs/ name is there."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.workers import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))


@cache
def defined() -> dict[str, set[str]]:
    """Return the test functions by file name."""
    return {
        path.name: set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
        for path in (ROOT / "tests").rglob("test_*.py")
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    tests = defined()
    names = set().union(*tests.values())

    # A file, perhaps with its test; or a test alone, perhaps cut short by an ellipsis.
    for file, name in re.findall(r"\b(test_\w+\.py)(?:::(test_\w+))?", text):
        assert file in tests, file
        assert not name or name in tests[file], f"{file}::{name}"
    for name, cut in re.findall(r"(?<![/\w])(test_\w+)(…?)(?![\w.]*\.py)(?!\.py)", text):
        assert name in names or (cut and any(one.startswith(name) for one in names)), name


def test_the_readme_quotes_the_figures_of_the_last_run() -> None:
    measured = (ROOT / "docs" / "benchmarks.md").read_text()
    quoted = (ROOT / "README.md").read_text().partition("## How fast")[2].partition("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\|\n)+", quoted, re.MULTILINE)

    assert sum(len(table.splitlines()) for table in tables) >= 5
    for table in tables:
        assert table in measured
