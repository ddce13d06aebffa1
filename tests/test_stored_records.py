"""A release can be taken back: each stored record opens with a member more, with one less, and without a version.

The members are changed inside the seal, where a release before or after this one would have written them.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from werkzeug.test import TestResponse

from sandbox.simulator import public_key_pem
from service.grants.cool_down import CoolDown
from service.grants.grants import Grants
from service.ground import records
from service.ground.subdomains import Subdomain
from service.job_specs import plans
from service.job_specs.rearmed import Rearmed
from service.operations.sealed_records import SealedRecord, SealedRecords
from service.people.machine_tokens import MachineTokens
from service.store.events import OK
from service.store.store import Store
from service.store.vault import Vault
from service.zendesk.calls import ReplyLate
from tests.conftest import MakeAdmin, MakeApp
from tests.operations.console import run
from tests.operations.test_rotate_keys import ALL_KINDS
from tests.steps import ORDERS_ONLY, Admin, collaborator

ACME = Subdomain("acme")
COOL_DOWN, LIST_FAILURE = "zis:{acme}:cool_down", "zis:{acme}:list_failure:acme_orders"
LIST, PROBES = "zis:{acme}:list:acme_orders", "zis:{acme}:probes"
LATER = {"of_a_later_release": {"list": [1, None], "text": "ü"}}
SEALED = ["grant", "minted_token", "role", "app_key", "activity", "looker"]

Members = dict[str, Any]
Change = Callable[[Members], Members]


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, with one of every record."""
    person = make_admin(LIST_CACHE_SECONDS="60", **ORDERS_ONLY)
    person.connect("acme")
    assert person.list_fresh().status_code == 200
    return person


def of_kind(person: Admin, kind: str) -> list[SealedRecord]:
    return [one for one in collaborator(person.app, SealedRecords).all() if one.kind == kind]


def members_of(person: Admin, record: SealedRecord) -> Members:
    plaintext = collaborator(person.app, Vault).open(record.name, record.sealed)
    members: Members = json.loads(plaintext)
    return members


def rewrite(person: Admin, redis: Redis, record: SealedRecord, plaintext: bytes) -> None:
    """Put other contents in the place of a sealed record's."""
    sealed = collaborator(person.app, Vault).seal(record.name, plaintext).encode()
    match record.kind:
        case "grant":
            redis.hset(record.key, "sealed", sealed)
        case "minted_token" | "machine_token":
            redis.hset(record.key, record.name[len(record.key) + 1 :], sealed)
        case "activity":
            items = redis.lrange(record.key, 0, -1)
            at, _, _ = record.value.partition(b":")
            redis.lset(record.key, items.index(record.value), (at + b":" + sealed).decode())
        case "looker":
            at, _, _ = record.value.partition(b":")
            redis.hset(record.key, record.name[len(record.key) + 1 :], at + b":" + sealed)
        case _:
            redis.set(record.key, sealed, keepttl=True)


def changed(person: Admin, redis: Redis, kind: str, change: Change) -> None:
    for record in of_kind(person, kind):
        rewrite(person, redis, record, json.dumps(change(members_of(person, record))).encode())


def without(name: str) -> Change:
    return lambda members: {key: value for key, value in members.items() if key != name}


@pytest.fixture
def every_answer(admin: Admin, make_admin: MakeAdmin) -> Callable[..., list[int]]:
    """Ask everything that reads records, in a process that remembers none; none of it may be unforeseen."""

    def ask(*, doctor: bool = False) -> list[int]:
        anew = make_admin(LIST_CACHE_SECONDS="60", **ORDERS_ONLY)
        opened = anew.post_sidebar(anew.simulator.sign("acme", 101)).status_code
        anew.session_token = admin.session_token
        replies = [
            anew.call("GET", "/status"),
            anew.call("GET", "/job_specs"),
            anew.list_fresh(),
            anew.call("GET", "/activity"),
        ]
        for command in (["accounts"], ["activity", "export", "--account", "acme"], *([["doctor"]] if doctor else [])):
            assert run(anew.app, *command).status in {0, 1}, command
        return [opened, *(reply.status_code for reply in replies)]

    return ask


