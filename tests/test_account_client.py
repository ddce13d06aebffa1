"""The client of an account, over a scripted Zendesk, without Flask or a store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from service.deadlines import Deadline
from service.errors import ZendeskUnavailable
from service.zendesk.client import AccountClient, Credential, Unrenewed
from service.zendesk.measured import Kind
from service.zendesk.replies import Reply
from tests.raw_server import RawServer, http_reply, make_client

OK = http_reply(b"{}")
REFUSED = http_reply(b'{"error": "invalid_token"}', status="401 Unauthorized")
MISMATCH = http_reply(b'{"errors": [{"detail": "Integration Mismatch"}]}', status="401 Unauthorized")


class Ring(Credential):
    """Tokens that replace each other; without one that is left the refused one is the last."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.refused: list[tuple[str, Kind]] = []
        self.judged: list[tuple[str, int]] = []

    def token(self, deadline: Deadline) -> str:  # noqa: ARG002 - at hand
        return self.tokens[0]

    def another(self, refused: str, kind: Kind, deadline: Deadline) -> str | None:  # noqa: ARG002 - likewise
        self.refused.append((refused, kind))
        del self.tokens[0]
        return self.tokens[0] if self.tokens else None

    def judge(self, token: str, reply: Reply) -> None:
        self.judged.append((token, reply.status))
        if reply.refuses_token:
            raise ZendeskUnavailable("Refused again.", upstream_status=reply.status)


@contextmanager
def client_of(
    credential: Credential, environment: dict[str, str], *replies: bytes
) -> Iterator[tuple[AccountClient, RawServer]]:
    """Make a client of an account that answers so, one after another."""
    with RawServer(lambda number: [replies[number]]) as server:
        yield replace(make_client(environment, server.address), credential=credential), server


def shown(server: RawServer) -> list[str | None]:
    """Return the token of each request, None: it had none."""
    heads = [request.partition(b"\r\n\r\n")[0].decode() for request in server.requests]
    return [head.partition("Authorization: Bearer ")[2].partition("\r\n")[0] or None for head in heads]


def test_a_token_that_works_is_shown_once_and_that_is_noted(environment: dict[str, str]) -> None:
    ring = Ring("a", "b")
    with client_of(ring, environment, OK) as (client, server):
        assert client.get("/x").status == 200
    assert (shown(server), ring.refused, ring.judged) == (["a"], [], [("a", 200)])


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_refused_token_is_replaced_and_the_call_repeated_once(method: str, environment: dict[str, str]) -> None:
    ring = Ring("a", "b", "c")
    with client_of(ring, environment, REFUSED, OK) as (client, server):
        reply = client.get("/x", kind="list") if method == "GET" else client.change(method, "/x", kind="list")
    assert reply.status == 200
    assert (shown(server), ring.refused, ring.judged) == (["a", "b"], [("a", "list")], [("b", 200)])


def test_where_the_other_token_is_refused_too_there_is_no_third(environment: dict[str, str]) -> None:
    ring = Ring("a", "b", "c")
    with client_of(ring, environment, REFUSED, REFUSED) as (client, server), pytest.raises(ZendeskUnavailable):
        client.get("/x")
    assert (shown(server), ring.judged) == (["a", "b"], [("b", 401)])


def test_where_there_is_no_other_token_the_refusal_is_the_answer(environment: dict[str, str]) -> None:
    ring = Ring("a")
    with client_of(ring, environment, REFUSED) as (client, server):
        assert client.get("/x").status == 401
    assert (shown(server), ring.judged) == (["a"], [])


def test_a_401_about_something_else_replaces_no_token(environment: dict[str, str]) -> None:
    ring = Ring("a", "b")
    with client_of(ring, environment, MISMATCH) as (client, server):
        assert client.get("/x").status == 401
    assert (shown(server), ring.refused, ring.judged) == (["a"], [], [("a", 401)])


def test_a_token_for_what_may_be_refused_for_good_is_not_replaced(environment: dict[str, str]) -> None:
    ring = Ring("a", "b")
    with client_of(Unrenewed(ring), environment, REFUSED, OK) as (client, server):
        assert [client.get("/x").status for _ in range(2)] == [401, 200]
    assert (shown(server), ring.refused, ring.judged) == (["a", "a"], [], [])


def test_nobody_shows_no_token_and_a_given_one_is_shown(environment: dict[str, str]) -> None:
    with client_of(Credential(), environment, REFUSED, REFUSED) as (client, server):
        assert client.get("/x").status == 401
        assert client.with_token("given").get("/x").status == 401
    assert shown(server) == [None, "given"]


def test_what_a_client_shows_of_itself_is_no_token(environment: dict[str, str]) -> None:
    client = make_client(environment, "http://127.0.0.1:1")
    assert "the-token" not in repr(client) + repr(client.credential)
