"""Whether a grant may be used, and whether its scope is enough."""

from typing import Any

import pytest

from service.grants.conditions import covers, why_unusable
from tests.unit.grants import NOW, grant


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"expires_at": None, "refresh_token": None}, None),
        # Expired, and can be refreshed.
        ({"expires_at": NOW - 1}, None),
        ({"expires_at": NOW - 1, "refresh_token_expires_at": NOW + 1}, None),
        ({"expires_at": NOW - 1, "refresh_token_expires_at": NOW}, "refresh_token_expired"),
        # It serves to its end, refreshable or not.
        ({"refresh_token_expires_at": NOW - 1}, None),
        ({"refresh_token": None}, None),
        ({"refresh_token": None, "expires_at": NOW}, "not_refreshable"),
        ({"client_id": "another"}, "client_changed"),
        ({"client_id": "another", "expires_at": NOW - 1, "refresh_token": None}, "client_changed"),
        ({"dead": "refresh_outcome_unknown"}, "refresh_outcome_unknown"),
        ({"dead": "grant_revoked", "client_id": "another"}, "grant_revoked"),
        ({"dead": "of another release"}, "grant_revoked"),
        # What is not enough is still used.
        ({"scope": ""}, None),
    ],
)
def test_a_grant_is_used_until_it_is_dead_foreign_or_past_every_end(
    changes: dict[str, Any], reason: str | None
) -> None:
    assert why_unusable(grant(**changes), "client", NOW) == reason


@pytest.mark.parametrize(
    ("granted", "requested"),
    [
        ("read write", "read write"),
        ("write read", "read write"),
        ("read write impersonate", "read"),
        ("read", "tickets:read"),
        ("read write", "tickets:read users:write"),
        ("zis:read zis:write", "zis:read"),
        ("read", ""),
    ],
)
def test_a_scope_covers_what_it_holds_or_includes(granted: str, requested: str) -> None:
    assert covers(granted, requested)


@pytest.mark.parametrize(
    ("granted", "requested"),
    [
        ("read", "read write"),
        ("", "read"),
        ("read", "tickets:write"),
        ("tickets:read", "read"),
        ("tickets:read", "users:read"),
        ("read write", "zis:read"),
        ("read write", "impersonate"),
        ("read", ":read"),
        ("reading", "read"),
    ],
)
def test_a_smaller_scope_does_not_cover(granted: str, requested: str) -> None:
    assert not covers(granted, requested)
