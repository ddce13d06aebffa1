"""Whether a grant may be used under today's settings."""

import pytest

from service.app import create_app
from service.oauth.conditions import Conditions, covers
from service.settings import Settings
from service.subdomains import Subdomain
from tests.steps import collaborator


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


def test_a_reason_that_another_release_wrote_is_no_crash(environment: dict[str, str]) -> None:
    conditions = collaborator(create_app(Settings.from_env(environment)), Conditions)
    assert "can no longer be used" in conditions.required(Subdomain("acme"), "of another release").detail
