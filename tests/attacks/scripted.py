"""A Zendesk that says what an attacker would have it say; nothing in it is honest but the shape."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.simulator import public_key_pem
from sandbox.simulator.messages import Reply, json_reply
from tests.attacks.attackers import query_of
from tests.conftest import MakeAdmin
from tests.endpoint import Endpoint
from tests.steps import DIRECT, Admin

LIST = "job_specs?page%5Bsize%5D=100"
ROW = {"name": "escalate_vip_order", "description": "", "event_source": "support", "event_type": "ticket.TicketCreated",
       "flow_name": "a_flow", "installed": False, "uuid": "u-1"}  # fmt: skip


def token_reply(**members: Any) -> Reply:
    usual = {"access_token": "access-token-0123", "refresh_token": "refresh-token-0123", "token_type": "bearer",
             "scope": "read write", "expires_in": 1800}  # fmt: skip
    return json_reply(200, usual | members)


def user_reply(**members: Any) -> Reply:
    usual = {"id": 101, "name": "Ada Morgan", "role": "admin", "url": "https://acme.zendesk.com/api/v2/users/101.json"}
    return json_reply(200, {"user": usual | members})


def list_reply(*rows: dict[str, Any], **meta: Any) -> Reply:
    return json_reply(200, {"job_specs": [ROW | row for row in rows or ({},)], "meta": meta})


@contextmanager
def scripted_zendesk(reply: Reply | None = None) -> Iterator[Endpoint]:
    """Answer everything with `reply`; None: an admin connects acme_orders, and one job spec is listed."""
    endpoint = Endpoint(reply or json_reply(404, {"error": "RecordNotFound"}))
    if reply is None:
        endpoint.by_path = {
            "acme/oauth/tokens": token_reply(),
            "/users/me": user_reply(),
            "/users/101": user_reply(),
            LIST: list_reply(),
            "/public_key.pem": Reply(200, public_key_pem().encode(), "text/plain"),
        }
    try:
        yield endpoint
    finally:
        endpoint.stop()


def visitor(make_admin: MakeAdmin, endpoint: Endpoint, **changes: str | None) -> Admin:
    """Return somebody with a browser, on a service whose Zendesk is scripted; direct mode."""
    settings: dict[str, str | None] = {**DIRECT, "ZENDESK_URL_TEMPLATE": endpoint.template, "RATE_LIMITS": "off"}
    return make_admin(**(settings | changes))


def finish_connecting(person: Admin, account: str = "acme", **query: str) -> Any:
    """Come back from the consent page as if the admin had pressed Allow."""
    state = query_of(person.authorize(account))["state"]
    return person.browser.get("/oauth/callback", query_string={"state": state, "code": "a-code"} | query)


def targets(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Return (method, path without its query) of every request that came."""
    return [(request.method, request.target.partition("?")[0]) for request in endpoint.requests]


def sent_json(endpoint: Endpoint, end: str) -> Any:
    """Return the body of the one request to that path."""
    (body,) = [request.body for request in endpoint.requests if request.target.endswith(end)]
    return json.loads(body)
