"""Instants on the wire: RFC 3339, UTC."""

from datetime import UTC, datetime


def timestamp(seconds: float | None) -> str | None:
    """Return Unix seconds as RFC 3339 in UTC with whole seconds; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: object) -> float | None:
    """Return the Unix seconds of an ISO 8601 instant; None: not one, or without a time zone."""
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if instant.tzinfo is None else instant.timestamp()