@pytest.mark.parametrize("kind", SEALED)
def test_a_record_with_an_unknown_member_is_read_as_without(
    kind: str, admin: Admin, redis: Redis, every_answer: Callable[..., list[int]]
) -> None:
    before = admin.status(), admin.call("GET", "/activity").get_json()
    changed(admin, redis, kind, lambda members: {**members, **LATER})
    admin.simulator.world.clear_calls()
    assert (admin.status(), admin.call("GET", "/activity").get_json()) == before
    assert admin.job_specs()["job_specs"]
    # Nothing was had anew: it was all at hand.
    assert admin.calls() == []
    assert every_answer() == [200] * 5
    assert admin.calls("public_key") == []
    assert admin.calls("/users/101") == []
    assert admin.calls("/oauth/tokens", method="POST") == []
    assert every_answer(doctor=True) == [200] * 5


@pytest.mark.parametrize("kind", SEALED)
def test_a_record_of_the_first_release_is_read(
    kind: str, admin: Admin, redis: Redis, every_answer: Callable[..., list[int]]
) -> None:
    """It had no version, and an app key was the bare PEM."""
    for record in of_kind(admin, kind):
        members = members_of(admin, record)
        assert members.pop("version") == records.VERSION
        first = members["pem"].encode() if kind == "app_key" else json.dumps(members).encode()
        rewrite(admin, redis, record, first)
    before = admin.status(), admin.call("GET", "/activity").get_json()
    admin.simulator.world.clear_calls()
    assert every_answer() == [200] * 5
    assert (admin.status(), admin.call("GET", "/activity").get_json()) == before
    assert admin.calls("public_key") == []
    assert admin.calls("/oauth/tokens", method="POST") == []


ESSENTIAL = {"id", "generation", "client_id", "access_token"}
"""Of a grant; without one of these it is kept and has to be authorized again, as where no key opens it."""


@pytest.mark.parametrize("kind", SEALED)
def test_a_record_with_a_member_less_is_never_unforeseen(
    kind: str, admin: Admin, redis: Redis, every_answer: Callable[..., list[int]]
) -> None:
    stored = of_kind(admin, kind)
    whole = members_of(admin, stored[0])
    assert len(whole) > 1
    for name in whole:
        changed(admin, redis, kind, without(name))
        answers = every_answer()
        if kind == "grant" and name in ESSENTIAL:
            assert admin.status()["connection"]["reason"] == "key_missing", name
            assert set(answers) == {200, 409}, name
        else:
            assert answers == [200] * 5, name
            assert admin.status()["connection"]["state"] == "connected", name
        for now, before in zip(of_kind(admin, kind), stored, strict=True):
            rewrite(admin, redis, now, json.dumps(members_of(admin, before)).encode())


@pytest.mark.parametrize("kind", SEALED)
def test_a_record_that_is_something_else_counts_as_absent(kind: str, admin: Admin, redis: Redis) -> None:
    for contents in (b"[]", b"7", b"null", b"{", b"\xff", b"[" * 100_000):
        for record in of_kind(admin, kind):
            rewrite(admin, redis, record, contents)
        assert admin.call("GET", "/status").status_code == 200
        assert admin.call("GET", "/activity").status_code == 200
        assert admin.list_fresh().status_code == (409 if kind == "grant" else 200)


def test_a_state_with_a_member_more_or_less(admin: Admin, redis: Redis) -> None:
    expected = {"more": 200, "version": 200, "account": 400, "verifier": 400, "browser": 400}
    for name, status in expected.items():
        link = admin.simulator.consent(admin.authorize("acme"), 101)
        changed(admin, redis, "state", (lambda members: {**members, **LATER}) if name == "more" else without(name))
        assert admin.come_back(link).status_code == status, name


def test_every_kind_of_sealed_record_is_opened_here() -> None:
    assert {*SEALED, "state", "machine_token", "rearmed"} == ALL_KINDS


def test_a_machine_token_with_a_member_more_or_less(admin: Admin, redis: Redis) -> None:
    token, _ = collaborator(admin.app, MachineTokens).create(ACME, "deploy", 90)
    headers = {"Authorization": f"Bearer {token}"}
    stored = of_kind(admin, "machine_token")
    whole = members_of(admin, stored[0])
    expected = {"more": 200} | {name: 200 if name in {"version", "hash_key_id"} else 401 for name in whole}
    for name, status in expected.items():
        changed(
            admin, redis, "machine_token", (lambda members: {**members, **LATER}) if name == "more" else without(name)
        )
        assert admin.browser.get("/api/v1/job_specs", headers=headers).status_code == status, name
        assert run(admin.app, "machine-tokens", "list", "--account", "acme").status == 0
        rewrite(admin, redis, of_kind(admin, "machine_token")[0], json.dumps(whole).encode())


