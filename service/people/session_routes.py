"""The session of a page, and its renewal."""

from typing import cast

from flask import Blueprint, g
from flask.typing import ResponseReturnValue

from service.people.guard import bearer
from service.people.sessions import Session
from service.web.documents.account import SessionDocument
from service.web.documents.queries import NoQuery
from service.web.request import API_BASE, name_account, parameters, reply, services

renewal = Blueprint("session", __name__, url_prefix=API_BASE)


@renewal.before_request
def require_renewable_session() -> None:
    """Let in whoever shows a session token, valid or expired, that may still be renewed."""
    token, session = services().sessions.renew(bearer())
    name_account(session.account)
    services().settings.require_allowed(session.account)
    g.renewed = session_document(token, session)


@renewal.post("/session")
def renew_session() -> ResponseReturnValue:
    """Trade a session token, valid or expired, for a fresh one."""
    parameters(NoQuery)
    return reply(cast("SessionDocument", g.renewed))


def session_document(token: str, session: Session) -> SessionDocument:
    """Return a session as it is handed out."""
    return services().sessions.document(token, session)
