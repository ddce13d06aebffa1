"""What docs/deploy.md shows, by name."""

import re

from tests.workers import ROOT

PAGE = (ROOT / "docs" / "deploy.md").read_text()


def sample(name: str) -> str:
    """Return what the page shows under a name."""
    found = re.search(rf"<!-- sample: {re.escape(name)} -->\n```\w*\n(.*?)```\n<!-- /sample -->", PAGE, re.DOTALL)
    assert found, name
    return found[1]
