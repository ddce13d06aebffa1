"""The account's status, and disconnecting it."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from service.sidebar.connection import Connection
from service.sidebar.guard import current_session, require_session
from service.sidebar.managers import Managers
from service.sidebar.routes import API_BASE
from service.web import collaborator, deadline, flag, query

blueprint = Blueprint("account", __name__, url_prefix=API_BASE)
blueprint.before_request(require_session)


@blueprint.get("/status")
def show_status() -> ResponseReturnValue:
    """Say who is asking, whether the account is connected, and what may be done."""
    query()
    return collaborator(Connection).status(current_session(), deadline())


@blueprint.delete("/connection")
def disconnect() -> ResponseReturnValue:
    """Revoke what was granted and forget it; managers only."""
    uninstall = flag(query("uninstall"), "uninstall") or False
    session = current_session()
    connection = collaborator(Connection)
    if not connection.is_connected(session.account):
        return {"revoked": False}
    collaborator(Managers).require_manager_to_disconnect(session, deadline())
    return {"revoked": connection.disconnect(session.account, deadline(), uninstall=uninstall)}
