"""What every view needs of the request at hand: its deadline, its id, its parameters, and the collaborators.

What its log lines name is bound here, too: its id, and the account as soon as that is known.
"""

import re
import secrets
import time
from typing import TypeVar, cast

from flask import Flask, current_app, g, has_request_context, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from service.deadlines import Deadline
from service.errors import InvalidRequest
from service.subdomains import Subdomain

T = TypeVar("T")

# A router's id is taken over if it can do no harm in a log line or a header.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_COLLABORATORS = "zis_collaborators"
# int() alone takes signs, spaces, underscores and the digits of every script.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


def hand_over(app: Flask, *collaborators: object) -> None:
    """Give the application its collaborators, one of a class."""
    app.extensions[_COLLABORATORS] = {type(one): one for one in collaborators}


class _Withheld(dict[type, object]):
    """Has no collaborators, and says why to whoever asks."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self._fault = fault

    def __missing__(self, kind: type) -> object:
        raise self._fault


def withhold(app: Flask, fault: Exception) -> None:
    """Give the application no collaborators; asking for one raises `fault`."""
    app.extensions[_COLLABORATORS] = _Withheld(fault)


def collaborator(kind: type[T]) -> T:
    """Return the application's one object of a class."""
    return cast("T", current_app.extensions[_COLLABORATORS][kind])


def begin_request() -> None:
    """Note when the request arrived and what it is called."""
    g.began = time.perf_counter()
    g.deadline = Deadline.of_request(request.headers.get("X-Request-Start"))
    offered = request.headers.get("X-Request-Id", "")
    g.request_id = offered if _REQUEST_ID.fullmatch(offered) else secrets.token_hex(16)
    # What another request of this thread has left, should it not have come to its end.
    clear_contextvars()
    bind_contextvars(request_id=g.request_id)


def name_account(account: Subdomain) -> None:
    """Let this request's log lines name the account, once it is known whom it is for."""
    bind_contextvars(account=account)


def end_request() -> None:
    """Let no later line of this thread name the request."""
    clear_contextvars()


def deadline() -> Deadline:
    """Return until when this request has to be answered."""
    return cast("Deadline", g.deadline)


def seconds_taken() -> float:
    """Return how long this request has been with us."""
    return time.perf_counter() - cast("float", g.began)


def request_id() -> str:
    """Return this request's id, as it stands in the logs and in the reply."""
    return str(g.request_id)


def request_id_if_any() -> str | None:
    """Return the id of the request this is done for; None: it is done for none."""
    return request_id() if has_request_context() and "request_id" in g else None


def query(*allowed: str) -> dict[str, str]:
    """Return the query parameters of an API request.

    Raises:
        InvalidRequest: one is unknown or repeated, or no text.
    """
    for name, values in request.args.lists():
        if name not in allowed:
            known = f" It takes {', '.join(allowed)}." if allowed else " It takes none."
            raise InvalidRequest(f"This address does not know the parameter {name[:50]!r}.{known}")
        if len(values) > 1:
            raise InvalidRequest(f"The parameter {name} is given more than once.")
        if "\ufffd" in values[0] or "\0" in values[0]:
            raise InvalidRequest(f"The parameter {name} is not readable text.")
    return request.args.to_dict()


def flag(parameters: dict[str, str], name: str) -> bool | None:
    """Return a parameter that is `true` or `false`; None: not given.

    Raises:
        InvalidRequest: it is something else.
    """
    text = parameters.get(name)
    if text not in {None, "true", "false"}:
        raise InvalidRequest(f"The parameter {name} must be true or false.")
    return None if text is None else text == "true"


def number(parameters: dict[str, str], name: str, lowest: int, highest: int) -> int | None:
    """Return a parameter that is a whole number within bounds; None: not given.

    Raises:
        InvalidRequest: it is something else.
    """
    text = parameters.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or not lowest <= int(text) <= highest:
        raise InvalidRequest(f"The parameter {name} must be a whole number from {lowest} to {highest}.")
    return int(text)
