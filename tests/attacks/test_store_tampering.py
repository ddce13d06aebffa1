"""Somebody who can write to Redis: what is swapped, cut, changed, put back or planted gives no right and no token."""

import base64
import json
import re
import time
from typing import Any

import pytest
import time_machine
from redis import Redis

from sandbox.simulator import APP_ID
from service.grants.grants import Grants
from service.people.app_keys import YOUNG_SECONDS
from service.people.role import REMEMBERED_SECONDS
from service.store.vault import Vault
from tests.attacks.attackers import ACME, VIP, copy_record, field_of, grant_key, segment, value_of
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, SECRET_KEYS, Admin, collaborator
from tests.stored_grants import expire

pytestmark = pytest.mark.attacks

ROLE = "zis:{acme}:role:%d"
APP_KEY = f"zis:{{acme}}:app_key:{APP_ID}"
FIELD = "minted:acme_orders"


@pytest.fixture
def both(make_admin: MakeAdmin) -> Admin:
    """Acme and globex, connected; acme's sidebar is open."""
    person = make_admin(
        RATE_LIMITS="off", ZIS_INTEGRATIONS="{subdomain}_orders,{subdomain}_shipping", LIST_CACHE_SECONDS="0"
    )
    person.connect("globex")
    person.connect("acme")
    person.job_specs()
    person.simulator.world.clear_calls()
    return person


def code_of(reply: Any) -> tuple[int, str | None]:
    return reply.status_code, reply.get_json().get("code")


def assert_key_missing(person: Admin) -> None:
    """Check that the grant counts as one that no key opens, and that Zendesk was not asked."""
    person.simulator.world.clear_calls()
    assert code_of(person.call("GET", "/job_specs")) == (409, "authorization_required")
    assert code_of(person.install(VIP)) == (409, "authorization_required")
    connection = person.status()["connection"]
    assert (connection["state"], connection["reason"]) == ("reauthorization_required", "key_missing")
    assert person.simulator.world.calls() == []


def uses_of(person: Admin, client: str) -> set[tuple[str | None, str]]:
    """Return (account, path) of what was asked with a client's tokens."""
    return {(call.account, call.path) for call in person.simulator.world.calls() if call.token_client == client}


# --- the grant ---


def test_one_accounts_grant_is_of_no_use_under_another_s_name(both: Admin, redis: Redis) -> None:
    copy_record(redis, grant_key("globex"), grant_key("acme"))

    assert_key_missing(both)


@pytest.mark.parametrize(
    "fields", [("sealed",), ("sealed", "generation"), ("sealed", "generation", "id"), ("generation",)]
)
def test_no_part_of_anothers_grant_fits(both: Admin, redis: Redis, fields: tuple[str, ...]) -> None:
    for field in fields:
        redis.hset(grant_key("acme"), field, field_of(redis, grant_key("globex"), field))

    assert_key_missing(both)


def test_an_older_seal_does_not_fit_a_newer_record(both: Admin, redis: Redis) -> None:
    """The generation stands in clear beside the seal and again inside."""
    older = field_of(redis, grant_key(), "sealed")
    expire(both)
    redis.delete("zis:{acme}:cool_down")
    both.simulator.world.account("acme").expire_access_tokens("zis_acme_orders")
    assert both.status()["connection"]["state"] == "connected"
    redis.hset(grant_key(), "sealed", older)

    assert_key_missing(both)
    assert both.connect("acme").status_code == 200, "a new authorization mends it"
    assert both.status()["connection"]["state"] == "connected"


def test_a_whole_older_record_is_only_as_good_as_its_tokens(make_admin: MakeAdmin, redis: Redis) -> None:
    """Put back as one, it opens: Redis has no memory of its own. Its tokens are spent, so it ends as a dead grant.

    The process that has stored the newer pair would store that again for half a minute; another one finds the older.
    """
    person = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0")
    person.connect("acme")
    redis.hdel(grant_key(), FIELD)
    older = redis.dump(grant_key()) or b""
    person.simulator.world.account("acme").expire_access_tokens("zis_acme_orders")
    expire(person)
    with time_machine.travel(time.time() + 120, tick=True):
        assert person.call("GET", "/job_specs").status_code == 200
        redis.restore(grant_key(), 0, older, replace=True)
        other = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0")
        other.take_session("acme", 101)
        expire(other)
        assert code_of(other.call("GET", "/job_specs")) == (409, "authorization_required")
        assert other.status()["connection"]["reason"] == "grant_revoked"


