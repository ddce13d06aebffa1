"""Every route of the API, with the models that read its parameters and write its answers."""

from dataclasses import dataclass

from pydantic import BaseModel

from service.web.documents.account import ActivityDocument, DisconnectDocument, SessionDocument, StatusDocument
from service.web.documents.base import Document
from service.web.documents.desired_state import PlanDocument
from service.web.documents.inputs import ClaimDocument, DesiredStateDocument
from service.web.documents.job_specs import ChangeDocument, ListDocument
from service.web.documents.problems import Live, Ready
from service.web.documents.queries import (
    ActivityQuery,
    ChangeQuery,
    DisconnectQuery,
    ListQuery,
    NamedChangeQuery,
    NoQuery,
    Query,
    RearmQuery,
)
from service.web.request import API_BASE

# Every guarded route may answer with these.
_ALWAYS = ("unauthenticated", "account_not_allowed", "invalid_request", "rate_limited", "payload_too_large")
_STORE = ("store_unavailable", "internal_error", "zendesk_timeout")
# Asking Zendesk with the account's grant.
_ZENDESK = (
    "authorization_required",
    "admin_required",
    "scope_insufficient",
    "integration_mismatch",
    "zis_rejected",
    "client_misconfigured",
    "zendesk_unavailable",
    "zendesk_timeout",
)
_LOOKING = ("agent_required",)
_CHANGING = ("manager_role_required",)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    """As OpenAPI writes it: `/job_specs/{name}/install`."""
    name: str
    """`operationId`."""
    tag: str
    summary: str
    text: str
    query: type[Query]
    answer: type[Document]
    codes: tuple[str, ...]
    """Of the errors it may end in."""
    is_guarded: bool = True
    takes_machines: bool = False
    """A machine token will do as well."""
    has_etag: bool = False
    body: type[BaseModel] | None = None
    """The document it takes; None: none."""
    may_wait: bool = False
    """It answers 202 while there is nothing to give."""
    headers: tuple[str, ...] = ()
    """Request headers that change the answer."""


