"""Zendesk in memory, in the place of the network: answers that were written down before, and what was sent for them."""

import io
import itertools
import json
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import requests

from service.ground.deadlines import Deadline
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.zendesk.calls import ZendeskCalls
from service.zendesk.client import AccountClient, Credential, GivenToken
from service.zendesk.transport import ZendeskAdapter

ACME = Subdomain("acme")
SETTINGS = Settings.from_env({
    "PUBLIC_URL": "https://sidebar.example.com",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEYS": "kept-for-tests-of-rules-only-Zq7Yx3Wv9Ut5Sr1Po8Nm",
    "ZENDESK_SUBDOMAINS": "acme",
    "ZENDESK_CLIENT_ID": "client",
    "ZENDESK_CLIENT_SECRET": "secret",
    "ZIS_INTEGRATIONS": "{subdomain}_orders",
    "ZENDESK_APPS": "1",
})  # fmt: skip

Answer = Any
"""A document that Zendesk answers with 200; `Said`; or an exception of the network."""


class Said:
    """A reply that is not just a document."""

    def __init__(self, status: int, body: Any = b"", **headers: Any) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Zendesk:
    """Gives the answers one after another; the last one again and again."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        known = list(answers)
        self._answers = itertools.chain(known, itertools.repeat(known[-1] if known else None))
        self.sent: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, timeout: float) -> requests.Response:  # noqa: ARG002 - at hand
        """Do what requests' adapters do."""
        self.sent.append(request)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        said = answer if isinstance(answer, Said) else Said(200, answer)
        response = requests.Response()
        response.status_code = said.status
        response.headers.update(said.headers)
        response.raw = io.BytesIO(said.body)
        return response

    def calls(self) -> ZendeskCalls:
        """Return calls that end here."""
        return ZendeskCalls(SETTINGS, cast(ZendeskAdapter, self))

    def client(self, credential: Credential | None = None, *, seconds: float = 25) -> AccountClient:
        """Return a client of acme; by default with a token that somebody gave."""
        credential = GivenToken("the-token") if credential is None else credential
        return AccountClient(self.calls(), ACME, Deadline.after(seconds), credential)

    def tokens(self) -> list[str | None]:
        """Return the token of each request; None: it had none."""
        shown = [sent.headers.get("Authorization") for sent in self.sent]
        return [None if one is None else str(one).removeprefix("Bearer ") for one in shown]

    def queries(self) -> list[dict[str, str]]:
        """Return the query of each request."""
        return [dict(parse_qsl(urlsplit(str(sent.url)).query)) for sent in self.sent]
