"""What all documents have in common."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """A JSON object whose members are always present, null where unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def without_default(schema: dict[str, Any]) -> None:
    """Take the default out of a member's schema: absent is not null."""
    schema.pop("default", None)


Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-24T09:30:00Z"])]
"""RFC 3339, UTC, whole seconds."""
