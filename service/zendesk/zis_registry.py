"""The ZIS Registry API: pages, names, refusals (api-reference/integration-services/registry/jobspecs, 2026-11).

Functions of a client. Knows nothing of where its token comes from.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import structlog

from service.ground.errors import (
    AdminRequired,
    IntegrationMismatch,
    InvalidRequest,
    JobSpecNotFound,
    ScopeInsufficient,
    ServiceError,
    ZendeskTimeout,
    ZendeskUnavailable,
    ZISRejected,
)
from service.ground.subdomains import Subdomain
from service.web.documents.job_specs import JobSpecDocument
from service.zendesk.calls import foreign_reply
from service.zendesk.client import AccountClient
from service.zendesk.replies import Reply

# Documented for bundles with the same `meta`, used here in the field; the default of 20 would hide the rest.
PAGE_SIZE = 100
# 10,000 job specs: more is a cursor that never ends.
MOST_PAGES = 100
# Each is asked by itself; an account that has more is not told about.
MOST_BUNDLES = 20
# A page that is begun later would not come back in time to be used.
PAGE_NEEDS_SECONDS = 2.0

_NO_ROWS = "no rows found"
_REGISTRY = "/api/services/zis/registry"
_QUALIFIED = re.compile(r"zis:([^:]{1,64}):([a-z_]{1,32}):(.+)", re.ASCII | re.DOTALL)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job spec of one integration, as the registry lists it; None: Zendesk did not say."""

    name: str
    """Short, with its case."""
    integration: str
    description: str | None
    event_source: str | None
    event_type: str | None
    flow_name: str | None
    """Short."""
    installed: bool
    uuid: str | None
    left_over: bool | None = None
    """Installed, and in no bundle any more. None: not known; the list itself does not say."""

    @property
    def qualified_name(self) -> str:
        """The name by which Zendesk installs it."""
        return qualified_name(self.integration, self.name)

    @classmethod
    def from_row(cls, row: Any, integration: str) -> "JobSpec":
        """Return one row of a list; names may be short or qualified.

        Raises:
            ZendeskUnavailable: the row is not a job spec.
        """
        if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not row["name"]:
            raise _unreadable()
        if not isinstance(row.get("installed"), bool):
            # Nothing may be guessed about this one: it is what the list is for.
            raise _unreadable()
        flow_name = _text(row, "flow_name")
        return cls(
            name=row["name"].removeprefix(f"zis:{integration}:job_spec:"),
            integration=integration,
            description=_text(row, "description"),
            event_source=_text(row, "event_source"),
            event_type=_text(row, "event_type"),
            flow_name=None if flow_name is None else flow_name.removeprefix(f"zis:{integration}:flow:"),
            installed=row["installed"],
            uuid=_text(row, "uuid"),
        )

    def to_document(self) -> JobSpecDocument:
        """Return it as our API shows it."""
        return JobSpecDocument(**self.to_members())

    def to_members(self) -> dict[str, Any]:
        """Return the members of its document, for lists: making a model of each row costs as much as all the rest."""
        return {
            "name": self.name,
            "qualified_name": self.qualified_name,
            "integration": self.integration,
            "description": self.description,
            "event_source": self.event_source,
            "event_type": self.event_type,
            "flow_name": self.flow_name,
            "installed": self.installed,
            "uuid": self.uuid,
            "left_over": self.left_over,
        }


@dataclass(frozen=True, slots=True)
class SpecName:
    """A job spec as a caller names it; `integration` None: a short name."""

    name: str
    integration: str | None


def qualified_name(integration: str, name: str) -> str:
    """Return the fully qualified name of a job spec."""
    return f"zis:{integration}:job_spec:{name}"


def parse_name(text: str) -> SpecName:
    """Return the short or qualified name in `text`; of a qualified one, the name is all after the third colon.

    Zendesk documents no grammar of names, and its lists were seen with slashes, colons and tabs in them.

    Raises:
        InvalidRequest: it is neither, or names something other than a job spec.
    """
    match = _QUALIFIED.fullmatch(text)
    if match and match[2] != "job_spec":
        raise InvalidRequest(f"The name is that of a {match[2]}, not of a job spec.")
    integration, name = (match[1], match[3]) if match else (None, text)
    if not name or not _is_text(name):
        raise InvalidRequest("The name is neither a job spec's name nor of the form zis:{integration}:job_spec:{name}.")
    return SpecName(name, integration)


def is_qualified(text: str) -> bool:
    """Return whether `text` names its integration."""
    return _QUALIFIED.fullmatch(text) is not None


