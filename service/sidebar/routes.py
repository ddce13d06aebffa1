"""The page that Zendesk opens by a signed POST, and the renewal of its session."""

from typing import cast

from flask import Blueprint, g, make_response, render_template, request
from flask.typing import ResponseReturnValue

from service.documents.account import SessionDocument
from service.documents.queries import NoQuery
from service.errors import MethodNotAllowed
from service.rate_limits import REFUSED_REQUESTS, RateLimits, address_group
from service.settings import Settings
from service.sidebar.connection import Connection
from service.sidebar.guard import bearer
from service.sidebar.sessions import Session, Sessions
from service.sidebar.zaf_jwt import ZAFTokens
from service.timestamps import timestamp
from service.web import collaborator, deadline, name_account, parameters, reply

API_BASE = "/api/v1"

# Public, but of use only with a signed token.
page = Blueprint("sidebar", __name__)
renewal = Blueprint("session", __name__, url_prefix=API_BASE)


@renewal.before_request
def require_renewable_session() -> None:
    """Let in whoever shows a session token, valid or expired, that may still be renewed."""
    token, session = collaborator(Sessions).renew(bearer())
    name_account(session.account)
    collaborator(Settings).require_allowed(session.account)
    g.renewed = _issued(token, session)


@page.post("/sidebar")
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
    bootstrap = {
        **_issued(token, session).model_dump(),
        "account": signed.account,
        "api_base": API_BASE,
        "authorize_url": collaborator(Connection).address_to_connect(signed.account),
    }
    return render_template("sidebar.html", bootstrap=bootstrap)


@page.get("/sidebar")
def sidebar_closed() -> ResponseReturnValue:
    """Say where this page lives."""
    response = make_response(render_template("sidebar_closed.html"), MethodNotAllowed.status)
    response.headers["Allow"] = "POST, OPTIONS"
    return response


@renewal.post("/session")
def renew_session() -> ResponseReturnValue:
    """Trade a session token, valid or expired, for a fresh one."""
    parameters(NoQuery)
    return reply(cast("SessionDocument", g.renewed))


def _issued(token: str, session: Session) -> SessionDocument:
    seconds = collaborator(Sessions).seconds_left(session)
    return SessionDocument(session_token=token, expires_at=timestamp(session.expires_at) or "", expires_in=seconds)
