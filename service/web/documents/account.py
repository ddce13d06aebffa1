"""An account's status, the session, disconnecting, and the activity."""

from typing import Annotated, Literal

from pydantic import Field

from service.web.documents.base import Document, Instant


class SessionDocument(Document):
    """A fresh session token."""

    session_token: Annotated[str, Field(description="For `Authorization: Bearer …`.")]
    expires_at: Instant
    expires_in: Annotated[int, Field(description="Seconds.", ge=0, le=900, examples=[900])]


class Caller(Document):
    """Who asks, as Zendesk knows them."""

    id: Annotated[int | None, Field(description="Zendesk's user id; null: its signed request did not say.")]
    role: Annotated[str | None, Field(description="null: not known.", examples=["admin", "agent", "end-user"])]
    can_manage: Annotated[bool, Field(description="May install, uninstall and disconnect.")]
    reason: Annotated[
        Literal["not_connected", "user_unknown", "users_not_readable", "zendesk_unavailable"] | None,
        Field(description="Why the role is not known; null: it is."),
    ]


class Admin(Document):
    """Who authorized the connection."""

    id: int
    name: str | None


class ConnectionDocument(Document):
    """How the account is connected."""

    state: Literal["connected", "not_connected", "reauthorization_required"]
    reason: (
        Literal[
            "grant_revoked",
            "refresh_outcome_unknown",
            "refresh_token_expired",
            "not_refreshable",
            "client_changed",
            "scope_changed",
            "key_missing",
            "admin_lost",
            "account_gone",
        ]
        | None
    )
    authorized_at: Instant | None
    authorized_by: Annotated[Admin | None, Field(description="null: the token may not read users.")]
    scope: Annotated[str | None, Field(examples=["read write"])]
    access_token_expires_at: Annotated[Instant | None, Field(description="null: it does not expire.")]
    refresh_token_expires_at: Instant | None


class IntegrationStatus(Document):
    """What is known of an integration."""

    name: Annotated[str, Field(examples=["acme_orders"])]
    state: Literal["ready", "mismatch", "not_registered", "forbidden", "unavailable", "unknown"]
    detail: Annotated[str | None, Field(description="In Zendesk's words where it gave any.")]


class StatusDocument(Document):
    """Who asks, and whether the account is connected."""

    account: Annotated[str, Field(description="The subdomain.", examples=["acme"])]
    user: Caller
    connection: ConnectionDocument
    integrations: list[IntegrationStatus]
    authorize_url: Annotated[
        str | None, Field(description="Where an admin connects the account; null: there is no account any more.")
    ]


class DisconnectDocument(Document):
    """What became of the grant."""

    revoked: Annotated[bool, Field(description="false: there was nothing to revoke at Zendesk.")]


class Actor(Document):
    """Who did it; null where unknown."""

    id: int | None
    name: str | None


class ActivityEntry(Document):
    """Something that was done, or attempted."""

    at: Instant
    action: Annotated[
        Literal["connected", "disconnected", "installed", "uninstalled", "rearmed", "reauthorization_required"],
        Field(description="`rearmed`: installed again, while it was listed as installed."),
    ]
    actor: Actor | Literal["operator"]
    integration: str | None
    job_spec: Annotated[
        str | None, Field(description="Short name, cut at 200 characters; null where there are `items`.")
    ]
    result: Annotated[str, Field(description="`ok`, or the code of the error it ended in.", examples=["ok"])]
    installation_id: Annotated[int | None, Field(description="Of the Zendesk app it was done from.")]
    request_id: str | None
    count: Annotated[
        int, Field(description="How many changes this stands for; time, ids and request are the last one's.", ge=1)
    ]
    items: Annotated[
        list[str] | None,
        Field(description="The short names of a bulk's job specs, cut likewise; null: it is one, `job_spec`, if any."),
    ]


class ActivityDocument(Document):
    """Who did what, newest first."""

    activity: list[ActivityEntry]
