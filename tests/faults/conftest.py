"""Fixtures of the tests under faults: Zendesk's, and those of the store and of the service's own processes."""

from tests.faults.store_faults import running_site, site
from tests.faults.zendesk_stages import direct, mint, theatre

__all__ = ["direct", "mint", "running_site", "site", "theatre"]
