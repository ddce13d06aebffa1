"""SSRF: nothing that anybody says, Zendesk included, makes this service call another host or another address."""

import gzip
import tracemalloc
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.simulator.messages import Reply, json_reply
from service.zendesk.transport import LARGEST_REPLY_BYTES
from tests.attacks.attackers import VIP
from tests.attacks.scripted import (
    LIST,
    finish_connecting,
    list_reply,
    scripted_zendesk,
    sent_json,
    targets,
    token_reply,
    user_reply,
    visitor,
)
from tests.conftest import MakeAdmin
from tests.endpoint import Endpoint

pytestmark = pytest.mark.attacks

REGISTRY = "/a/acme/api/services/zis/registry"
CURSORS = [
    "http://evil.example/x?page[size]=1#fragment",
    "//evil.example",
    "../../../users/me",
    "%2e%2e%2f",
    "a&page[after]=b&job_spec_name=c",
    "x y+z",
    "\u2044\u0661\U0001f600",
    "x" * 3000,
]


def redirect(status: int, to: Endpoint) -> Reply:
    return Reply(status, b"", "text/html", (("Location", to.template.replace("{subdomain}", "acme")),))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_a_secret_or_a_call_elsewhere(make_admin: MakeAdmin, status: int) -> None:
    """Code, client secret, refresh token and bearer stay with the account's own host (GHSA-wxhm-4rjw-9m7v)."""
    with scripted_zendesk(json_reply(200, {})) as evil, scripted_zendesk() as zendesk:
        person = visitor(make_admin, zendesk)
        assert finish_connecting(person).status_code == 200
        person.open_sidebar("acme", 101)
        assert person.status()["user"]["can_manage"]
        zendesk.by_path.clear()
        zendesk.reply = redirect(status, evil)

        codes = [
            finish_connecting(person).status_code,  # the token endpoint
            person.list_fresh().status_code,
            person.install(VIP).status_code,
            person.uninstall(VIP).status_code,
            person.disconnect().status_code,  # tokens/current
            person.open_sidebar("acme", 102) and person.install(VIP).status_code,  # users/{id}
        ]
        assert codes == [502] * 6
        assert visitor(make_admin, zendesk).post_sidebar(person.simulator.sign("acme", 101)).status_code == 200
        assert evil.requests == []


@pytest.mark.parametrize("status", [302, 307])
def test_no_redirect_brings_another_key(make_admin: MakeAdmin, status: int) -> None:
    with scripted_zendesk() as evil, scripted_zendesk(redirect(status, evil)) as zendesk:
        person = visitor(make_admin, zendesk)

        assert person.post_sidebar(person.simulator.sign("acme", 101)).status_code == 502
        assert len(zendesk.requests) == 1
        assert evil.requests == []


@pytest.mark.parametrize("cursor", CURSORS, ids=lambda cursor: cursor[:12])
def test_a_cursor_is_one_parameter_whatever_is_in_it(make_admin: MakeAdmin, cursor: str) -> None:
    with scripted_zendesk() as zendesk:
        zendesk.by_path[LIST] = list_reply(has_more=True, after=cursor)
        zendesk.reply = list_reply({"name": "second", "uuid": "u-2"}, has_more=False)
        person = visitor(make_admin, zendesk)
        finish_connecting(person)
        person.open_sidebar("acme", 101)
        zendesk.requests.clear()

        assert [row["name"] for row in person.job_specs()["job_specs"]] == ["escalate_vip_order", "second"]
        asked = [urlsplit(request.target) for request in zendesk.requests if "registry" in request.target]
        assert {one.path for one in asked} == {f"{REGISTRY}/acme_orders/job_specs"}
        assert [parse_qs(one.query) for one in asked] == [
            {"page[size]": ["100"]},
            {"page[size]": ["100"], "page[after]": [cursor]},
        ]


def test_a_name_zendesk_lists_is_one_parameter_whatever_is_in_it(make_admin: MakeAdmin) -> None:
    """What is listed is uninstalled on the way out of an account."""
    names = ["../../users/1", "x&job_spec_name=zis:globex_orders:job_spec:y", "http://evil.example", "a b", "\u202e"]
    with scripted_zendesk() as zendesk:
        rows = [{"name": name, "uuid": f"u-{place}", "installed": True} for place, name in enumerate(names)]
        zendesk.by_path[LIST] = list_reply(*rows)
        zendesk.by_path["/tokens/current"] = json_reply(200, {"token": {"id": 9}})
        zendesk.reply = Reply(204)
        person = visitor(make_admin, zendesk)
        finish_connecting(person)
        person.open_sidebar("acme", 101)
        zendesk.requests.clear()

        assert person.disconnect("?uninstall=true").status_code == 200
        asked = [urlsplit(one.target) for one in zendesk.requests if "/install" in one.target]
        assert {one.path for one in asked} == {f"{REGISTRY}/job_specs/install"}
        sent = [parse_qs(one.query)["job_spec_name"] for one in asked]
        assert sorted(sent) == sorted([f"zis:acme_orders:job_spec:{name}"] for name in names)


