"""Errors as they are told (RFC 9457, section 3), and health."""

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from service.ground.errors import ServiceError
from service.web.documents.base import Document, without_default


def _optional(description: str, **more: Any) -> Any:
    return Field(description=description, json_schema_extra=without_default, **more)


class DocumentFault(Document):
    """What is wrong in a document, and where."""

    pointer: Annotated[
        str, Field(description="RFC 6901; empty: the whole.", examples=["/integrations/acme_orders/installed/0"])
    ]
    detail: str


class Problem(Document):
    """What went wrong. Branch on `code`, which never changes; `detail` is a sentence for the person."""

    type: Annotated[str, Field(description="An address that explains the code.", json_schema_extra={"format": "uri"})]
    title: Annotated[str, Field(description="The same for every problem of this code.", examples=["Too many requests"])]
    status: Annotated[int, Field(description="The HTTP status.", examples=[429])]
    detail: Annotated[str, Field(description="What happened and what to do next, in words for the person.")]
    code: Annotated[str, Field(description="For programs.", examples=["rate_limited"])]
    request_id: Annotated[str, Field(description="Stands in the service's log, too; also the header X-Request-Id.")]
    # These are absent where they do not apply.
    upstream_status: Annotated[int | SkipJsonSchema[None], _optional("What Zendesk answered, where it was asked.")] = (
        None
    )
    upstream_detail: Annotated[str | SkipJsonSchema[None], _optional("Zendesk's own words.", max_length=500)] = None
    # Inside the union: beside it, the bound would come out as `ge`, which JSON Schema does not know.
    retry_after: Annotated[
        Annotated[int, Field(ge=0)] | SkipJsonSchema[None], _optional("Seconds; also the header Retry-After.")
    ] = None
    authorize_url: Annotated[str | SkipJsonSchema[None], _optional("Where an admin connects the account.")] = None
    errors: Annotated[
        list[DocumentFault] | SkipJsonSchema[None], _optional("Every fault of a document of desired state.")
    ] = None


def problem_of(error: ServiceError, *, public_url: str, request_id: str) -> dict[str, Any]:
    """Return the problem document of `error` (RFC 9457, section 3)."""
    document = Problem(
        type=f"{public_url}/docs#{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id=request_id,
        **error.members(),
    )
    return document.model_dump(exclude_unset=True)


class Live(Document):
    """The process serves."""

    status: Literal["ok"] = "ok"
    version: Annotated[str, Field(examples=["0.1.0"])]
    commit: Annotated[str | None, Field(description="Of the source it runs; null: not known.")]


class Ready(Document):
    """Redis answers."""

    status: Literal["ok"] = "ok"
