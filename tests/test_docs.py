"""What the pages in docs/ name is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.workers import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))


@cache
def defined() -> dict[str, set[str]]:
    """Return the test functions by file name."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        # Folders have files of the same name.
        found.setdefault(path.name, set()).update(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    return found


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


def said() -> str:
    """Return every text of the service, one after the other; what is filled in is left out."""
    folders = (ROOT / "service", ROOT / "sandbox")
    texts = [path.read_text() for folder in folders for path in folder.rglob("*.json")]
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text()))
        texts += [one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return re.sub(r"\s+", " ", "\n".join(texts))


# Each stands in the page as a person meets it, with what the service fills in.
FILLED_IN = {
    "16 requests from this address are still on their way": "requests from this address are still on their way"
}


def test_the_sentences_of_ours_that_troubleshooting_quotes_are_said() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    quoted = re.findall(r'"([^"`\n]{12,})"', page)
    texts = said()

    assert len(quoted) > 8
    assert [one for one in quoted if FILLED_IN.get(one, one).rstrip("….").strip() not in texts] == []


def test_the_readme_quotes_the_figures_of_the_last_run() -> None:
    measured = (ROOT / "docs" / "benchmarks.md").read_text()
    quoted = (ROOT / "README.md").read_text().partition("## How fast")[2].partition("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\|\n)+", quoted, re.MULTILINE)

    assert sum(len(table.splitlines()) for table in tables) >= 5
    for table in tables:
        assert table in measured
