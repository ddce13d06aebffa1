"""The error tree: what this service refuses or cannot do.

ServiceError
├─ InvalidRequest 400 · InvalidState 400 · IntegrationRequired 400
├─ Unauthenticated 401
├─ AccessDenied · AdminRequired · AccountNotAllowed · AccountMismatch · ScopeInsufficient
│  · ManagerRoleRequired · AgentRequired · OriginNotAllowed 403
├─ NotFound 404 · JobSpecNotFound 404 · MethodNotAllowed 405
├─ AuthorizationRequired · AccountGone · IntegrationMismatch 409
├─ PayloadTooLarge 413 · ZISRejected 422 · RateLimited 429
├─ ClientMisconfigured 500 · InternalError 500
├─ ZendeskUnavailable 502 · StoreUnavailable 503 · ZendeskTimeout 504

Each class is one stable `code`; programs branch on it. `detail` is a sentence for the person, with the next step.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

# Zendesk's own words are shown up to this length.
UPSTREAM_DETAIL_CHARACTERS = 500


@dataclass(eq=False)
class ServiceError(Exception):
    """Anything this service refuses or cannot do; `status`, `code` and `title` never vary within a class."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong here"
    log_level: ClassVar[int] = logging.WARNING
    """Log level. WARNING: transient, or not ours to fix. ERROR: the operator must act."""

    detail: str
    upstream_status: int | None = None
    """What Zendesk answered; None: Zendesk was not asked or did not answer."""
    upstream_detail: str | None = None
    """Zendesk's own words, without secrets."""
    retry_after: int | None = None
    """Seconds."""
    authorize_url: str | None = None
    """Absolute; where an admin connects the account."""
    errors: list[dict[str, str]] | None = None
    """Every fault of a document: `pointer` (RFC 6901) and `detail`."""

    def __post_init__(self) -> None:
        super().__init__(self.detail)

    def members(self) -> dict[str, Any]:
        """Return the optional problem members that apply."""
        words = self.upstream_detail
        optional = {
            "upstream_status": self.upstream_status,
            "upstream_detail": words[:UPSTREAM_DETAIL_CHARACTERS] if words else None,
            "retry_after": self.retry_after,
            "authorize_url": self.authorize_url,
            "errors": self.errors,
        }
        return {name: value for name, value in optional.items() if value is not None}

    def headers(self) -> dict[str, str]:
        """Return the reply headers this error brings along."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class InvalidRequest(ServiceError):
    """A parameter, name, subdomain or body is malformed."""

    status, code, title = 400, "invalid_request", "The request is malformed"


class InvalidState(ServiceError):
    """One answer for unknown, expired, used and another browser's: nobody is told which."""

    status, code, title = 400, "invalid_state", "This connection attempt cannot be continued"


class IntegrationRequired(ServiceError):
    """A short name exists in several integrations."""

    status, code, title = 400, "integration_required", "Several integrations have a job spec of this name"


class Unauthenticated(ServiceError):
    """The signed request, session token, machine token or metrics token is missing, invalid or expired."""

    status, code, title = 401, "unauthenticated", "The session or token is not valid"

    def headers(self) -> dict[str, str]:
        return {**super().headers(), "WWW-Authenticate": "Bearer"}


class AccessDenied(ServiceError):
    """The admin pressed Deny on Zendesk's consent page."""

    status, code, title = 403, "access_denied", "Access was not granted"


class AdminRequired(ServiceError):
    """The person who consented is not an admin, or no longer one."""

    status, code, title = 403, "admin_required", "An admin has to connect this account"


class AccountNotAllowed(ServiceError):
    """The subdomain is not on the allow-list, or has no app configured."""

    status, code, title = 403, "account_not_allowed", "This account is not enabled here"


class AccountMismatch(ServiceError):
    """Zendesk says that the grant belongs to another account."""

    status, code, title = 403, "account_mismatch", "The grant belongs to another account"


class ScopeInsufficient(ServiceError):
    """The granted scope is smaller than the requested one, or Zendesk refuses a call for scope."""

    status, code, title = 403, "scope_insufficient", "The granted scope is not enough"


class ManagerRoleRequired(ServiceError):
    """The caller may look but not change."""

    status, code, title = 403, "manager_role_required", "Only a manager may change this"


class AgentRequired(ServiceError):
    """The caller may not even look."""

    status, code, title = 403, "agent_required", "Only agents may look at this"