NEW, OLD = "a-newer-key-of-the-record-tests-0123456789ab", "the-old-key-of-the-record-tests-0123456789ab"


def of_the_release_before(person: Admin, redis: Redis, name: str = "deploy") -> str:
    """Make a machine token whose record does not say whose hash it lies under; return the token."""
    token, _ = collaborator(person.app, MachineTokens).create(ACME, name, 90)
    changed(person, redis, "machine_token", without("hash_key_id"))
    return token


def unused(app: Flask) -> list[tuple[str, str]]:
    document = run(app, "rotate-keys", "--json").json()
    return [(one["name"], one["key_id"]) for one in document["unused_machine_tokens"]]


def test_a_machine_token_that_does_not_say_its_key_waits_for_the_oldest_until_it_is_used(
    make_admin: MakeAdmin, make_app: MakeApp, redis: Redis
) -> None:
    admin, both = make_admin(SECRET_KEYS=OLD), make_app(SECRET_KEYS=f"{NEW},{OLD}")
    token = of_the_release_before(admin, redis)
    assert unused(admin.app) == []
    old_id = collaborator(admin.app, Vault).key_ids[0]
    assert unused(both) == [("deploy", old_id)]
    alone = make_app(SECRET_KEYS=NEW)
    tokens = collaborator(alone, MachineTokens)
    # This release has sealed it anew, and noted its key.
    assert [tokens.is_key_missing(one) for one in tokens.all(ACME)] == [True]
    collaborator(both, MachineTokens).read(token)
    assert unused(both) == []
    assert collaborator(alone, MachineTokens).read(token)[1].name == "deploy"


def test_a_machine_token_that_the_release_before_brought_over_counts_as_known_once_it_is_used(
    make_admin: MakeAdmin, make_app: MakeApp, redis: Redis
) -> None:
    newer, both = make_admin(SECRET_KEYS=NEW), make_app(SECRET_KEYS=f"{NEW},{OLD}")
    token = of_the_release_before(newer, redis)
    old_id = collaborator(both, Vault).key_ids[1]
    assert unused(both) == [("deploy", old_id)]
    tokens = collaborator(newer.app, MachineTokens)
    assert [tokens.is_key_missing(one) for one in tokens.all(ACME)] == [False]
    collaborator(both, MachineTokens).read(token)
    assert unused(both) == []


def test_what_was_armed_anew_with_a_member_more_or_less(admin: Admin, redis: Redis) -> None:
    rearmed = Rearmed(collaborator(admin.app, Store), collaborator(admin.app, Vault))
    wanted = {"acme_orders": {"escalate_vip_order": True}}
    change = plans.Change("acme_orders", "escalate_vip_order", "rearm", wanted=True)
    done = replace(change, result=OK)
    for name, expected in {"more": "none", "version": "none", "done": "rearm"}.items():
        rearmed.note(ACME, "101", wanted, (done,), 60)
        changed(admin, redis, "rearmed", (lambda members: {**members, **LATER}) if name == "more" else without(name))
        assert [one.change for one in rearmed.without_done(ACME, "101", wanted, (change,))] == [expected], name


# --- what is not sealed ---


FAILURES: dict[str, tuple[Change, str]] = {
    "as it is": (lambda members: members, "zendesk_timeout"),
    "a member more": (lambda members: {**members, **LATER}, "zendesk_timeout"),
    "no version": (without("version"), "zendesk_timeout"),
    "no detail": (without("detail"), "zendesk_timeout"),
    "no code": (without("code"), "zendesk_unavailable"),
    "a later code": (lambda members: {**members, "code": "of_a_later_release"}, "zendesk_unavailable"),
    "nothing": (lambda members: {"grant": members.get("grant")}, "zendesk_unavailable"),
}


def assert_told(key: str, call: Callable[[], TestResponse], admin: Admin, redis: Redis) -> None:
    stored = json.loads(redis.get(key) or b"")
    assert stored["version"] == records.VERSION
    admin.simulator.world.clear_calls()
    for change, code in FAILURES.values():
        redis.set(key, json.dumps(change(stored)), ex=30)
        problem = call().get_json()
        assert problem["code"] == code
        assert problem["detail"]
    assert admin.calls() == []