def _is_text(name: str) -> bool:
    """Return whether a name can be sent: half a surrogate pair, as a shell may hand over, cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def list_job_specs(client: AccountClient, integration: str) -> tuple[JobSpec, ...]:
    """Return all job specs of an integration, installed or not, every page, sorted by name (code points).

    Raises:
        IntegrationMismatch: the token is not this integration's, or the integration is not registered.
        ZendeskTimeout: not all pages came within the deadline.
        ServiceError: Zendesk refused, failed, or answered what cannot be a list.
    """
    # Not by the uuid alone: rows were seen to share one. A row that repeats is as new as its last page.
    rows: dict[tuple[str | None, str], JobSpec] = {}
    cursors: set[str] = set()
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        if client.deadline.left() < PAGE_NEEDS_SECONDS:
            raise ZendeskTimeout("Zendesk did not list all job specs in time. Try again in a moment.")
        reply = ask_page(client, integration, cursor)
        if not reply.is_success:
            raise list_refusal(reply, integration)
        body = reply.json_object()
        for row in _rows(body):
            spec = JobSpec.from_row(row, integration)
            rows[spec.uuid, spec.name] = spec
        cursor = _next_cursor(body)
        if cursor is None:
            return tuple(sorted(rows.values(), key=lambda spec: (spec.name, spec.uuid or "")))
        if cursor in cursors:
            raise _goes_nowhere()
        cursors.add(cursor)
    raise ZendeskUnavailable("Zendesk's list of job specs does not end. Ask Zendesk's support.")


def ask_page(client: AccountClient, integration: str, cursor: str | None = None) -> Reply:
    """Return Zendesk's answer to the question for one page; `cursor` None: the first."""
    query = {"page[size]": str(PAGE_SIZE)} | ({} if cursor is None else {"page[after]": cursor})
    return client.get(f"{_REGISTRY}/{quote(integration, safe='')}/job_specs", kind="list", query=query)


def bundled_job_specs(client: AccountClient, integration: str) -> frozenset[str] | None:
    """Return the short names of the job specs that the integration's bundles hold; None: they do not say.

    Bundles are listed without what they hold, and each tells that by itself (…/registry/bundles, 2026-11).

    Raises:
        ServiceError: Zendesk could not be asked.
    """
    path = f"{_REGISTRY}/{quote(integration, safe='')}/bundles"
    reply = client.get(path, query={"page[size]": str(PAGE_SIZE)})
    if not reply.is_success:
        return None
    body = reply.json_object()
    bundles = body.get("bundles")
    is_whole = not (isinstance(body.get("meta"), dict) and body["meta"].get("has_more"))
    if not isinstance(bundles, list) or not is_whole or not 0 < len(bundles) <= MOST_BUNDLES:
        return None
    held: set[str] = set()
    for bundle in bundles:
        uuid = bundle.get("uuid") if isinstance(bundle, dict) else None
        if not isinstance(uuid, str) or not uuid:
            return None
        reply = client.get(f"{path}/{quote(uuid, safe='')}")
        names = _names_in_bundle(reply.json_object(), integration) if reply.is_success else None
        if names is None:
            return None
        held |= names
    return frozenset(held)


def install_job_spec(client: AccountClient, name: SpecName) -> None:
    """Install a job spec; a 409 means that it is installed already.

    Raises:
        JobSpecNotFound: Zendesk knows no such job spec.
        ReplyLost, ReplyLate: it may have been installed.
        ServiceError: Zendesk refused or failed.
    """
    reply = _change(client, "POST", name)
    if reply.status == 409:
        _log_no_change("already_installed", client.account, name, reply)
    elif not reply.is_success:
        raise registry_refusal(reply, name.integration or "")


def uninstall_job_spec(client: AccountClient, name: SpecName) -> bool:
    """Uninstall a job spec; False: Zendesk says 404, so it is either not installed or not known.

    Raises:
        as `install_job_spec`.
    """
    reply = _change(client, "DELETE", name)
    if reply.status == 404:
        _log_no_change("not_installed", client.account, name, reply)
        return False
    if not reply.is_success:
        raise registry_refusal(reply, name.integration or "")
    return True


def _change(client: AccountClient, method: str, name: SpecName) -> Reply:
    query = {"job_spec_name": qualified_name(name.integration or "", name.name)}
    return client.change(method, f"{_REGISTRY}/job_specs/install", kind="change", query=query)