class OriginNotAllowed(ServiceError):
    """A sign-in posted from an origin that is not one of `ALLOWED_ORIGINS`, or from none."""

    status, code, title = 403, "origin_not_allowed", "This page may not sign anybody in"


class NotFound(ServiceError):
    """There is nothing under this address."""

    status, code, title = 404, "not_found", "Not found"


class JobSpecNotFound(ServiceError):
    """No such job spec in this account."""

    status, code, title = 404, "job_spec_not_found", "There is no such job spec"


class MethodNotAllowed(ServiceError):
    """The address exists, the method does not."""

    status, code, title = 405, "method_not_allowed", "This method is not allowed here"


class AuthorizationRequired(ServiceError):
    """The account is not connected, or its grant is dead."""

    status, code, title = 409, "authorization_required", "The account has to be connected"


class AccountGone(ServiceError):
    """Zendesk says that there is no account at this address: it was renamed or closed."""

    status, code, title = 409, "account_gone", "There is no Zendesk account at this address"


class IntegrationMismatch(ServiceError):
    """Zendesk: the token is not this integration's, or the integration is not registered."""

    status, code, title = 409, "integration_mismatch", "Zendesk does not accept us for this integration"


class PayloadTooLarge(ServiceError):
    """The body is over 64 KiB; over 1 MiB for `plan` and `apply`."""

    status, code, title = 413, "payload_too_large", "The request is too large"


class ZISRejected(ServiceError):
    """ZIS refused the operation, with its words."""

    status, code, title = 422, "zis_rejected", "Zendesk refused the operation"


class RateLimited(ServiceError):
    """Zendesk's limit, or ours; `upstream_status` shows whose. `retry_after` is always given."""

    status, code, title = 429, "rate_limited", "Too many requests"


class ClientMisconfigured(ServiceError):
    """Zendesk refuses our own client id or secret, or none is set yet; stored grants are kept."""

    status, code, title = 500, "client_misconfigured", "This service's OAuth client is set up wrongly"
    log_level = logging.ERROR


class InternalError(ServiceError):
    """Anything unforeseen; logged with its traceback, never shown."""

    log_level = logging.ERROR


class ZendeskUnavailable(ServiceError):
    """A network failure, 5xx, redirect, unreadable reply, or a page of something in front of Zendesk."""

    status, code, title = 502, "zendesk_unavailable", "Zendesk cannot be reached or gave no usable answer"


class StoreUnavailable(ServiceError):
    """Redis cannot be reached, or does not take what must be kept. Nothing is concluded from it."""

    status, code, title = 503, "store_unavailable", "This service's store cannot be reached"
    log_level = logging.ERROR


class ZendeskTimeout(ServiceError):
    """Zendesk did not answer within the request's budget."""

    status, code, title = 504, "zendesk_timeout", "Zendesk did not answer in time"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is stored or shared: its kind and members, never the exception object.

    Every raise of one exception object adds frames to its traceback, and each frame keeps its variables alive. So an
    error that is remembered, or told to several threads, is made anew for everybody who raises it.
    """

    kind: type[ServiceError]
    members: Mapping[str, Any]

    @classmethod
    def of(cls, error: ServiceError) -> "Failure":
        """Return an error's kind and members; its cause and traceback are left out."""
        return cls(type(error), {field.name: getattr(error, field.name) for field in fields(error)})

    def error(self) -> ServiceError:
        """Return a new error of the same kind with the same members."""
        return self.kind(**self.members)

    def to_record(self) -> dict[str, Any]:
        """Return the members of a stored record; the kind is kept as its code."""
        return {"code": self.kind.code, **{name: value for name, value in self.members.items() if value is not None}}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], otherwise: type[ServiceError]) -> "Failure":
        """Return the failure in the members of a stored record, which another release may have written.

        `otherwise`: the kind where the code is missing, or not one of ours.
        """
        kind = error_class(str(record.get("code")))
        if kind.code != record.get("code"):
            kind = otherwise
        members = {field.name: record[field.name] for field in fields(kind) if field.name in record}
        return cls(kind, {"detail": f"{kind.title}.", **members})


def error_class(code: str) -> type[ServiceError]:
    """Return the class of a stable code; `InternalError` for an unknown one."""
    return next((kind for kind in ServiceError.__subclasses__() if kind.code == code), InternalError)
