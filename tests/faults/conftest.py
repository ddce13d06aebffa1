"""Fixtures of the tests under faults: Zendesk's, and those of the store and of the service's own processes."""

import pytest

from tests.faults.store_faults import running_site, site
from tests.faults.store_kinds import IS_EVERY_KIND, KINDS
from tests.faults.zendesk_stages import direct, mint, theatre

__all__ = ["direct", "mint", "running_site", "site", "theatre"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is about the store on every kind of it, where that is asked for."""
    if IS_EVERY_KIND and "running_site" in metafunc.fixturenames:
        metafunc.parametrize("running_site", KINDS, indirect=True, scope="session")