def registry_refusal(reply: Reply, integration: str) -> ServiceError:
    """Return what a 4xx of the registry means. Texts are matched, codes never: none was ever seen live (2026-07)."""
    told: dict[str, Any] = {"upstream_status": reply.status, "upstream_detail": reply.words()}
    if reply.says("integration mismatch"):
        return IntegrationMismatch(
            f"Zendesk does not accept us for the integration {integration}: it is not registered in this account, or "
            "our token belongs to another integration. Check ZIS_INTEGRATIONS and the OAuth client.",
            **told,
        )
    if reply.status == 403 and reply.says("only admin"):
        return AdminRequired(
            "Zendesk lets only admins do this, and the person who connected this account is not one now. An admin "
            "has to connect it again.",
            **told,
        )
    if reply.status == 403 and reply.says("scope"):
        return ScopeInsufficient(
            "Zendesk says that the granted scope does not allow this. Raise ZENDESK_SCOPE and the OAuth client's "
            "allowed scopes, then connect again.",
            **told,
        )
    if reply.status == 400 and reply.says("job specs is invalid"):
        return JobSpecNotFound("Zendesk knows no job spec of this name in the integration's bundles.", **told)
    return ZISRejected("Zendesk refused this. Its own words say why.", **told)


def _log_no_change(event: str, account: Subdomain, name: SpecName, reply: Reply) -> None:
    """Log Zendesk's 409 or 404, which the reply will not show."""
    _log.info(event, account=account, integration=name.integration, job_spec=name.name, upstream_status=reply.status)


def specs_in(reply: Reply, integration: str) -> list[JobSpec]:
    """Return the job specs of one page; whoever has them knows that Zendesk lets the token in.

    Raises:
        ZendeskUnavailable: it succeeded and is no such page, so that something else may have answered.
        ServiceError: Zendesk refused it.
    """
    if not reply.is_success:
        raise list_refusal(reply, integration)
    return [JobSpec.from_row(row, integration) for row in _rows(reply.json_object())]


def list_refusal(reply: Reply, integration: str) -> ServiceError:
    """Return what a 4xx to a list means: there, a 404 is an integration that is not registered (by session, 2026).

    Any proxy says 404 in plain text; of ZIS no other such sentence was seen than that it found no rows.
    """
    if reply.status == 404 and not (reply.is_json_object or reply.says(_NO_ROWS)):
        return foreign_reply(reply)
    if reply.status == 404:
        return IntegrationMismatch(
            f"Zendesk knows no integration {integration} in this account. Register it, or correct ZIS_INTEGRATIONS.",
            upstream_status=reply.status,
            upstream_detail=reply.words(),
        )
    return registry_refusal(reply, integration)


def _names_in_bundle(bundle: dict[str, Any], integration: str) -> set[str] | None:
    """Return the short names of a bundle's job specs; None: it does not say, or a name is not filled in."""
    resources = bundle.get("resources")
    if not isinstance(resources, dict):
        return None
    names = set()
    for resource in resources.values():
        if not isinstance(resource, dict):
            return None
        if resource.get("type") != "ZIS::JobSpec":
            continue
        properties = resource.get("properties")
        name = properties.get("name") if isinstance(properties, dict) else None
        if not isinstance(name, str) or not name or "{{" in name:
            return None
        names.add(name.removeprefix(f"zis:{integration}:job_spec:"))
    return names


def _rows(body: dict[str, Any]) -> list[Any]:
    rows = body.get("job_specs")
    if rows is None and "job_specs" in body:
        return []
    if not isinstance(rows, list):
        raise _unreadable()
    return rows


def _next_cursor(body: dict[str, Any]) -> str | None:
    """Return the opaque cursor of the next page; None: this was the last.

    Raises:
        ZendeskUnavailable: the list says that it goes on, and not where; or what it says cannot be read.
    """
    meta = body.get("meta") or {}
    if not isinstance(meta, dict) or not isinstance(meta.get("has_more"), bool | None):
        raise _unreadable()
    if meta.get("has_more") is None and _goes_on_elsewhere(body):
        raise _goes_nowhere()
    if not meta.get("has_more"):
        return None
    after = meta.get("after")
    # Typed as a page number in one edition of the reference.
    if isinstance(after, bool) or not isinstance(after, str | int) or not str(after):
        raise _goes_nowhere()
    if not str(after).isprintable():
        # A lone surrogate cannot even be sent.
        raise _unreadable()
    return str(after)


def _goes_on_elsewhere(body: dict[str, Any]) -> bool:
    """Return whether a list goes on in the way of Zendesk's other lists (…/introduction/pagination, 2026-11).

    The registry was never seen to take their cursors.
    """
    links = body.get("links")
    following = links.get("next") if isinstance(links, dict) else None
    return bool(body.get("has_more") or body.get("next_page") or following)


def _text(row: dict[str, Any], name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) else None


def _goes_nowhere() -> ZendeskUnavailable:
    return ZendeskUnavailable(
        "Zendesk's list of job specs says that it goes on, but not where, so that only a part of it is known. Try "
        "again; if this persists, ask Zendesk."
    )


def _unreadable() -> ZendeskUnavailable:
    return ZendeskUnavailable(
        "Zendesk's list of job specs could not be read. Try again; if this persists, ask Zendesk."
    )
