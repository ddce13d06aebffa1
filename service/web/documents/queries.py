"""The parameters in an address: unknown ones are refused, and so are values of another form."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# int() alone takes signs, spaces, underscores and the digits of every script.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
# Entries of the activity that are shown.
USUAL_LIMIT = 50
LARGEST_LIMIT = 200


def _flag(text: Any) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return bool(text == "true")


def _limit(text: Any) -> int:
    if not _NUMBER.fullmatch(str(text)) or not 1 <= int(text) <= LARGEST_LIMIT:
        raise ValueError(f"must be a whole number from 1 to {LARGEST_LIMIT}")
    return int(text)


Flag = Annotated[bool, BeforeValidator(_flag)]


class Query(BaseModel):
    """The parameters of one route."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    any_characters: ClassVar[frozenset[str]] = frozenset()
    """Parameters that may hold any characters; in the others one that cannot be written is a fault."""


class NoQuery(Query):
    """The route takes none."""


class ListQuery(Query):
    """Which job specs are wanted."""

    integration: Annotated[str | None, Field(description="Only this integration's.", examples=["acme_orders"])] = None
    installed: Annotated[Flag | None, Field(description="Only those that are installed, or only the others.")] = None


class ChangeQuery(Query):
    """Which integration's job spec is meant."""

    integration: Annotated[
        str | None,
        Field(description="Needed where several integrations hold the short name.", examples=["acme_orders"]),
    ] = None


class NamedChangeQuery(ChangeQuery):
    """Which job spec is meant."""

    any_characters: ClassVar[frozenset[str]] = frozenset({"job_spec_name"})

    job_spec_name: Annotated[
        str,
        Field(
            description="Short or qualified, percent-encoded; any name that a list shows, whatever its characters.",
            min_length=1,
            examples=["escalate_vip_order", "zis:acme_orders:job_spec:Orders / VIP"],
        ),
    ]


class RearmQuery(Query):
    """Whether what is installed already is installed again."""

    rearm: Annotated[
        Flag, Field(description="Install again what is installed and should be: a bundle upload has silenced it.")
    ] = False


class DisconnectQuery(Query):
    """What is done before the grant is given back."""

    uninstall: Annotated[
        Flag,
        Field(description="Uninstall every job spec first; otherwise they stay installed and go on firing."),
    ] = False


class ActivityQuery(Query):
    """How much of it is wanted."""

    limit: Annotated[
        int,
        BeforeValidator(_limit),
        Field(description="Newest entries to show.", json_schema_extra={"minimum": 1, "maximum": LARGEST_LIMIT}),
    ] = USUAL_LIMIT
