"""The job specs of the account that asks: list, install, uninstall."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import RequestCacheControl
from werkzeug.http import parse_cache_control_header, quote_etag

from service.grants.clients import AccountContext
from service.grants.granted import Grant
from service.grants.grants import Grants
from service.grants.zis_tokens import Prefetched
from service.ground.errors import NotFound
from service.job_specs.kept_lists import microseconds
from service.job_specs.listing import ListRequest
from service.job_specs.replies import list_reply
from service.people.guard import author, current_session, require_caller, waits_for_zendesk
from service.people.sessions import Session
from service.store.vault import KeyMissing
from service.web.documents.job_specs import ChangeDocument
from service.web.documents.queries import ChangeQuery, ListQuery, NamedChangeQuery
from service.web.rate_limits import CHANGES, FRESH_LISTS
from service.web.request import API_BASE, deadline, parameters, reply, services
from service.zendesk.zis_registry import is_qualified

blueprint = Blueprint("job_specs", __name__, url_prefix=f"{API_BASE}/job_specs")
blueprint.before_request(require_caller)


@blueprint.get("")
def list_job_specs() -> ResponseReturnValue:
    """List every job spec of the account's integrations; a cached list costs one round trip to Redis."""
    wish = parameters(ListQuery)
    session = current_session()
    integrations = _integrations(session, wish.integration)
    is_fresh = "Cache-Control" in request.headers and _wants_fresh(request.headers["Cache-Control"])
    grants, roles, listing = services().grants, services().roles, services().listing
    asked = listing.certain_to_ask(integrations)
    time, grant_reply, role_reply, *replies = services().store.read(
        ("TIME",),
        grants.reading(session.account, *asked),
        roles.reading(session),
        *listing.reading(session.account, integrations),
    )
    grant = _usable(session, grants, grant_reply)
    roles.require_looker(session, role_reply, deadline())
    if is_fresh:
        services().rate_limits.count(FRESH_LISTS, session.counted_as)
    now = microseconds(time)
    kept = listing.kept(replies, grant.id, now)
    prefetched: dict[str, Prefetched] = {}
    # While somebody's role was asked the account may have been disconnected, or its grant have died.
    if asked and roles.knows(session, role_reply):
        minted = grants.minted_in(session.account, grant_reply, *asked)
        prefetched = dict(zip(asked, (Prefetched(grant, token) for token in minted), strict=True))
    wanted = [
        ListRequest(session.account, name, grant.id, now if is_fresh else None, deadline(), prefetched.get(name))
        for name in integrations
    ]
    listed = list_reply(listing.answers(wanted, kept, now), wish.installed, now)
    headers = {
        "ETag": quote_etag(listed.etag, weak=True),
        "Age": str(listed.age),
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization",
    }
    # Looked at only where there is one: it costs a tenth of the request. The other conditions are for tags and dates
    # that a list does not have, so they are ignored (RFC 9110, section 13.2.1).
    if "HTTP_IF_NONE_MATCH" in request.environ and request.if_none_match.contains_weak(listed.etag):
        return Response(status=304, headers=headers)
    return Response(listed.body, headers=headers, content_type="application/json")


@blueprint.post("/install")
def install_named_job_spec() -> ResponseReturnValue:
    """Install a job spec whose name, of whatever characters, is a parameter; again, if it is installed already."""
    wish = parameters(NamedChangeQuery)
    return _change(wish.job_spec_name, wish.integration, install=True)


@blueprint.delete("/install")
def uninstall_named_job_spec() -> ResponseReturnValue:
    """Uninstall a job spec whose name is a parameter."""
    wish = parameters(NamedChangeQuery)
    return _change(wish.job_spec_name, wish.integration, install=False)


@blueprint.post("/<name>/install")
def install_job_spec(name: str) -> ResponseReturnValue:
    """Install a job spec whose name has no slash; again, if it is installed already."""
    return _change(name, parameters(ChangeQuery).integration, install=True)


@blueprint.delete("/<name>/install")
def uninstall_job_spec(name: str) -> ResponseReturnValue:
    """Uninstall a job spec whose name has no slash."""
    return _change(name, parameters(ChangeQuery).integration, install=False)


@waits_for_zendesk
def _change(name: str, integration: str | None, *, install: bool) -> ResponseReturnValue:
    session = current_session()
    changes = services().changes
    spec = changes.check_names(session.account, name, integration)
    grant = services().access_tokens.usable(session.account)
    standing = services().roles.require_manager(session, deadline())
    services().rate_limits.count(CHANGES, session.counted_as)
    changed = changes.change(
        AccountContext(session.account, grant.id, deadline()),
        spec,
        qualified=is_qualified(name),
        install=install,
        author=author(standing),
    )
    return reply(ChangeDocument(job_spec=changed.job_spec.to_document(), verified=changed.is_verified))


def _wants_fresh(cache_control: str) -> bool:
    """Return whether the header's value holds `no-cache`; directives know no case (RFC 9111, section 5.2)."""
    return bool(parse_cache_control_header(cache_control.lower(), cls=RequestCacheControl).no_cache)


def _integrations(session: Session, named: str | None) -> list[str]:
    """Return the integrations that were asked for.

    Raises:
        NotFound: the account has no such integration.
    """
    ours = services().settings.integrations_of(session.account)
    if named is None:
        return list(ours)
    if named not in ours:
        raise NotFound(f"{session.account} has no integration of this name here. It has {', '.join(ours)}.")
    return [named]


def _usable(session: Session, grants: Grants, reply: list[bytes | None]) -> Grant:
    conditions = services().conditions
    try:
        grant = grants.opened(session.account, reply)
    except KeyMissing:
        raise conditions.required(session.account, "key_missing") from None
    return conditions.require_usable(session.account, grant)
