"""Fixtures of the tests under faults."""

from tests.faults.zendesk_stages import direct, mint, theatre

__all__ = ["direct", "mint", "theatre"]
