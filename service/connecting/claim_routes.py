"""POST /api/v1/session/claim: a front end of another origin fetches the session of whoever signed in."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from service.ground import records
from service.ground.errors import InvalidRequest, NotFound
from service.people.claims import is_claim
from service.web.documents.queries import NoQuery
from service.web.rate_limits import OAUTH_REQUESTS, address_group
from service.web.request import name_account, parameters, reply, services

# Signing in takes a person some seconds.
ASK_AGAIN_SECONDS = 2

# Public: whoever has the claim has proven that they began the sign-in.
blueprint = Blueprint("claims", __name__, url_prefix="/api/v1/session")


@blueprint.before_request
def limit_requests() -> None:
    """Count what comes from one address."""
    services().rate_limits.count(OAUTH_REQUESTS, address_group(request.remote_addr))


@blueprint.post("/claim")
def fetch_session() -> ResponseReturnValue:
    """Answer with the session, once; 202: there is none yet."""
    parameters(NoQuery)
    settings = services().settings
    origin = request.headers.get("Origin", "")
    if origin not in settings.allowed_origins:
        raise NotFound("There is nothing to fetch from this origin.")
    claim = _claim_in(request.get_data())
    if not is_claim(claim):
        raise InvalidRequest('The body has to be {"claim": "…"}: 43 characters of base64url.')
    signed_in = services().claims.fetch(str(claim), origin)
    if signed_in is None:
        return Response(status=202, headers={"Retry-After": str(ASK_AGAIN_SECONDS)})
    name_account(signed_in.account)
    # It may have been taken off the list since.
    settings.require_allowed(signed_in.account)
    return reply(services().sign_in.session_of(signed_in.account, signed_in.user_id, signed_in.at))


def _claim_in(body: bytes) -> object:
    """Return the member `claim` of a JSON object; None: it has none, or is no such object."""
    try:
        return records.read(body).get("claim")
    except records.Unreadable:
        return None
