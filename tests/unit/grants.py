"""A grant to begin with."""

from typing import Any

from service.grants.granted import Grant

NOW = 1_800_000_000.0


def grant(**changes: Any) -> Grant:
    """Return a grant of half an hour, obtained now, with some fields changed."""
    fields: dict[str, Any] = {
        "id": "grant",
        "generation": "g1",
        "client_id": "client",
        "scope": "read write",
        "access_token": "a1",
        "refresh_token": "r1",
        "obtained_at": NOW,
        "expires_at": NOW + 1800,
        "refresh_token_expires_at": None,
        "authorized_at": NOW,
        "authorized_by": None,
    }
    return Grant(**(fields | changes))
