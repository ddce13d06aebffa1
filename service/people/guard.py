"""What every API route checks first: the session, then the allow-list."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from flask import g, request

from service.ground.errors import Unauthenticated
from service.people.machine_tokens import PREFIX
from service.people.role import Standing
from service.people.sessions import Session
from service.store.events import Author
from service.web.rate_limits import REFUSED_REQUESTS, address_group
from service.web.request import name_account, services

P = ParamSpec("P")
T = TypeVar("T")

_SCHEME = "bearer "


def bearer() -> str | None:
    """Return the token of `Authorization: Bearer …` (RFC 6750, section 2.1); None: there is none."""
    header = request.headers.get("Authorization", "")
    return header[len(_SCHEME) :].strip() if header.lower().startswith(_SCHEME) else None


def require_session() -> None:
    """Let in whoever shows a valid session token of an allowed account.

    To change anything the address has to be within the limit of refused requests, too.

    Raises:
        Unauthenticated: missing, invalid or expired.
        AccountNotAllowed: the account was taken off the list.
        RateLimited: too many refused requests came from this address.
    """
    token = bearer()
    if token is not None and token.startswith(PREFIX):
        raise Unauthenticated(
            "A machine token may list job specs, plan, apply, install and uninstall, and nothing else."
        )
    session = services().sessions.read(token)
    name_account(session.account)
    services().settings.require_allowed(session.account)
    g.session = session
    # What is read is at hand, or shared by all who ask; a change asks Zendesk, and its refusal would have, too.
    if request.method not in {"GET", "HEAD"}:
        services().rate_limits.look(REFUSED_REQUESTS, address_group(request.remote_addr))


def require_caller() -> None:
    """As `require_session`; or a valid machine token of an allowed account, which stands for a manager of it.

    Raises:
        Unauthenticated, AccountNotAllowed, RateLimited: as `require_session`.
        StoreUnavailable: Redis could not be asked about a machine token.
    """
    token = bearer() or ""
    if not token.startswith(PREFIX):
        require_session()
        return
    # Each look costs a question to Redis, which whoever guesses is not to ask on and on.
    address = address_group(request.remote_addr)
    services().rate_limits.look(REFUSED_REQUESTS, address)
    account, machine = services().machine_tokens.read(token)
    name_account(account)
    services().settings.require_allowed(account)
    g.session = Session(account, None, None, machine.created_at, machine.expires_at, machine.name)


def waits_for_zendesk(view: Callable[P, T]) -> Callable[P, T]:
    """Let a view hold one of its account's places from beginning to end: what was begun is not turned away later.

    Only behind `require_session` or `require_caller`. The view raises `Busy` where the account has no place left.
    """

    @wraps(view)
    def held(*arguments: P.args, **named: P.kwargs) -> T:
        with services().bulkhead.holding(current_session().account):
            return view(*arguments, **named)

    return held


def current_session() -> Session:
    """Return who is asking; only behind `require_session` or `require_caller`."""
    return cast("Session", g.session)


def author(standing: Standing) -> Author:
    """Return who is asking, as the activity names them; only behind `require_session` or `require_caller`."""
    session = current_session()
    return Author(session.user_id, standing.name, session.installation_id)
