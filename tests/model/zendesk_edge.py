"""A transport to Zendesk whose every call is a step, answered by the account's truth."""

import threading
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, NewConnectionError

from service.zendesk.transport import TotalTimeout, ZendeskAdapter
from tests.model.edges import NO_ANSWER, REPLY_LOST, World
from tests.model.steps import CRASH, Step
from tests.model.zendesk import to_bytes, tokens_in

REQUEST_LOST = "lost on its way"
NOT_SENT = "Zendesk cannot be reached"


class SteppedZendesk(ZendeskAdapter):
    """Sends nothing; each request is a step, and the account's truth answers it."""

    def __init__(self, world: World, *_settings: object) -> None:
        # Not the real one's own: it reads the CA bundle, 15 ms for a connection that is never opened.
        BaseAdapter.__init__(self)
        self._world = world
        self._failing = threading.local()

    def send(  # type: ignore[override]  # as the real one
        self, request: requests.PreparedRequest, timeout: float | None = None, **_: Any
    ) -> requests.Response:
        call, guarantees = _Call(request), self._world.guarantees
        assert timeout is not None, "a call to Zendesk needs a time limit"
        self._world.schedule.stop_if_over()
        if timeout <= 0:
            guarantees.call_failed(call.refresh_token)
            raise TotalTimeout(request=request)
        if getattr(self._failing, "text", None) == call.text:
            self._failing.text = None
            raise requests.ConnectionError(NO_ANSWER)
        fault = self._world.schedule.at(Step(call.text, call.faults if self._world.steps_fail else ()))
        if fault is not None:
            guarantees.faults += 1
            guarantees.call_failed(call.refresh_token)
        self._judge(call)
        if fault in {NO_ANSWER, REQUEST_LOST, NOT_SENT}:
            # A GET is repeated once by the service; that fails as well.
            self._failing.text = call.text if fault == NO_ANSWER else None
            self._world.schedule.happened(f"{call.text} → {fault}", changes=False)
            raise _not_sent() if fault == NOT_SENT else requests.ConnectionError(fault)
        return self._answer(request, call, reply_is_lost=fault == REPLY_LOST)

    def _judge(self, call: "_Call") -> None:
        actor = self._world.schedule.current
        if call.refresh_token is not None:
            has_lease = self._world.has_lease(actor)
            self._world.guarantees.is_asked(call.refresh_token, actor, time.time(), has_lease=has_lease)
        if call.gives_token:
            self._world.guarantees.is_replaced(actor, time.time())
        if call.bearer is not None:
            self._world.guarantees.is_used(call.bearer, call.path, actor)

    def _answer(self, request: requests.PreparedRequest, call: "_Call", *, reply_is_lost: bool) -> requests.Response:
        account, guarantees, schedule = self._world.account, self._world.guarantees, self._world.schedule
        actor = schedule.current
        if call.revokes is not None and account.accepts(call.bearer):
            guarantees.is_revoked(call.revokes, actor)
        status, body = account.answer(call.method, call.path, call.bearer, call.sent)
        changes = call.method != "GET" and 200 <= status < 300
        if reply_is_lost:
            schedule.happened(f"{call.text} → {status}, {REPLY_LOST}", changes=changes)
            raise requests.ConnectionError(REPLY_LOST)
        guarantees.is_answered(call.refresh_token, actor)
        given = tokens_in(body)
        for token in given:
            guarantees.is_delivered(token, None if actor is None else actor.process)
        schedule.happened(f"{call.text} → {status} {' '.join(given)}".rstrip(), str(body), changes=changes)
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, str(request.url)
        response._content = to_bytes(body)
        response._content_consumed = True  # type: ignore[attr-defined]  # as the real transport does
        return response


class _Call:
    """A request as the model reads it."""

    def __init__(self, request: requests.PreparedRequest) -> None:
        self.method = str(request.method)
        self.path = urlsplit(str(request.url)).path
        sent = request.body or ""
        text = sent.decode() if isinstance(sent, bytes) else str(sent)
        is_form = self.path == "/oauth/tokens"
        self.sent: dict[str, Any] = dict(parse_qsl(text)) if is_form else {}
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        self.bearer = token if scheme == "Bearer" else None
        self.refresh_token = self.sent.get("refresh_token")
        number = self.path.rpartition("/")[2]
        self.revokes = int(number) if self.method == "DELETE" and number.isdecimal() else None

    @property
    def gives_token(self) -> bool:
        return self.refresh_token is not None or (self.method == "POST" and self.path == "/api/v2/oauth/tokens")

    @property
    def faults(self) -> tuple[str, ...]:
        if self.method == "GET":
            return (NO_ANSWER,)
        return (CRASH, REQUEST_LOST, REPLY_LOST, *([NOT_SENT] if self.refresh_token else []))

    @property
    def text(self) -> str:
        if self.refresh_token:
            return f"asks Zendesk for the successor of {self.refresh_token}"
        if "code" in self.sent:
            return "asks Zendesk for the tokens of a code"
        return f"{self.method} {self.path} with {self.bearer}"


def _not_sent() -> requests.ConnectionError:
    pool = HTTPConnectionPool("acme.zendesk.com")
    return requests.ConnectionError(MaxRetryError(pool, "/", NewConnectionError(pool, NOT_SENT)))  # type: ignore[arg-type]  # urllib3 wants a connection and takes what names one
