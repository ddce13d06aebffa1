"""An integration's own token: made once for everybody, again when it has ended, and never left behind."""

import time
from typing import Any

import pytest
import time_machine
from redis import Redis
from werkzeug.test import TestResponse

from service.grants.granted import MintedToken
from service.grants.grants import Grants
from service.ground.subdomains import Subdomain
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, Admin, collaborator, wait_until
from tests.workers import at_once, meanwhile

ACME = Subdomain("acme")
ORDERS = "zis_acme_orders"
TOKENS = "/api/v2/oauth/tokens"


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, on a service with one integration, whose token is minted."""
    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    person.status()
    person.simulator.world.clear_calls()
    return person


def held(admin: Admin) -> MintedToken:
    _, minted = collaborator(admin.app, Grants).with_minted(ACME, "acme_orders")
    assert minted is not None
    return minted


def mints(admin: Admin) -> int:
    return len(admin.calls(TOKENS, method="POST", status=201))


def live(admin: Admin) -> int:
    return admin.simulator.world.account("acme").live_tokens().get(ORDERS, 0)


def outcome(reply: TestResponse) -> tuple[int, str]:
    return reply.status_code, reply.get_json()["code"]


def connect_with(make_admin: MakeAdmin, **switches: Any) -> Admin:
    person = make_admin(**ORDERS_ONLY)
    person.switch(**switches)
    person.connect("acme")
    return person


# --- how it is asked for ---


def test_the_clients_number_is_looked_for_on_every_page(make_admin: MakeAdmin) -> None:
    admin = connect_with(make_admin)
    assert [call.query for call in admin.calls("/oauth/clients")] == [("page[size]",), ("page[size]", "page[after]")]
    assert mints(admin) == 1
    assert {call.token_client for call in admin.calls(TOKENS, method="POST")} == {"job_specs_sidebar"}


def test_an_integration_without_a_client_is_not_registered(make_admin: MakeAdmin) -> None:
    admin = make_admin(ZIS_INTEGRATIONS="{subdomain}_nothing")
    admin.connect("acme")
    reply = admin.list_fresh()
    assert outcome(reply) == (409, "integration_mismatch")
    assert "zis_acme_nothing" in reply.get_json()["detail"]
    assert admin.status()["integrations"][0]["state"] == "not_registered"
    assert admin.calls(TOKENS, method="POST") == []


def test_a_cursor_that_repeats_says_nothing_of_the_integration(make_admin: MakeAdmin) -> None:
    admin = make_admin(ZIS_INTEGRATIONS="{subdomain}_nothing")
    admin.meets({"where": "clients", "kind": "repeat_cursor"})
    admin.connect("acme")
    asked = len(admin.calls("/oauth/clients"))
    assert outcome(admin.list_fresh()) == (502, "zendesk_unavailable")
    assert len(admin.calls("/oauth/clients")) == asked + 2


@pytest.mark.parametrize(
    ("fault", "expected"),
    [({"where": "mint", "kind": "http_404"}, (422, "zis_rejected")),
     ({"where": "mint", "kind": "http_403_admin"}, (403, "admin_required")),
     ({"where": "mint", "kind": "http_403_scope"}, (403, "scope_insufficient")),
     ({"where": "mint", "kind": "http_500_text"}, (502, "zendesk_unavailable")),
     ({"where": "mint", "kind": "empty_200"}, (502, "zendesk_unavailable")),
     ({"where": "mint", "kind": "wrong_types"}, (502, "zendesk_unavailable")),
     ({"where": "mint", "kind": "http_429", "retry_after": 9}, (429, "rate_limited")),
     ({"where": "clients", "kind": "http_403_admin"}, (403, "admin_required")),
     ({"where": "clients", "kind": "http_403_html"}, (502, "zendesk_unavailable")),
     ({"where": "mint", "kind": "http_403_html"}, (502, "zendesk_unavailable")),
     ({"where": "mint", "kind": "http_404_html"}, (502, "zendesk_unavailable")),
     ({"where": "clients", "kind": "account_gone"}, (409, "account_gone")),
     ({"where": "mint", "kind": "account_gone"}, (409, "account_gone")),
     ({"where": "clients", "kind": "html_200"}, (502, "zendesk_unavailable"))],
    ids=["mint-404", "mint-403", "mint-scope", "mint-500", "mint-empty", "mint-types", "mint-429", "clients-403",
         "clients-403-html", "mint-403-html", "mint-404-html", "clients-gone", "mint-gone", "clients-html"],
)  # fmt: skip
def test_a_refused_mint_is_the_lists_error(
    fault: dict[str, Any], expected: tuple[int, str], admin: Admin, redis: Redis
) -> None:
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    admin.meets(fault)
    reply = admin.list_fresh()
    assert outcome(reply) == expected
    assert admin.lists_asked() == 0
    assert admin.status()["connection"]["state"] == (
        "reauthorization_required" if expected[1] in {"admin_required", "account_gone"} else "connected"
    )


# --- how long it lasts ---


@pytest.mark.parametrize(("mint", "asks"), [("lasting", 0), ("expiring", 0), ("expiring_unsaid", 1)])
def test_its_end_is_what_zendesk_says(mint: str, asks: int, make_admin: MakeAdmin) -> None:
    admin = connect_with(make_admin, mint=mint)
    token = held(admin)
    if mint == "lasting":
        assert token.expires_at is None
    else:
        assert token.expires_at is not None
        # Zendesk's clock, in whole seconds, and ours are apart by what the call took.
        assert 1740 <= token.expires_at - token.obtained_at <= 1801
    assert len(admin.calls(f"{TOKENS}/current", method="GET")) == asks


@pytest.mark.parametrize("kind", ["http_500_text", "http_404", "html_200", "empty_200"])
def test_a_token_whose_end_cannot_be_asked_is_used_all_the_same(kind: str, make_admin: MakeAdmin) -> None:
    admin = make_admin(**ORDERS_ONLY)
    admin.switch(mint="expiring_unsaid")
    admin.meets({"where": "tokens", "kind": kind})
    admin.connect("acme")
    assert held(admin).expires_at is None
    assert len(admin.job_specs()["job_specs"]) == 6
    assert (mints(admin), live(admin)) == (1, 1)


def test_an_expired_token_is_minted_again_and_its_predecessor_revoked(make_admin: MakeAdmin) -> None:
    admin = connect_with(make_admin, mint="expiring")
    before = held(admin)
    with time_machine.travel(time.time() + 1796, tick=True):
        admin.open_sidebar()
        assert admin.list_fresh().status_code == 200
        after = held(admin)
        assert after.access_token != before.access_token
        admin.settle()
        assert live(admin) == 1
    assert f"{TOKENS}/{before.token_id}" in {call.path for call in admin.calls(method="DELETE")}
    assert {call.status for call in admin.calls("/registry/")} == {200}


def test_a_refused_token_is_minted_again_once_and_the_call_repeated_once(admin: Admin) -> None:
    before = held(admin)
    admin.simulator.world.account("acme").revoke_grants(ORDERS)
    with time_machine.travel(time.time() + 120, tick=True):
        assert admin.list_fresh().status_code == 200
    assert [call.status for call in admin.calls("/registry/")] == [401, 200]
    admin.settle()
    assert (mints(admin), live(admin)) == (1, 1)
    assert f"{TOKENS}/{before.token_id}" in {call.path for call in admin.calls(method="DELETE")}


def test_a_new_token_that_is_refused_too_is_an_error(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "http_401_text"})
    reply = admin.list_fresh()
    assert outcome(reply) == (502, "zendesk_unavailable")
    assert (reply.get_json()["upstream_status"], reply.get_json()["retry_after"]) == (401, 2)
    assert (mints(admin), admin.lists_asked()) == (1, 2)
    assert admin.status()["connection"]["state"] == "connected"
    admin.meets()
    # Long before the wait is over.
    assert admin.list_fresh().status_code == 200
    assert mints(admin) == 1


def test_a_token_refused_while_its_successor_is_there_is_replaced_by_that(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "hold", "times": 1})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        # Connected anew while the call was on its way: the former token is revoked, a new one is there.
        admin.connect("acme", 101)
        admin.simulator.release()
    assert listed[0].status_code == 200, listed[0].text


# --- for whom ---


def test_many_callers_mint_once(make_admin: MakeAdmin, redis: Redis) -> None:
    admins = [make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0") for _ in range(2)]
    admins[0].connect("acme")
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    admins[0].meets({"where": "mint", "kind": "slow", "seconds": 0.2})
    admins[0].simulator.world.clear_calls()
    headers = {"Authorization": f"Bearer {admins[0].session_token}"}
    replies = at_once(20, lambda number: admins[number % 2].app.test_client().get("/api/v1/job_specs", headers=headers))
    assert {reply.status_code for reply in replies} == {200}
    assert mints(admins[0]) == 1


def test_a_minted_token_no_key_opens_is_minted_again(admin: Admin, redis: Redis) -> None:
    redis.hset("zis:{acme}:grant", "minted:acme_orders", b"sealed by nobody")
    assert admin.list_fresh().status_code == 200
    assert mints(admin) == 1
    assert admin.disconnect().get_json() == {"revoked": True}


def test_a_dead_grants_minted_token_is_not_used(admin: Admin) -> None:
    grants = collaborator(admin.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    grants.update(ACME, grant, grant.changed(dead="grant_revoked"))
    assert outcome(admin.list_fresh()) == (409, "authorization_required")
    assert admin.calls() == []
    assert live(admin) == 1


def test_a_mint_that_finds_its_grant_gone_revokes_what_it_got(admin: Admin, redis: Redis) -> None:
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    admin.simulator.world.account("acme").revoke_grants(ORDERS)
    admin.meets({"where": "mint", "kind": "hold", "times": 1, "after_effect": True})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        redis.hset("zis:{acme}:grant", "id", "another authorization")
        admin.simulator.release()
    assert outcome(listed[0]) == (409, "authorization_required")
    admin.settle()
    assert live(admin) == 0


def test_a_mint_that_finds_the_account_connected_anew_mints_from_that_grant(admin: Admin, redis: Redis) -> None:
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    admin.simulator.world.account("acme").revoke_grants(ORDERS)
    grants = collaborator(admin.app, Grants)
    former = grants.get(ACME)
    assert former is not None
    admin.meets({"where": "mint", "kind": "hold", "times": 1, "after_effect": True})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        # As a callback does that is done by then, with the same pair, so that nothing else changes.
        assert grants.replace(ACME, former.changed(id="another"), grants.holdings(ACME))
        admin.simulator.release()
    assert listed[0].status_code == 200, listed[0].text
    assert mints(admin) == 2
    wait_until(lambda: live(admin) == 1)


def test_a_grant_is_not_replaced_or_forgotten_if_a_token_was_minted_from_it_since(admin: Admin) -> None:
    grants = collaborator(admin.app, Grants)
    read = grants.holdings(ACME)
    assert read.grant is not None
    minted = MintedToken("minted meanwhile", 7, time.time(), None)
    assert grants.save_minted(ACME, read.grant.id, "acme_orders", held(admin), minted)
    assert not grants.replace(ACME, read.grant.changed(id="another"), read)
    assert not grants.forget(ACME, read)
    assert held(admin) == minted
    assert grants.replace(ACME, read.grant.changed(id="another"), grants.holdings(ACME))
    assert grants.with_minted(ACME, "acme_orders")[1] is None


def test_a_mint_that_finds_another_stored_revokes_its_own_and_uses_that(admin: Admin, redis: Redis) -> None:
    sealed = redis.hget("zis:{acme}:grant", "minted:acme_orders") or b""
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    admin.meets({"where": "mint", "kind": "hold", "times": 1, "after_effect": True})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        redis.hset("zis:{acme}:grant", "minted:acme_orders", sealed)
        admin.simulator.release()
    assert listed[0].status_code == 200
    admin.settle()
    assert (mints(admin), live(admin)) == (1, 1)


def test_a_mint_that_cannot_be_stored_is_revoked(admin: Admin, redis: Redis) -> None:
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    admin.simulator.world.account("acme").revoke_grants(ORDERS)
    admin.meets({"where": "mint", "kind": "hold", "times": 1, "after_effect": True})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        redis.config_set("maxmemory", 1)
        admin.simulator.release()
    redis.config_set("maxmemory", 0)
    assert outcome(listed[0]) == (503, "store_unavailable")
    admin.settle()
    assert live(admin) == 0


def test_a_mint_whose_grant_can_no_longer_be_opened_revokes_what_it_got(admin: Admin, redis: Redis) -> None:
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    admin.simulator.world.account("acme").revoke_grants(ORDERS)
    admin.meets({"where": "mint", "kind": "hold", "times": 1, "after_effect": True})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        redis.hset("zis:{acme}:grant", mapping={"id": "another", "sealed": "sealed by nobody"})
        admin.simulator.release()
    assert outcome(listed[0]) == (409, "authorization_required")
    admin.settle()
    assert live(admin) == 0


def test_a_grant_that_can_no_longer_be_opened_is_found_out_on_the_way(admin: Admin, redis: Redis) -> None:
    admin.open_sidebar("acme", 105)
    admin.meets({"where": "users", "kind": "hold"})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        redis.hset("zis:{acme}:grant", "sealed", "sealed by nobody")
        admin.simulator.release()
    assert outcome(listed[0]) == (409, "authorization_required")
    assert admin.lists_asked() == 0


def test_an_account_that_does_not_mint_is_told_so_and_not_only_not_found(make_admin: MakeAdmin) -> None:
    admin = connect_with(make_admin, mint="missing")
    [integration] = admin.status()["integrations"]
    assert integration["state"] == "unavailable"
    assert "minting is not available here" in integration["detail"]
    assert integration["detail"].endswith('Zendesk said: "Not found"')
