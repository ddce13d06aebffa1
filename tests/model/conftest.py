"""A search on the tests' own store."""

from collections.abc import Iterator

import pytest

from tests.model.search import Search, searching


@pytest.fixture
def search(redis_url: str) -> Iterator[Search]:
    """Search schedules of the service as it is."""
    with searching(redis_url) as searched:
        yield searched
