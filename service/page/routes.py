"""Zendesk's signed POST, answered with the page and what it can show at once."""

from flask import Blueprint, Response, g, make_response, render_template, request
from flask.typing import ResponseReturnValue

from service.errors import MethodNotAllowed
from service.page.at_hand import AtHand
from service.page.markup import bootstrap
from service.rate_limits import REFUSED_REQUESTS, RateLimits, address_group
from service.sidebar.routes import API_BASE, session_document
from service.sidebar.sessions import Sessions
from service.sidebar.zaf_jwt import ZAFTokens
from service.web import collaborator, deadline, name_account

# Public, but of use only with a signed token.
blueprint = Blueprint("sidebar", __name__)

# Stands in the rendered page where the bootstrap document goes.
_PLACE = "bootstrap-document"


@blueprint.post("/sidebar")
def open_sidebar() -> ResponseReturnValue:
    """Answer Zendesk's signed request with the page; a redirect would lose the token."""
    asker = address_group(request.remote_addr)
    # Before the signature is looked at. Whoever was not over the limit is asked about again where a key is fetched.
    collaborator(RateLimits).look_if_over(REFUSED_REQUESTS, asker)
    signed = collaborator(ZAFTokens).verify(request.form.get("token"), deadline(), asker)
    g.framing_account = signed.account
    name_account(signed.account)
    token, session = collaborator(Sessions).issue(
        signed.account, signed.user_id, signed.installation_id, signed.issued_at
    )
    at_hand = collaborator(AtHand).of(session)
    members = {
        "status": at_hand.status,
        **session_document(token, session).model_dump(),
        "account": signed.account,
        "api_base": API_BASE,
        "authorize_url": at_hand.authorize_url,
    }
    before, _, after = render_template("sidebar.html", bootstrap=_PLACE).encode().partition(_PLACE.encode())
    return Response(before + bootstrap(members, at_hand.list) + after, content_type="text/html; charset=utf-8")


@blueprint.get("/sidebar")
def sidebar_closed() -> ResponseReturnValue:
    """Say where this page lives."""
    response = make_response(render_template("sidebar_closed.html"), MethodNotAllowed.status)
    response.headers["Allow"] = "POST, OPTIONS"
    return response