def test_a_tokens_number_is_a_number(make_admin: MakeAdmin) -> None:
    numbers: list[object] = ["../../users/101", "1/../../users", "http://evil.example", None, 1.5, ["1"], {}, "1"]
    with scripted_zendesk() as zendesk:
        person = visitor(make_admin, zendesk)
        for number in numbers:
            finish_connecting(person)
            person.open_sidebar("acme", 101)
            zendesk.by_path["/tokens/current"] = json_reply(200, {"token": {"id": number}})
            zendesk.requests.clear()
            assert person.disconnect().status_code == 200
            deleted = [path for method, path in targets(zendesk) if method == "DELETE"]
            assert deleted == ["/a/acme/api/v2/oauth/tokens/current"], number


@pytest.mark.parametrize("number", ["7/../../tokens", "http://evil.example", "7", 7.5, None, [7]], ids=repr)
def test_a_clients_number_is_a_number(make_admin: MakeAdmin, number: object) -> None:
    with scripted_zendesk() as zendesk:
        client = {"identifier": "zis_acme_orders", "id": number}
        zendesk.by_path["clients?page%5Bsize%5D=100"] = json_reply(200, {"clients": [client], "meta": {}})
        person = visitor(make_admin, zendesk, ZENDESK_CLIENT_ID="an_ordinary_client", ZIS_INTEGRATIONS="acme_orders")
        page = finish_connecting(person)

        assert "knows no integration acme_orders" in page.text
        assert [path for method, path in targets(zendesk) if method == "POST"] == ["/a/acme/oauth/tokens"]


def test_addresses_in_answers_are_never_called(make_admin: MakeAdmin) -> None:
    """`next_page`, `links.next` and `url` name where to go on; only their presence is looked at."""
    with scripted_zendesk(json_reply(200, {})) as evil, scripted_zendesk() as zendesk:
        address = evil.template.replace("{subdomain}", "acme")
        clients = {"clients": [], "next_page": address, "links": {"next": address}, "url": address}
        zendesk.reply = json_reply(200, clients)
        found = {"clients": [{"identifier": "zis_acme_orders", "id": 7, "url": address}], "next_page": address}
        zendesk.by_path["clients?per_page=100&page=2"] = json_reply(200, found)
        zendesk.by_path["/api/v2/oauth/tokens"] = json_reply(
            201, {"token": {"id": 8, "url": address, "full_token": "minted-token-0123", "expires_at": None}}
        )
        zendesk.by_path[LIST] = list_reply(has_more=False, after=address, links={"next": address})
        person = visitor(make_admin, zendesk, ZENDESK_CLIENT_ID="an_ordinary_client", ZIS_INTEGRATIONS="acme_orders")
        page = finish_connecting(person)

        assert "Not every integration" not in page.text, page.text
        assert sent_json(zendesk, "/api/v2/oauth/tokens")["token"]["client_id"] == 7
        assert evil.requests == []


def test_a_users_address_is_never_called(make_admin: MakeAdmin) -> None:
    with scripted_zendesk() as zendesk:
        person = visitor(make_admin, zendesk)
        for url in ("https://evil.example/api/v2/users/101.json", "http://[", "javascript:alert(1)", "//acme", ""):
            zendesk.by_path["/users/me"] = user_reply(url=url)
            assert finish_connecting(person).status_code == 200, url
        assert {path.split("/")[2] for _, path in targets(zendesk)} == {"acme"}


def test_a_reply_that_unpacks_without_end_is_given_up_early(make_admin: MakeAdmin) -> None:
    """A hundred megabytes of nothing, packed a thousandfold."""
    packed = gzip.compress(b'{"job_specs":[' + b" " * 100_000_000)
    assert len(packed) < LARGEST_REPLY_BYTES / 10
    with scripted_zendesk() as zendesk:
        person = visitor(make_admin, zendesk)
        finish_connecting(person)
        person.open_sidebar("acme", 101)
        person.status()
        zendesk.by_path[LIST] = Reply(200, packed, "application/json", (("Content-Encoding", "gzip"),))
        tracemalloc.start()
        reply = person.list_fresh()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")
    assert "5 MB" in reply.get_json()["detail"]
    assert peak < 8 * LARGEST_REPLY_BYTES


def test_a_token_that_would_break_a_header_is_none(make_admin: MakeAdmin) -> None:
    tokens = ["a\r\nX-Evil: 1", "a b", "", "\u00e9", "x" * 9000, None, 7, ["a"]]
    with scripted_zendesk() as zendesk:
        person = visitor(make_admin, zendesk)
        for token in tokens:
            zendesk.by_path["acme/oauth/tokens"] = token_reply(access_token=token)
            assert finish_connecting(person).status_code == 502, token
        assert targets(zendesk) == [("POST", "/a/acme/oauth/tokens")] * len(tokens)