def test_a_remembered_list_failure_with_a_member_more_or_less(admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "list", "kind": "http_500_text"})
    assert admin.list_fresh().status_code == 502
    redis.delete(LIST)
    record = json.loads(redis.get(LIST_FAILURE) or b"")
    redis.set(LIST_FAILURE, json.dumps({**record, "code": "zendesk_timeout"}), ex=30)
    assert_told(LIST_FAILURE, lambda: admin.call("GET", "/job_specs"), admin, redis)


@pytest.mark.usefixtures("long_waits")
def test_a_wait_with_a_member_more_or_less(admin: Admin, redis: Redis) -> None:
    CoolDown(collaborator(admin.app, Store)).begin(ACME, ReplyLate("No answer.", upstream_detail="words"))
    # Expired, so that somebody has to ask and is told of the wait.
    grants = collaborator(admin.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    grants.update(ACME, grant, grant.changed(expires_at=1.0))
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    assert_told(COOL_DOWN, admin.list_fresh, admin, redis)


def test_a_remembered_failure_that_cannot_be_read_is_no_crash(admin: Admin, redis: Redis) -> None:
    redis.mset({COOL_DOWN: "[]", LIST_FAILURE: "[]"})
    assert admin.list_fresh().status_code == 200
    assert admin.job_specs()["job_specs"]


def test_a_wait_that_cannot_be_read_is_waited_out_all_the_same(admin: Admin, redis: Redis) -> None:
    grants = collaborator(admin.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    grants.update(ACME, grant, grant.changed(expires_at=1.0))
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    redis.set(COOL_DOWN, "[]", ex=30)
    admin.simulator.world.clear_calls()
    reply = admin.list_fresh()
    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")
    assert 28 <= reply.get_json()["retry_after"] <= 30
    assert admin.calls() == []


def test_a_looker_who_does_not_say_when_looked_long_ago(admin: Admin, redis: Redis) -> None:
    grants = collaborator(admin.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    grants.update(ACME, grant, grant.changed(dead="grant_revoked"))
    redis.delete("zis:{acme}:role:101")
    assert admin.call("GET", "/activity").status_code == 200
    changed(admin, redis, "looker", without("at"))
    assert admin.call("GET", "/activity").get_json()["code"] == "agent_required"


def test_a_kept_list_with_a_field_more_is_served_and_one_whose_rows_say_less_is_asked_anew(
    admin: Admin, redis: Redis
) -> None:
    before = admin.job_specs()
    asked = admin.lists_asked()
    redis.hset(LIST, "of_a_later_release", "1")
    redis.hset(LIST, "version", "3")
    assert admin.job_specs() == before
    assert admin.lists_asked() == asked
    # The first releases' rows have no `left_over`.
    for version in ("1", None):
        redis.hdel(LIST, "version") if version is None else redis.hset(LIST, "version", version)
        assert admin.job_specs()["job_specs"] == before["job_specs"]
    assert admin.lists_asked() == asked + 2


def test_a_kept_list_with_a_field_less_is_asked_anew(admin: Admin, redis: Redis) -> None:
    for name in ("asked_at", "grant", "etag", "rows", "floor"):
        redis.hdel(LIST, name)
        assert admin.job_specs()["job_specs"], name


def test_what_a_later_release_says_of_an_integration_or_a_dead_grant_is_no_crash(admin: Admin, redis: Redis) -> None:
    redis.hset(PROBES, "acme_orders", "asleep\nIt sleeps.")
    assert [one["state"] for one in admin.status()["integrations"]] == ["unknown"]
    changed(admin, redis, "grant", lambda members: {**members, "dead": "of_a_later_release"})
    assert admin.status()["connection"]["reason"] == "grant_revoked"
    assert run(admin.app, "doctor").status == 0


def test_an_action_that_only_a_later_release_knows_is_left_out(admin: Admin, redis: Redis) -> None:
    changed(admin, redis, "activity", lambda members: {**members, "action": "of_a_later_release"})
    assert admin.call("GET", "/activity").get_json() == {"activity": []}


def test_an_app_key_as_it_is_stored_now_is_read_by_the_first_release(admin: Admin) -> None:
    """That one looked for the PEM in the whole of what was sealed, with `\\n` for a newline."""
    (record,) = of_kind(admin, "app_key")
    plaintext = collaborator(admin.app, Vault).open(record.name, record.sealed)
    assert public_key_pem() in plaintext.decode().replace("\\n", "\n")
