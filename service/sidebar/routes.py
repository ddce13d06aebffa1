"""Zendesk's signed POST, answered with the page and what it can show at once."""

from functools import lru_cache

from flask import Blueprint, Flask, Response, g, make_response, render_template, request
from flask.typing import ResponseReturnValue

from service.ground.errors import MethodNotAllowed
from service.people.session_routes import session_document
from service.sidebar.files.collection import FALLBACK_LANGUAGE, Files, Parts
from service.sidebar.markup import bootstrap
from service.web.rate_limits import REFUSED_REQUESTS, address_group
from service.web.request import API_BASE, deadline, name_account, services

# Public: the view itself checks Zendesk's signed token.
blueprint = Blueprint("sidebar", __name__)

# As Zendesk names them in the frame's address (dark-mode guide, 2026-11).
SCHEMES = frozenset({"light", "dark"})
# Marks the place in the rendered page where the bootstrap document goes.
_PLACE = "bootstrap-document"


@blueprint.post("/sidebar")
def open_sidebar() -> ResponseReturnValue:
    """Answer Zendesk's signed request with the page; a redirect would lose the token."""
    asker = address_group(request.remote_addr)
    # Checked before the signature; the limit is checked again where a key has to be fetched.
    services().rate_limits.look_if_over(REFUSED_REQUESTS, asker)
    signed = services().zaf_tokens.verify(request.form.get("token"), deadline(), asker)
    g.framing_account = signed.account
    name_account(signed.account)
    token, session = services().sessions.issue(signed.account, signed.user_id, signed.installation_id, signed.issued_at)
    at_hand = services().at_hand.of(session)
    members = {
        "status": at_hand.status,
        **session_document(token, session).model_dump(),
        "account": signed.account,
        "api_base": API_BASE,
        "authorize_url": at_hand.authorize_url,
    }
    before, after = _shell()
    return Response(before + bootstrap(members, at_hand.list) + after, content_type="text/html; charset=utf-8")


def _shell() -> tuple[bytes, bytes]:
    """Return what stands before and after the data, in the colours the address names and the browser's language."""
    collection = services().collection
    files = collection.now()
    scheme = request.args.get("colorScheme")
    chosen = (language_of(files), scheme if scheme in SCHEMES else None)
    parts = collection.parts("sidebar", chosen[0])
    return _rendered(*chosen, parts) if collection.watches else _rendered_once(files.digest, *chosen, parts)


def render_ahead(app: Flask) -> None:
    """Compress the files and render every page without its data, but for a development server's, which may change."""
    with app.app_context():
        collection = services().collection
        if collection.watches:
            return
        files = collection.now()
        for language in files.languages:
            for scheme in (None, *SCHEMES):
                _rendered_once(files.digest, language, scheme, collection.parts("sidebar", language))


def language_of(files: Files) -> str:
    """Return the catalogue for the browser's language, as `i18n.js` chooses it."""
    parts = (request.accept_languages.best or FALLBACK_LANGUAGE).lower().split("-")
    known = {name.lower(): name for name in sorted(files.languages)}
    for length in range(len(parts), 0, -1):
        name = known.get("-".join(parts[:length]))
        if name is not None:
            return name
    return next((known[name] for name in known if name.partition("-")[0] == parts[0]), FALLBACK_LANGUAGE)


# One page for each language and colour scheme; the digest is in it, by the files' addresses.
@lru_cache(maxsize=64)
def _rendered_once(_digest: str, language: str, scheme: str | None, parts: Parts) -> tuple[bytes, bytes]:
    return _rendered(language, scheme, parts)


def _rendered(language: str, scheme: str | None, parts: Parts) -> tuple[bytes, bytes]:
    page = render_template("sidebar.html", bootstrap=_PLACE, language=language, scheme=scheme, parts=parts)
    before, _, after = page.encode().partition(_PLACE.encode())
    return before, after


@blueprint.get("/sidebar")
def sidebar_closed() -> ResponseReturnValue:
    """Say where this page lives."""
    response = make_response(render_template("sidebar_closed.html"), MethodNotAllowed.status)
    response.headers["Allow"] = "POST, OPTIONS"
    return response