OPERATIONS = (
    Operation(
        "GET", f"{API_BASE}/status", "getStatus", "account",
        "Who asks, and whether the account is connected",
        "Answers whenever the store does: a dead grant is part of the answer, not an error. Zendesk is asked for the "
        "caller's role at most, for at most three seconds.",
        NoQuery, StatusDocument, (*_ALWAYS, *_STORE),
    ),
    Operation(
        "GET", f"{API_BASE}/job_specs", "listJobSpecs", "job specs",
        "Every job spec of the account",
        "All pages of all integrations, sorted by integration and name. A young list is served from the store. One "
        "integration that fails does not hide the others: its `error` says why, and a list under ten minutes old "
        "stands in for it, marked `stale`. `Cache-Control: no-cache` asks Zendesk anew.",
        ListQuery, ListDocument, (*_ALWAYS, *_LOOKING, "not_found", *_ZENDESK, *_STORE),
        has_etag=True, headers=("Cache-Control", "If-None-Match"),
        takes_machines=True,
    ),
    Operation(
        "POST", f"{API_BASE}/job_specs/install", "installNamedJobSpec", "job specs",
        "Install a job spec of any name",
        "Always sent, whatever the list says: installing again re-arms a job spec that a bundle upload has silenced. "
        "The list is read back afterwards. Takes any name that a list shows.",
        NamedChangeQuery, ChangeDocument,
        (*_ALWAYS, *_CHANGING, "integration_required", "job_spec_not_found", "not_found", *_ZENDESK, *_STORE),
        takes_machines=True,
    ),
    Operation(
        "DELETE", f"{API_BASE}/job_specs/install", "uninstallNamedJobSpec", "job specs",
        "Uninstall a job spec of any name",
        "Its flow no longer runs. The list is read back afterwards. Takes any name that a list shows.",
        NamedChangeQuery, ChangeDocument,
        (*_ALWAYS, *_CHANGING, "integration_required", "job_spec_not_found", "not_found", *_ZENDESK, *_STORE),
        takes_machines=True,
    ),
    Operation(
        "POST", f"{API_BASE}/job_specs/{{name}}/install", "installJobSpec", "job specs",
        "Install a job spec",
        "As `installNamedJobSpec`, for names without a slash.",
        ChangeQuery, ChangeDocument,
        (*_ALWAYS, *_CHANGING, "integration_required", "job_spec_not_found", "not_found", *_ZENDESK, *_STORE),
        takes_machines=True,
    ),
    Operation(
        "DELETE", f"{API_BASE}/job_specs/{{name}}/install", "uninstallJobSpec", "job specs",
        "Uninstall a job spec",
        "As `uninstallNamedJobSpec`, for names without a slash.",
        ChangeQuery, ChangeDocument,
        (*_ALWAYS, *_CHANGING, "integration_required", "job_spec_not_found", "not_found", *_ZENDESK, *_STORE),
        takes_machines=True,
    ),
    Operation(
        "POST", f"{API_BASE}/job_specs/plan", "planDesiredState", "job specs",
        "What applying a document of desired state would do",
        "Zendesk's lists are asked anew, and nothing is changed. Every fault of the document is named at once, in "
        "`errors`. What is listed and not named is left as it is (`not_named`).",
        RearmQuery, PlanDocument, (*_ALWAYS, *_CHANGING, *_ZENDESK, *_STORE), body=DesiredStateDocument,
        takes_machines=True,
    ),
    Operation(
        "POST", f"{API_BASE}/job_specs/apply", "applyDesiredState", "job specs",
        "Bring the account to a desired state",
        "Makes the changes that fit into the request's time and the caller's limit of 60 a minute, and reads back. "
        "`left` counts the rest, and `Retry-After` says when to repeat the call, which goes on with them. A change "
        "that failed has its code as `result`, and does not stop the others.",
        RearmQuery, PlanDocument, (*_ALWAYS, *_CHANGING, *_ZENDESK, *_STORE), body=DesiredStateDocument,
        takes_machines=True,
    ),
    Operation(
        "POST", f"{API_BASE}/session", "renewSession", "account",
        "A fresh session token",
        "For one that is valid or expired, until 12 hours after Zendesk's signed request or sign-in that it came from. "
        "Needs neither the store nor Zendesk.",
        NoQuery, SessionDocument, (*_ALWAYS, "internal_error", "zendesk_timeout"),
    ),
    Operation(
        "POST", f"{API_BASE}/session/claim", "claimSession", "account",
        "The session of whoever signed in through another front end",
        "For a page of one of ALLOWED_ORIGINS that has posted `/signin` with the hash of this claim. Once: 404 after "
        "it was fetched, five minutes after the sign-in, and to any other origin. A sign-in that failed is reported "
        "once, as its own problem. 202 with `Retry-After` while there is nothing to fetch.",
        NoQuery, SessionDocument,
        ("invalid_request", "not_found", "account_not_allowed", "invalid_state", "access_denied", "account_mismatch",
         "agent_required", "scope_insufficient", "account_gone", "rate_limited", "payload_too_large",
         "client_misconfigured", "zendesk_unavailable", "zendesk_timeout", "internal_error", *_STORE),
        is_guarded=False, body=ClaimDocument, may_wait=True,
    ),
    Operation(
        "DELETE", f"{API_BASE}/connection", "disconnect", "account",
        "Give the account's grant back",
        "Revokes every token at Zendesk and forgets them. Job specs stay installed and go on firing unless `uninstall` "
        "is true.",
        DisconnectQuery, DisconnectDocument, (*_ALWAYS, *_CHANGING, *_ZENDESK, *_STORE),
    ),
    Operation(
        "GET", f"{API_BASE}/activity", "listActivity", "account",
        "Who did what, newest first",
        "The last 500 changes and the last 100 connections of 90 days are kept, fewer where they take more than 2 % of "
        "Redis's memory or 1 MiB, and survive a disconnect. The same change by the same person again, within an hour "
        "and with nothing in between, is one entry with a `count`; so is a bulk of one kind of change to an "
        "integration, with the names of its job specs in `items`.",
        ActivityQuery, ActivityDocument, (*_ALWAYS, *_LOOKING, *_STORE),
    ),
    Operation(
        "GET", "/livez", "isLive", "health", "Whether the process serves",
        "200 as long as it does, whatever Redis and Zendesk do.", NoQuery, Live,
        ("internal_error", "payload_too_large"), is_guarded=False,
    ),
    Operation(
        "GET", "/readyz", "isReady", "health", "Whether the store answers",
        "503 once Redis has not answered for five seconds.", NoQuery, Ready,
        ("store_unavailable", "internal_error", "payload_too_large"), is_guarded=False,
    ),
)  # fmt: skip
