"""Lists of job specs, and changes."""

from typing import Annotated

from pydantic import Field

from service.web.documents.base import Document, Instant


class JobSpecDocument(Document):
    """A trigger of a ZIS integration: installed, its flow runs on its event. Null: Zendesk did not say."""

    name: Annotated[str, Field(description="Short, with its case.", examples=["escalate_vip_order"])]
    qualified_name: Annotated[str, Field(examples=["zis:acme_orders:job_spec:escalate_vip_order"])]
    integration: Annotated[str, Field(examples=["acme_orders"])]
    description: Annotated[str | None, Field(examples=["Raises the priority of orders by VIPs."])]
    event_source: Annotated[str | None, Field(examples=["support"])]
    event_type: Annotated[str | None, Field(examples=["ticket.TicketCreated"])]
    flow_name: Annotated[str | None, Field(description="The flow it starts.", examples=["escalate_vip_order_flow"])]
    installed: bool
    uuid: Annotated[str | None, Field(examples=["a9e4b1de-7b0f-5b1c-9d5e-2f6a7c1b8e30"])]
    left_over: Annotated[
        bool | None,
        Field(
            description="Installed, and in no bundle any more: an older one left it behind, and it still takes events. "
            "Null: it could not be told, or not yet."
        ),
    ]


class ListErrorDocument(Document):
    """Why an integration's list could not be had anew."""

    code: Annotated[str, Field(examples=["zendesk_unavailable"])]
    title: str
    detail: str
    upstream_status: int | None
    upstream_detail: str | None
    retry_after: Annotated[int | None, Field(description="Seconds.")]


class ListedIntegration(Document):
    """One integration's part of a list."""

    name: Annotated[str, Field(examples=["acme_orders"])]
    fetched_at: Annotated[Instant | None, Field(description="When Zendesk was asked; null: there is no list.")]
    stale: Annotated[bool, Field(description="An older list stands in, because Zendesk could not be asked.")]
    error: ListErrorDocument | None


class ListDocument(Document):
    """Job specs by integration and name, and what is to be known about each integration's part."""

    job_specs: list[JobSpecDocument]
    integrations: list[ListedIntegration]


class ChangeDocument(Document):
    """A job spec after it was installed or uninstalled."""

    job_spec: JobSpecDocument
    verified: Annotated[
        bool,
        Field(description="Read back afterwards and agreeing; false: Zendesk accepted it and could not be asked."),
    ]
