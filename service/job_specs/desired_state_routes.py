"""The desired state of the account that asks: plan and apply."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from service.grants.clients import AccountContext
from service.job_specs.desired_state import DesiredState, Place, read_document
from service.job_specs.plans import Change
from service.job_specs.reconciling import Applied, Pace
from service.people.guard import author, current_session, require_caller, waits_for_zendesk
from service.web.documents.desired_state import PlanDocument
from service.web.documents.queries import RearmQuery
from service.web.rate_limits import CHANGES, FRESH_LISTS
from service.web.request import API_BASE, deadline, parameters, reply, services

# Nobody says how long to wait where only this request's time was over.
AT_ONCE_SECONDS = 1

blueprint = Blueprint("desired_state", __name__, url_prefix=f"{API_BASE}/job_specs")
blueprint.before_request(require_caller)


@blueprint.post("/plan")
@waits_for_zendesk
def plan() -> ResponseReturnValue:
    """Say what apply would do; nothing is changed."""
    desired, is_rearming = _asked()
    session = current_session()
    grant_id = services().access_tokens.usable(session.account).id
    services().roles.require_manager(session, deadline())
    changes = _planned(desired, grant_id, is_rearming=is_rearming)
    return reply(_document(Applied.untried(changes)))


@blueprint.post("/apply")
@waits_for_zendesk
def apply() -> ResponseReturnValue:
    """Make the changes that fit into the request's time and the caller's limit; repeated, it goes on."""
    desired, is_rearming = _asked()
    session = current_session()
    grant_id = services().access_tokens.usable(session.account).id
    standing = services().roles.require_manager(session, deadline())
    changes = _planned(desired, grant_id, is_rearming=is_rearming)
    applied = services().reconciler.apply(
        session.account, grant_id, changes, author(standing), Pace(deadline=deadline, admit=_admit, wait=_never)
    )
    retry_after = None
    if applied.left:
        told = applied.failure.retry_after if applied.failure else None
        retry_after = told or AT_ONCE_SECONDS
    if is_rearming:
        rearmed = services().rearmed
        rearmed.note(session.account, current_session().counted_as, desired.integrations, applied.changes, retry_after)
    response: Response = reply(_document(applied))
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _asked() -> tuple[DesiredState, bool]:
    """Return the desired state that was sent, and whether what is installed is to be installed again.

    Raises:
        InvalidRequest: the parameters or the document are faulty.
        RateLimited: it is one too many.
    """
    wish = parameters(RearmQuery)
    account = current_session().account
    # A large document takes a second to read, whoever sends it.
    services().rate_limits.count(FRESH_LISTS, current_session().counted_as)
    return read_document(request.get_data(), Place(account, services().settings.integration_names)), wish.rearm


def _planned(desired: DesiredState, grant_id: str, *, is_rearming: bool) -> tuple[Change, ...]:
    context = AccountContext(desired.account, grant_id, deadline())
    changes = services().reconciler.plan(context, desired.integrations, rearm=is_rearming).changes
    if not is_rearming:
        return changes
    return services().rearmed.without_done(desired.account, current_session().counted_as, desired.integrations, changes)


def _admit(_change: Change) -> bool:
    """Count a change against the caller's limit.

    Raises:
        RateLimited: it is one too many.
    """
    services().rate_limits.count(CHANGES, current_session().counted_as)
    return True


def _never(_seconds: int) -> bool:
    """Wait for no limit of Zendesk's: the caller is told to come again."""
    return False


def _document(applied: Applied) -> PlanDocument:
    return PlanDocument(changes=[one.to_document() for one in applied.changes], left=applied.left)
