"""The account's status, its activity, and disconnecting it."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from service.sidebar.connection import Connection
from service.sidebar.guard import author, current_session, require_session
from service.sidebar.managers import Managers
from service.sidebar.routes import API_BASE
from service.web import collaborator, deadline, flag, number, query

# Entries of the activity that are shown.
USUAL_LIMIT = 50
LARGEST_LIMIT = 200

blueprint = Blueprint("account", __name__, url_prefix=API_BASE)
blueprint.before_request(require_session)


@blueprint.get("/status")
def show_status() -> ResponseReturnValue:
    """Say who is asking, whether the account is connected, and what may be done."""
    query()
    return collaborator(Connection).status(current_session(), deadline())


@blueprint.get("/activity")
def show_activity() -> ResponseReturnValue:
    """Say who did what, newest first; a disconnected account, too, still has its activity."""
    limit = number(query("limit"), "limit", 1, LARGEST_LIMIT) or USUAL_LIMIT
    return {"activity": collaborator(Connection).activity(current_session(), limit, deadline())}


@blueprint.delete("/connection")
def disconnect() -> ResponseReturnValue:
    """Revoke what was granted and forget it; managers only."""
    uninstall = flag(query("uninstall"), "uninstall") or False
    session = current_session()
    connection = collaborator(Connection)
    if not connection.is_connected(session.account):
        return {"revoked": False}
    managers = collaborator(Managers)
    if connection.is_usable(session.account):
        standing = managers.require_manager(session, deadline())
    else:
        standing = managers.require_remembered_manager(session)
    return {"revoked": connection.disconnect(session.account, author(standing), deadline(), uninstall=uninstall)}
