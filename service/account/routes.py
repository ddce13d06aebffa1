"""The account's status, its activity, and disconnecting it."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from service.people.guard import author, current_session, require_session, waits_for_zendesk
from service.web.documents.account import ActivityDocument, DisconnectDocument, StatusDocument
from service.web.documents.queries import ActivityQuery, DisconnectQuery, NoQuery
from service.web.request import API_BASE, deadline, parameters, reply, services

blueprint = Blueprint("account", __name__, url_prefix=API_BASE)
blueprint.before_request(require_session)


@blueprint.get("/status")
def show_status() -> ResponseReturnValue:
    """Say who is asking, whether the account is connected, and what may be done."""
    parameters(NoQuery)
    return reply(StatusDocument.model_validate(services().connection.status(current_session(), deadline())))


@blueprint.get("/activity")
def show_activity() -> ResponseReturnValue:
    """Say who did what, newest first; a disconnected account, too, still has its activity."""
    limit = parameters(ActivityQuery).limit
    entries = services().connection.activity(current_session(), limit, deadline())
    return reply(ActivityDocument.model_validate({"activity": entries}))


@blueprint.delete("/connection")
@waits_for_zendesk
def disconnect() -> ResponseReturnValue:
    """Revoke what was granted and forget it; managers only."""
    uninstall = parameters(DisconnectQuery).uninstall
    session = current_session()
    connection = services().connection
    if not connection.is_connected(session.account):
        return reply(DisconnectDocument(revoked=False))
    standing = services().roles.require_manager_to_disconnect(session, deadline())
    revoked = connection.disconnect(session.account, author(standing), deadline(), uninstall=uninstall)
    return reply(DisconnectDocument(revoked=revoked))
