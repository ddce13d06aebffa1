"""Machine tokens: for one account and a few routes; nobody makes one but the operator, whatever they can write."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from flask import Flask
from redis import Redis
from werkzeug.test import TestResponse

from service.people.machine_tokens import DAY_SECONDS, MachineTokens, tokens_key
from service.store.activity import Activity
from service.store.store import Store
from service.web.rate_limits import CHANGES
from tests.attacks.attackers import ACME, GLOBEX, VIP
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import ORDERS_ONLY, SECRET_KEYS, Admin, collaborator
from tests.test_guards import guarded_routes

pytestmark = pytest.mark.attacks

DOCUMENT = {"integrations": {"acme_orders": {"installed": ["escalate_vip_order"]}}}
ACCEPTED = {
    ("GET", "/api/v1/job_specs"),
    ("POST", "/api/v1/job_specs/plan"),
    ("POST", "/api/v1/job_specs/apply"),
    ("POST", "/api/v1/job_specs/install"),
    ("DELETE", "/api/v1/job_specs/install"),
    ("POST", "/api/v1/job_specs/track_parcel/install"),
    ("DELETE", "/api/v1/job_specs/track_parcel/install"),
}
Call = Callable[..., TestResponse]


@pytest.fixture
def orders(make_admin: MakeAdmin) -> Admin:
    """Acme and globex, connected, with their orders alone."""
    admin = make_admin(**ORDERS_ONLY)
    admin.connect("globex")
    admin.connect("acme")
    return admin


def make(app: Flask, account: Any = ACME, name: str = "deploy", days: int = 90) -> str:
    token, _ = collaborator(app, MachineTokens).create(account, name, days)
    return token


def ask(app: Flask, token: str, method: str = "GET", path: str = "/job_specs", **options: Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"}
    return app.test_client().open(f"/api/v1{path}", method=method, headers=headers, **options)


def refused(app: Flask, token: str) -> bool:
    reply = ask(app, token)
    return (reply.status_code, reply.get_json().get("code")) == (401, "unauthenticated")


# --- what it is good for ---


def test_it_lists_plans_applies_installs_and_uninstalls(orders: Admin) -> None:
    token = make(orders.app)
    assert re.fullmatch(r"zism_acme_[\w-]{43}", token)
    assert ask(orders.app, token).get_json()["job_specs"]
    assert ask(orders.app, token, "POST", "/job_specs/plan", json=DOCUMENT).status_code == 200
    assert ask(orders.app, token, "POST", "/job_specs/apply", json=DOCUMENT).status_code == 200
    assert ask(orders.app, token, "DELETE", f"/job_specs/install?job_spec_name={VIP}").status_code == 200
    assert ask(orders.app, token, "POST", "/job_specs/escalate_vip_order/install").status_code == 200
    entry = collaborator(orders.app, Activity).latest(ACME)[0]
    assert (entry["action"], entry["actor"]) == ("installed", {"id": None, "name": "deploy"})


def test_elsewhere_it_is_no_token_at_all(orders: Admin) -> None:
    token = make(orders.app)
    passed = set()
    for method, path in guarded_routes(orders.app):
        reply = orders.app.test_client().open(path, method=method, headers={"Authorization": f"Bearer {token}"})
        if reply.status_code != 401:
            passed.add((method, path))
    assert {(method, path) for method, path in passed if method not in {"HEAD", "OPTIONS"}} == ACCEPTED
    assert all(path in {known for _, known in ACCEPTED} for _, path in passed)


def test_it_renews_into_no_session(orders: Admin) -> None:
    assert ask(orders.app, make(orders.app), "POST", "/session").status_code == 401


@pytest.mark.parametrize("place", ["query", "cookie", "form"])
def test_it_counts_in_its_header_alone(orders: Admin, place: str) -> None:
    token, browser = make(orders.app), orders.app.test_client()
    if place == "cookie":
        browser.set_cookie("session_token", token)
    query = f"?session_token={token}" if place == "query" else ""
    data = {"token": token} if place == "form" else None
    assert browser.get(f"/api/v1/job_specs{query}", data=data).status_code == 401


# --- whose it is ---


def test_it_is_its_accounts_alone(orders: Admin) -> None:
    token = make(orders.app, GLOBEX)
    rows = ask(orders.app, token).get_json()["job_specs"]
    assert {row["integration"] for row in rows} == {"globex_orders"}
    reply = ask(orders.app, token, "POST", f"/job_specs/install?job_spec_name={VIP}")
    assert (reply.status_code, reply.get_json()["code"]) == (404, "job_spec_not_found")
    document = {**DOCUMENT, "account": "acme"}
    assert ask(orders.app, token, "POST", "/job_specs/apply", json=document).status_code == 400
    assert refused(orders.app, token.replace("globex", "acme"))


def test_taken_off_the_allow_list_it_is_refused(orders: Admin, make_app: MakeApp) -> None:
    token = make(orders.app)
    reply = ask(make_app(ZENDESK_SUBDOMAINS="globex"), token)
    assert (reply.status_code, reply.get_json()["code"]) == (403, "account_not_allowed")


def test_of_an_account_that_is_not_connected_it_says_so(make_app: MakeApp) -> None:
    app = make_app()
    reply = ask(app, make(app))
    assert (reply.status_code, reply.get_json()["code"]) == (409, "authorization_required")


# --- how long ---


def test_expired_it_is_refused_wherever_the_record_still_lies(orders: Admin, redis: Redis) -> None:
    token = make(orders.app, days=1)
    make(orders.app, name="another", days=90)
    assert not refused(orders.app, token)
    with time_machine.travel(time.time() + DAY_SECONDS + 1, tick=True):
        redis.persist(tokens_key(ACME))
        assert refused(orders.app, token)
        assert [one.name for one in collaborator(orders.app, MachineTokens).all(ACME)] == ["another"]


def test_the_hash_goes_with_its_last_token(orders: Admin, redis: Redis) -> None:
    make(orders.app, days=30)
    make(orders.app, name="b", days=2)
    assert 29 * DAY_SECONDS < int(redis.ttl(tokens_key(ACME))) <= 30 * DAY_SECONDS


def test_revoked_it_is_refused_at_once_and_the_others_are_not(orders: Admin) -> None:
    token, other = make(orders.app), make(orders.app, name="nightly")
    assert not refused(orders.app, token)
    collaborator(orders.app, MachineTokens).revoke(ACME, "deploy")
    assert refused(orders.app, token)
    assert not refused(orders.app, other)


# --- whoever can write to Redis ---


def fields(redis: Redis, account: Any = ACME) -> dict[bytes, bytes]:
    found: Any = redis.hgetall(tokens_key(account))
    return dict(found)


def test_redis_holds_neither_the_token_nor_its_name(orders: Admin, redis: Redis) -> None:
    token = make(orders.app, name="very-secret-name")
    raw = b"".join(name + value for name, value in fields(redis).items())
    assert token.encode() not in raw
    # The secret itself, in which an underscore may stand.
    assert token[-43:].encode() not in raw
    assert b"very-secret-name" not in raw


def test_a_record_of_another_token_or_account_opens_for_none(orders: Admin, redis: Redis) -> None:
    """Without the key nobody can say under which field a token of their own would be looked for."""
    make(orders.app)
    make(orders.app, GLOBEX)
    (field, sealed), (theirs, their_seal) = *fields(redis).items(), *fields(redis, GLOBEX).items()
    mine = "zism_acme_" + "A" * 43
    own = collaborator(orders.app, MachineTokens)._fields(mine)  # the very place, which an attacker cannot know
    for place, value in [*((place, sealed) for place in own), (own[0], their_seal), (own[0], b"forged"), (own[0], b"")]:
        redis.hset(tokens_key(ACME), place, value)
        assert refused(orders.app, mine)
        redis.hdel(tokens_key(ACME), place)
    # Nor does a token of globex's work in acme, with its record brought along.
    redis.hset(tokens_key(ACME), theirs, their_seal)
    assert [one.name for one in collaborator(orders.app, MachineTokens).all(ACME)] == ["deploy"]
    redis.hset(tokens_key(ACME), field, their_seal)
    assert collaborator(orders.app, MachineTokens).all(ACME) == []


def test_other_sealed_records_make_no_token(orders: Admin, redis: Redis) -> None:
    orders.status()
    mine = "zism_acme_" + "B" * 43
    place = collaborator(orders.app, MachineTokens)._fields(mine)[0]
    for sealed in (redis.hget("zis:{acme}:grant", "sealed"), redis.get("zis:{acme}:role:101")):
        assert sealed
        redis.hset(tokens_key(ACME), place, sealed)
        assert refused(orders.app, mine)


@pytest.mark.parametrize("kind", ["string", "list"])
def test_a_key_of_another_type_is_an_error_and_no_way_in(orders: Admin, redis: Redis, kind: str) -> None:
    token = make(orders.app)
    redis.delete(tokens_key(ACME))
    redis.set(tokens_key(ACME), "x") if kind == "string" else redis.lpush(tokens_key(ACME), "x")
    assert ask(orders.app, token).status_code == 503


@pytest.mark.parametrize(
    "token",
    ["zism_", "zism_acme", "zism_acme_", "zism_acme_short", "zism_ACME_" + "a" * 43, "zism_acme_" + "a" * 44,
     "zism_acme}_" + "a" * 43, "zism_*_" + "a" * 43, "zism_-_" + "a" * 43, "zism__" + "a" * 43, "ZISM_acme_" + "a" * 43,
     "zism_acme_" + "a" * 42 + "é", "zism_" + "a" * 100_000],
)  # fmt: skip
def test_what_does_not_look_like_one_asks_redis_nothing(orders: Admin, redis: Redis, token: str) -> None:
    redis.config_resetstat()
    reply = ask(orders.app, token.encode().decode("latin-1"))
    assert reply.status_code == 401
    commands = redis.info("commandstats")
    assert {"cmdstat_hmget", "cmdstat_hgetall"} & commands.keys() == set()


# --- limits ---


def test_it_is_limited_like_a_person_and_by_itself(orders: Admin) -> None:
    token, other = make(orders.app), make(orders.app, name="nightly")
    for _ in range(CHANGES.amount):
        ask(orders.app, token, "POST", "/job_specs/escalate_vip_order/install")
    reply = ask(orders.app, token, "POST", "/job_specs/escalate_vip_order/install")
    assert (reply.status_code, reply.get_json()["code"]) == (429, "rate_limited")
    assert ask(orders.app, other, "POST", "/job_specs/escalate_vip_order/install").status_code == 200
    assert orders.install("escalate_vip_order").status_code == 200


def test_whoever_guesses_is_stopped(orders: Admin) -> None:
    token = make(orders.app)
    statuses = {ask(orders.app, "zism_acme_" + f"{number:043}").status_code for number in range(302)}
    assert statuses == {401, 429}
    # From this address nobody is let in for the rest of the minute.
    assert ask(orders.app, token).status_code == 429


# --- keys ---


NEW = "a-newer-key-of-the-token-tests-0123456789abcdef"


@pytest.fixture
def both(orders: Admin, make_app: MakeApp) -> Flask:
    """The service with a newer key before the older ones."""
    assert orders.session_token
    return make_app(**ORDERS_ONLY, SECRET_KEYS=f"{NEW},{SECRET_KEYS}")


def test_after_a_rotation_a_token_that_is_used_outlives_the_old_key(
    orders: Admin, both: Flask, make_app: MakeApp, redis: Redis
) -> None:
    used, unused = make(orders.app), make(orders.app, name="unused")
    assert not refused(both, used)
    assert len(fields(redis)) == 2
    alone = make_app(**ORDERS_ONLY, SECRET_KEYS=NEW)
    assert ask(alone, used).get_json()["code"] == "authorization_required"
    assert refused(alone, unused)


def test_revoked_while_it_is_shown_it_is_refused_all_the_same(
    orders: Admin, both: Flask, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record moves between the look of whoever revokes and the deletion."""
    token, other = make(orders.app), make(orders.app, name="nightly")
    store = collaborator(both, Store)
    write = store.write
    shown: list[bool] = []

    def write_late(*commands: Any) -> list[Any]:
        if commands[0][0] == "HDEL" and not shown:
            shown.append(not refused(both, token))
        return write(*commands)

    monkeypatch.setattr(store, "write", write_late)
    collaborator(both, MachineTokens).revoke(ACME, "deploy")
    assert shown == [True]
    assert refused(both, token)
    assert len(fields(redis)) == 1
    assert not refused(both, other)


def test_revoked_by_somebody_else_meanwhile_it_is_revoked(
    orders: Admin, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(orders.app)
    store = collaborator(orders.app, Store)
    write = store.write

    def write_late(*commands: Any) -> list[Any]:
        redis.delete(tokens_key(ACME))
        return write(*commands)

    monkeypatch.setattr(store, "write", write_late)
    collaborator(orders.app, MachineTokens).revoke(ACME, "deploy")
    assert fields(redis) == {}


def test_where_redis_takes_no_writes_a_token_under_an_older_key_is_good(
    orders: Admin, both: Flask, redis: Redis
) -> None:
    token = make(orders.app)
    before = fields(redis)
    redis.config_set("maxmemory", "1")
    replies = [ask(both, token), ask(both, token)]
    redis.config_set("maxmemory", "0")
    assert [reply.status_code for reply in replies] == [200, 200]
    assert fields(redis) == before
    assert not refused(both, token)
    assert fields(redis).keys() != before.keys()
