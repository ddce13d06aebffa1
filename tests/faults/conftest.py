"""Faults of the store and of the service's own processes."""

from tests.faults.store_faults import running_site, site

__all__ = ["running_site", "site"]
