"""What every view needs of the request at hand: its deadline, its id, its parameters, and the collaborators.

What its log lines name is bound here, too: its id, and the account as soon as that is known.
"""

import re
import secrets
import time
from copy import copy
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast
from urllib.parse import parse_qsl

from flask import Flask, Response, current_app, g, has_request_context, request
from pydantic import BaseModel, ValidationError
from structlog.contextvars import bind_contextvars, clear_contextvars

from service.ground.deadlines import Deadline
from service.ground.errors import InvalidRequest
from service.ground.subdomains import Subdomain
from service.web.documents.queries import Query

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    # Views are below what builds these; at run time nothing is imported from there.
    from service.services import Services

# What the paths of the API begin with.
API_BASE = "/api/v1"
Q = TypeVar("Q", bound=Query)

# A router's id is taken over if it can do no harm in a log line or a header.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
# In place of pydantic's words that make no sentence with the parameter's name.
_REASONS = {"missing": "is missing", "string_too_short": "is empty"}
_SERVICES = "zis_services"


def set_services(app: Flask, built: "Services") -> None:
    """Give the application its collaborators."""
    app.extensions[_SERVICES] = built


class _NoServices:
    """Has no collaborators, and says why to whoever asks for one."""

    def __init__(self, fault: Exception) -> None:
        self.__fault = fault

    def __getattr__(self, name: str) -> NoReturn:
        # A copy, because each raise of one object adds frames to it.
        raise copy(self.__fault)


def refuse_services(app: Flask, fault: Exception) -> None:
    """Give the application no collaborators; asking for one raises `fault`."""
    app.extensions[_SERVICES] = _NoServices(fault)


def services() -> "Services":
    """Return the application's collaborators."""
    return cast("Services", current_app.extensions[_SERVICES])


def begin_request() -> None:
    """Note when the request arrived and what it is called."""
    g.began = time.perf_counter()
    # request.headers takes longer to find a name than all of this.
    g.deadline = Deadline.of_request(request.environ.get("HTTP_X_REQUEST_START"))
    g.request_id = request_id_of(request.environ)
    bind_contextvars(request_id=g.request_id)


def request_id_of(environ: "WSGIEnvironment") -> str:
    """Return the id that the router has given a request, if it can do no harm; else a new one."""
    offered = environ.get("HTTP_X_REQUEST_ID", "")
    return offered if _REQUEST_ID.fullmatch(offered) else new_request_id()


def new_request_id() -> str:
    """Return an id for a request that came without one."""
    return secrets.token_hex(16)


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


def parameters(model: type[Q]) -> Q:
    """Return the query parameters of an API request.

    Raises:
        InvalidRequest: one is unknown, repeated, no text, or not of the form the route takes.
    """
    allowed = model.model_fields
    for name, values in request.args.lists():
        if name not in allowed:
            known = f" It takes {', '.join(allowed)}." if allowed else " It takes none."
            raise InvalidRequest(f"This address does not know the parameter {name[:50]!r}.{known}")
        if len(values) > 1:
            raise InvalidRequest(f"The parameter {name} is given more than once.")
        if not (_is_sent_as_text(name) if name in model.any_characters else _is_readable(values[0])):
            raise InvalidRequest(f"The parameter {name} is not readable text.")
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        reason = _REASONS.get(first["type"]) or first.get("ctx", {}).get("error", first["msg"])
        raise InvalidRequest(f"The parameter {first['loc'][0]} {reason}.") from fault


def _is_readable(value: str) -> bool:
    """Return whether a parameter is text without characters that stand for what cannot be written."""
    return "\ufffd" not in value and "\0" not in value


def _is_sent_as_text(name: str) -> bool:
    """Return whether a parameter was sent as UTF-8, which Werkzeug does not tell: it leaves other bytes encoded."""
    sent = dict(parse_qsl(request.query_string.decode(), keep_blank_values=True, errors="surrogateescape"))
    try:
        sent[name].encode()
    except UnicodeEncodeError:
        return False
    return True


def reply(document: BaseModel) -> Response:
    """Return a document as the answer."""
    # Not pydantic's own JSON: a lone surrogate in a word of Zendesk's would break it.
    return Response(current_app.json.dumps(document.model_dump()), content_type="application/json")