def changed(sealed: bytes, place: int, bit: int) -> bytes:
    altered = bytearray(sealed)
    altered[place] ^= 1 << bit
    return bytes(altered)


def test_no_bit_of_a_grant_can_be_changed(both: Admin, redis: Redis) -> None:
    """In any of its five parts; and the dots, and what is appended or taken away."""
    sealed = field_of(redis, grant_key(), "sealed")
    parts = sealed.split(b".")
    middles = [
        sum(len(part) + 1 for part in parts[:number]) + len(part) // 2 for number, part in enumerate(parts) if part
    ]
    tampered = [changed(sealed, place, bit) for place in {0, *middles, len(sealed) - 2} for bit in (0, 3, 6)]
    tampered += [sealed[:length] for length in (0, 1, len(parts[0]), len(sealed) // 2, len(sealed) - 4)]
    tampered += [
        sealed + b"AAAA",
        sealed + b".",
        b"." + sealed,
        sealed.replace(b".", b"", 1),
        sealed + b"." + sealed,
        b"\0",
        b"\xff" * 99,
    ]
    for value in tampered:
        redis.hset(grant_key(), "sealed", value)
        reply = both.call("GET", "/job_specs")
        assert code_of(reply) == (409, "authorization_required"), value[:40]
    assert both.simulator.world.calls() == []
    redis.hset(grant_key(), "sealed", sealed)
    assert both.call("GET", "/job_specs").status_code == 200


@pytest.mark.parametrize("member", ["alg", "enc", "crit", "zip", "record", "kid", "typ", "p2c", "epk"])
def test_no_header_of_a_seal_is_a_fault_of_ours(both: Admin, redis: Redis, member: str) -> None:
    """The id of the key is public, so anybody who can write can name it and say anything beside it."""
    sealed = field_of(redis, grant_key(), "sealed").decode()
    header, _, rest = sealed.partition(".")
    claimed = json.loads(base64.urlsafe_b64decode(header + "=="))
    values: tuple[object, ...] = (None, 5, True, 1e300, "none", "DEF", [], {}, ["dir"], {"a": 1}, [[]], "x" * 5_000)
    for value in values:
        redis.hset(grant_key(), "sealed", f"{segment(claimed | {member: value})}.{rest}")
        assert code_of(both.call("GET", "/job_specs")) == (409, "authorization_required"), value
    redis.hset(grant_key(), "sealed", f"{segment(b'[' * 50_000)}.{rest}")
    assert_key_missing(both)


def test_a_grant_sealed_under_a_key_that_is_not_ours_is_none(both: Admin, redis: Redis) -> None:
    """Even if all else is right: name, generation, and an admin's live token inside."""
    grant = collaborator(both.app, Grants).get(ACME)
    assert grant is not None
    forged = Vault(("a-key-of-the-attackers-own-0123456789abcdef",)).seal(grant_key(), grant.to_bytes())
    redis.hset(grant_key(), "sealed", forged)

    assert_key_missing(both)


# --- minted tokens ---


@pytest.mark.parametrize(
    "source", [("acme", "minted:acme_shipping"), ("globex", "minted:globex_orders"), ("acme", "sealed")]
)
def test_a_minted_token_serves_its_own_integration_alone(both: Admin, redis: Redis, source: tuple[str, str]) -> None:
    """A swapped one is not opened: a new one is minted in its place, and the swapped one goes nowhere."""
    redis.hset(grant_key(), FIELD, field_of(redis, grant_key(source[0]), source[1]))
    both.simulator.world.clear_calls()

    assert both.call("GET", "/job_specs?integration=acme_orders").status_code == 200
    own = "/api/services/zis/registry/acme_orders/job_specs"
    assert uses_of(both, "zis_acme_orders") == {("acme", own)}
    assert uses_of(both, "zis_acme_shipping") | uses_of(both, "zis_globex_orders") == set()
    assert len(both.calls("/api/v2/oauth/tokens", method="POST")) == 1


def test_a_minted_token_that_is_put_back_is_replaced_once_refused(both: Admin, redis: Redis) -> None:
    older = field_of(redis, grant_key(), FIELD)
    both.simulator.world.account("acme").expire_access_tokens("zis_acme_orders")
    with time_machine.travel(time.time() + 120, tick=True):
        assert both.call("GET", "/job_specs").status_code == 200
        redis.hset(grant_key(), FIELD, older)
        assert both.call("GET", "/job_specs").status_code == 200
    assert field_of(redis, grant_key(), FIELD) != older


# --- roles, keys, lists ---


def test_a_role_of_another_account_says_nothing(both: Admin, redis: Redis) -> None:
    both.install(VIP)
    both.open_sidebar("globex", 202)
    copy_record(redis, ROLE % 101, "zis:{globex}:role:202")

    assert code_of(both.install("zis:globex_orders:job_spec:refund_record_created")) == (403, "manager_role_required")


def test_a_role_that_is_put_back_is_no_younger(both: Admin, redis: Redis) -> None:
    """Its age is sealed with it: five minutes for a change, twelve hours for a look or a dead grant's end."""
    both.open_sidebar("acme", 105)
    assert both.status()["user"]["can_manage"]
    admins = value_of(redis, ROLE % 105)
    both.simulator.world.account("acme").set_user(105, role="end-user")
    with time_machine.travel(time.time() + 301, tick=True):
        redis.set(ROLE % 105, admins)
        assert code_of(both.install(VIP)) == (403, "manager_role_required")
        assert code_of(both.call("GET", "/job_specs")) == (403, "agent_required")


def test_a_role_that_is_put_back_after_twelve_hours_is_forgotten(both: Admin, redis: Redis) -> None:
    both.open_sidebar("acme", 105)
    assert both.status()["user"]["role"] == "admin"
    admins = value_of(redis, ROLE % 105)
    grants = collaborator(both.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    assert grants.update(ACME, grant, grant.changed(dead="grant_revoked"))
    with time_machine.travel(time.time() + REMEMBERED_SECONDS + 60, tick=True):
        redis.set(ROLE % 105, admins)
        both.open_sidebar("acme", 105)
        assert both.status()["user"]["role"] is None
        # A dead grant cannot ask who this is, so the last answer decides: there is none.
        assert code_of(both.disconnect()) == (403, "manager_role_required")
    assert grants.get(ACME) is not None


def test_an_apps_key_does_not_stay_young_by_a_longer_life(make_admin: MakeAdmin, redis: Redis) -> None:
    person = make_admin()
    person.open_sidebar("acme", 101)
    redis.persist(APP_KEY)
    redis.expire(APP_KEY, 10 * 365 * 86_400)
    other = make_admin()
    other.open_sidebar("acme", 101)
    other.simulator.world.clear_calls()

    with time_machine.travel(time.time() + YOUNG_SECONDS + 60, tick=True):
        other.open_sidebar("acme", 101)
    assert [call.path for call in other.calls("public_key")] == [f"/api/v2/apps/{APP_ID}/public_key.pem"]


def test_another_accounts_list_is_not_shown(make_admin: MakeAdmin, redis: Redis) -> None:
    """Lists lie open, for speed; but each names the grant it was asked with."""
    person = make_admin(**ORDERS_ONLY)
    person.connect("globex")
    person.job_specs()
    person.connect("acme")
    person.job_specs()
    copy_record(redis, "zis:{globex}:list:globex_orders", "zis:{acme}:list:acme_orders")

    assert {row["integration"] for row in person.job_specs()["job_specs"]} == {"acme_orders"}


def test_what_is_planted_where_lists_are_kept_reaches_nobody_as_a_page(make_admin: MakeAdmin, redis: Redis) -> None:
    """Whoever writes to Redis can make a list lie (SECURITY.md says so); it is data, and changes what nobody may."""
    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    person.job_specs()
    rows = json.dumps({"name": "</script><script>alert(1)</script>", "integration": "globex_orders", "installed": True})
    redis.hset("zis:{acme}:list:acme_orders", "rows", rows)
    person.open_sidebar("acme", 102)

    reply = person.call("GET", "/job_specs")
    assert (reply.content_type, reply.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
    assert code_of(person.install(VIP)) == (403, "manager_role_required")
    assert person.changes_sent() == []


def test_nothing_in_the_store_names_a_key(both: Admin, redis: Redis) -> None:
    """The fingerprint beside each seal is derived, and of no use to open one."""
    vault = Vault(tuple(SECRET_KEYS.split(",")))
    assert both.status()["user"]["can_manage"]
    sealed = [field_of(redis, grant_key(), "sealed"), field_of(redis, grant_key(), FIELD), value_of(redis, ROLE % 101)]
    kids = {vault.key_id(value) for value in sealed}

    assert len(kids) == 1
    kid = kids.pop() or ""
    assert re.fullmatch(r"[0-9a-f]{12}", kid)
    assert not any(kid in secret.encode().hex() for secret in SECRET_KEYS.split(","))
