"""The client of an account: where a refused token is replaced, once."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.ground.deadlines import Deadline
from service.ground.errors import ZendeskUnavailable
from service.zendesk.client import AccountClient, Credential, Unrenewed
from service.zendesk.measured import Kind
from service.zendesk.replies import Reply
from tests.unit.zendesk import Answer, Said, Zendesk

OK: dict[str, str] = {}
REFUSED = Said(401, {"error": "invalid_token"})
MISMATCH = Said(401, {"errors": [{"detail": "Integration Mismatch"}]})


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
def client_of(credential: Credential, *answers: Answer) -> Iterator[tuple[AccountClient, Zendesk]]:
    """Make a client of an account that answers so, one after another."""
    zendesk = Zendesk(answers)
    yield zendesk.client(credential), zendesk


def test_a_token_that_works_is_shown_once_and_that_is_noted() -> None:
    ring = Ring("a", "b")
    with client_of(ring, OK) as (client, zendesk):
        assert client.get("/x").status == 200
    assert (zendesk.tokens(), ring.refused, ring.judged) == (["a"], [], [("a", 200)])


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_refused_token_is_replaced_and_the_call_repeated_once(method: str) -> None:
    ring = Ring("a", "b", "c")
    with client_of(ring, REFUSED, OK) as (client, zendesk):
        reply = client.get("/x", kind="list") if method == "GET" else client.change(method, "/x", kind="list")
    assert reply.status == 200
    assert (zendesk.tokens(), ring.refused, ring.judged) == (["a", "b"], [("a", "list")], [("b", 200)])


def test_where_the_other_token_is_refused_too_there_is_no_third() -> None:
    ring = Ring("a", "b", "c")
    with client_of(ring, REFUSED, REFUSED) as (client, zendesk), pytest.raises(ZendeskUnavailable):
        client.get("/x")
    assert (zendesk.tokens(), ring.judged) == (["a", "b"], [("b", 401)])


def test_where_there_is_no_other_token_the_refusal_is_the_answer() -> None:
    ring = Ring("a")
    with client_of(ring, REFUSED) as (client, zendesk):
        assert client.get("/x").status == 401
    assert (zendesk.tokens(), ring.judged) == (["a"], [])


def test_a_401_about_something_else_replaces_no_token() -> None:
    ring = Ring("a", "b")
    with client_of(ring, MISMATCH) as (client, zendesk):
        assert client.get("/x").status == 401
    assert (zendesk.tokens(), ring.refused, ring.judged) == (["a"], [], [("a", 401)])


def test_a_token_for_what_may_be_refused_for_good_is_not_replaced() -> None:
    ring = Ring("a", "b")
    with client_of(Unrenewed(ring), REFUSED, OK) as (client, zendesk):
        assert [client.get("/x").status for _ in range(2)] == [401, 200]
    assert (zendesk.tokens(), ring.refused, ring.judged) == (["a", "a"], [], [])


def test_nobody_shows_no_token_and_a_given_one_is_shown() -> None:
    with client_of(Credential(), REFUSED, REFUSED) as (client, zendesk):
        assert client.get("/x").status == 401
        assert client.with_token("given").get("/x").status == 401
    assert zendesk.tokens() == [None, "given"]


def test_what_a_client_shows_of_itself_is_no_token() -> None:
    client = Zendesk([]).client()
    assert "the-token" not in repr(client) + repr(client.credential)
