"""Asking for an integration's own token: whose client it is, and what an answer has to say."""

import json
import time
from typing import Any

import pytest
import requests

from service.grants.granted import MintedToken
from service.grants.minting import mint
from service.ground.errors import ServiceError
from tests.unit.zendesk import Zendesk

ORDERS = "zis_acme_orders"


def minted_by(answers: list[Any]) -> tuple[MintedToken, list[requests.PreparedRequest]]:
    """Return what is made of answers, and the requests."""
    zendesk = Zendesk(answers)
    return mint(zendesk.client(), "acme_orders", ["read", "write"], time.time), zendesk.sent


TOKEN = {"token": {"id": 7, "full_token": "value", "expires_at": None}}


def test_offset_pages_are_counted_and_no_address_is_followed() -> None:
    first = {"clients": [{"id": 1, "identifier": "other"}, 7], "next_page": "http://elsewhere.example/2"}
    second = {"clients": [{"id": 2, "identifier": ORDERS}], "next_page": None}
    minted, sent = minted_by([first, second, TOKEN])
    assert (minted.access_token, minted.token_id, minted.expires_at) == ("value", 7, None)
    assert str(sent[1].url).endswith("/api/v2/oauth/clients?per_page=100&page=2")
    assert sent[2].body == b'{"token": {"client_id": 2, "scopes": ["read", "write"]}}'


def test_a_list_of_clients_that_never_ends_says_nothing_of_the_integration() -> None:
    pages = [{"clients": [], "meta": {"has_more": True, "after_cursor": f"page {number}"}} for number in range(100)]
    with pytest.raises(ServiceError) as raised:
        minted_by(pages)
    assert raised.value.code == "zendesk_unavailable"
    assert "does not end" in raised.value.detail


@pytest.mark.parametrize(
    "meta",
    [{"has_more": True}, {"has_more": True, "after_cursor": ""}, {"has_more": True, "after": "x"},
     {"has_more": "true", "after_cursor": "x"}, {"has_more": True, "after_cursor": "\ud800"}, "text"],
    ids=json.dumps,
)  # fmt: skip
def test_a_list_of_clients_that_goes_on_and_does_not_say_where_says_nothing_of_the_integration(meta: Any) -> None:
    with pytest.raises(ServiceError) as raised:
        minted_by([{"clients": [{"id": 1, "identifier": "other"}], "meta": meta}])
    assert raised.value.code == "zendesk_unavailable"


def test_clients_that_are_no_list_are_unreadable() -> None:
    with pytest.raises(ServiceError) as raised:
        minted_by([{"clients": "text", "meta": None}])
    assert raised.value.code == "zendesk_unavailable"


@pytest.mark.parametrize("clients", [[{"id": "2", "identifier": ORDERS}], None])
def test_a_client_without_a_number_is_none(clients: Any) -> None:
    with pytest.raises(ServiceError) as raised:
        minted_by([{"clients": clients, "meta": None}])
    assert raised.value.code == "integration_mismatch"


@pytest.mark.parametrize("token", [None, {}, {"full_token": 7}, {"full_token": "zwei\nZeilen"}, {"full_token": "ü"}])
def test_a_reply_without_a_usable_token_is_unreadable(token: Any) -> None:
    clients = {"clients": [{"id": 2, "identifier": ORDERS}]}
    with pytest.raises(ServiceError) as raised:
        minted_by([clients, {"token": token}])
    assert raised.value.code == "zendesk_unavailable"
