"""`rotate-keys`: everything that is sealed comes under the newest key, whoever works beside it."""

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from flask import Flask
from redis import Redis

from service.connecting.states import States
from service.grants.access_tokens import AccessTokens
from service.grants.granted import Grant
from service.grants.grants import Grants
from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.subdomains import Subdomain
from service.operations.key_rotation import MOST_ROUNDS, rotate, tally
from service.operations.sealed_records import SealedRecord, SealedRecords
from service.people.machine_tokens import DAY_SECONDS, MachineTokens
from service.store.activity import Activity
from service.store.events import NOBODY, OPERATOR, Event
from service.store.lookers import Lookers
from service.store.store import Store
from service.store.vault import KeyMissing, Vault
from tests.attacks.test_security_document import leave_a_rearming
from tests.conftest import MakeAdmin, MakeApp
from tests.operations.console import LiveCommand, run
from tests.steps import SECRET_KEYS, Admin, collaborator, wait_until
from tests.workers import at_once, meanwhile

ACME = Subdomain("acme")
GRANT = "zis:{acme}:grant"
OLD, OLDER = SECRET_KEYS.split(",")
NEW = "a-new-key-of-the-rotation-0123456789abcdef"
ALL_KINDS = {"grant", "minted_token", "activity", "looker", "role", "app_key", "state", "rearmed", "machine_token"}


def seals_in(value: Any) -> Iterator[str]:
    """Yield the key id of every seal in what Redis holds under one key, however it is kept there."""
    match value:
        case dict():
            for one in value.values():
                yield from seals_in(one)
        case list():
            for one in value:
                yield from seals_in(one)
        case bytes() if (sealed := value.rpartition(b":")[2]).count(b".") == 4:
            yield json.loads(base64.urlsafe_b64decode(sealed.split(b".")[0] + b"=="))["kid"]


def sealed_under(redis: Redis) -> Counter[str]:
    """Return how many seals there are in Redis, by key id; knows nothing of what is kept where."""
    counts: Counter[str] = Counter()
    for key in redis.scan_iter():
        match redis.type(key):
            case b"hash":
                counts.update(seals_in(redis.hgetall(key)))
            case b"list":
                counts.update(seals_in(redis.lrange(key, 0, -1)))
            case b"string":
                counts.update(seals_in(redis.get(key)))
    return counts


def key_ids(app: Flask) -> tuple[str, ...]:
    return collaborator(app, Vault).key_ids


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, who has left a record of every kind."""
    person = make_admin(SECRET_KEYS=OLD)
    person.connect("acme")
    person.status()
    person.install("escalate_vip_order")
    leave_a_rearming(person)
    collaborator(person.app, MachineTokens).create(ACME, "deploy", 90)
    person.authorize("globex")
    return person


@pytest.fixture
def rotated(admin: Admin, make_app: MakeApp) -> Flask:
    """The service with a newer key before the old one."""
    assert admin.session_token
    return make_app(SECRET_KEYS=f"{NEW},{OLD}")


def test_every_seal_there_is_comes_under_the_newest_key(admin: Admin, rotated: Flask, redis: Redis) -> None:
    new, old = key_ids(rotated)
    before = sealed_under(redis)
    records = list(collaborator(rotated, SealedRecords).all())
    assert {record.kind for record in records} == ALL_KINDS
    assert before == {old: len(records)}
    answer = run(rotated, "rotate-keys", "--json")
    assert answer.status == 0
    assert answer.json() == {
        "resealed": len(records),
        "keys": [{"id": new, "position": 1, "records": len(records)}, {"id": old, "position": 2, "records": 1}],
        "unused_machine_tokens": [{"account": "acme", "name": "deploy", "key_id": old}],
        "behind": 0,
        "closed": [],
        "done": True,
    }
    assert sealed_under(redis) == {new: len(records)}
    assert admin.status()["connection"]["reason"] == "key_missing"


def test_what_was_sealed_is_as_it_was_under_the_newest_key_alone(
    admin: Admin, rotated: Flask, make_admin: MakeAdmin, redis: Redis
) -> None:
    held = collaborator(admin.app, Grants).holdings(ACME)
    activity = collaborator(admin.app, Activity).latest(ACME)
    state = collaborator(admin.app, States).issue(ACME)
    assert held.grant is not None
    lives = {key: redis.expiretime(key) for key in redis.scan_iter()}
    assert run(rotated, "rotate-keys").status == 0
    later = make_admin(SECRET_KEYS=NEW)
    found = collaborator(later.app, Grants).holdings(ACME)
    assert found.grant is not None
    assert found.generation != held.generation
    assert {**_fields(found.grant), "generation": ""} == {**_fields(held.grant), "generation": ""}
    assert (found.minted, found.mints) == (held.minted, held.mints)
    assert collaborator(later.app, Activity).latest(ACME) == activity
    assert collaborator(later.app, States).consume(state.state, state.browser_secret).account == "acme"
    assert {key: redis.expiretime(key) for key in lives if redis.exists(key)} == {
        key: end for key, end in lives.items() if redis.exists(key)
    }
    later.simulator.world.clear_calls()
    later.open_sidebar()
    assert later.status()["user"]["can_manage"] is True
    # Neither the role nor the app's key had to be asked for again.
    assert later.calls() == []


def _fields(grant: Grant) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(grant.to_bytes())
    return fields


def test_the_end_of_a_dead_grant_is_not_put_off(admin: Admin, rotated: Flask, redis: Redis) -> None:
    grants = collaborator(admin.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    grants.update(ACME, grant, grant.changed(dead="grant_revoked"))
    redis.expire(GRANT, 1000)
    redis.zadd("zis:grant_ends", {"acme": 1_700_000_000})
    run(rotated, "rotate-keys")
    assert redis.zscore("zis:grant_ends", "acme") == 1_700_000_000
    assert 0 < int(redis.ttl(GRANT)) <= 1000
    assert redis.ttl(GRANT) > 900


def test_repeated_it_has_nothing_to_do(rotated: Flask, redis: Redis) -> None:
    run(rotated, "rotate-keys")
    before = {key: redis.dump(key) for key in redis.scan_iter()}
    answer = run(rotated, "rotate-keys")
    assert (answer.status, answer.lines()[0]) == (0, "Sealed anew: 0.")
    assert {key: redis.dump(key) for key in redis.scan_iter()} == before


def test_people_are_told_what_each_key_holds_and_what_to_do(rotated: Flask) -> None:
    new, old = key_ids(rotated)
    collaborator(rotated, MachineTokens).revoke(ACME, "deploy")
    answer = run(rotated, "rotate-keys")
    rows = [line.split("  ") for line in answer.lines()[2:]]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows][1:] == [[old, "2", "0"]]
    assert rows[0][0] == new
    assert "first: newest" in rows[0]
    assert "Everything is under the newest key" in answer.err
    assert "machine token" not in answer.err


def test_where_there_is_one_key_nobody_is_told_to_take_out_others(make_app: MakeApp) -> None:
    answer = run(make_app(SECRET_KEYS=NEW), "rotate-keys")
    assert (answer.status, answer.err) == (0, "Everything is under the one key of SECRET_KEYS.\n")


# --- machine tokens, which only somebody who shows them can bring over ---


def test_a_machine_token_that_was_not_used_since_is_held_by_the_key_it_ends_with(
    rotated: Flask, make_app: MakeApp
) -> None:
    old = key_ids(rotated)[1]
    answer = run(rotated, "rotate-keys")
    assert answer.status == 0
    assert [line.split()[-1] for line in answer.lines() if line.startswith(old)] == ["1"]
    assert (
        f"The machine token deploy of acme was not used since the newest key came: it ends with the key {old}."
    ) in answer.err
    assert "signed, and when no machine token ends with them." in answer.err
    # It is no work that is left to be done by another run.
    assert run(rotated, "rotate-keys", "--json").json()["done"] is True
    alone = make_app(SECRET_KEYS=NEW)
    assert run(alone, "rotate-keys", "--json").json()["unused_machine_tokens"] == []


def test_a_machine_token_that_was_used_since_is_held_by_the_newest_key_alone(
    admin: Admin, rotated: Flask, make_app: MakeApp
) -> None:
    token, _ = collaborator(admin.app, MachineTokens).create(ACME, "nightly", 90)
    collaborator(rotated, MachineTokens).read(token)
    collaborator(rotated, MachineTokens).revoke(ACME, "deploy")
    document = run(rotated, "rotate-keys", "--json").json()
    assert document["keys"][1]["records"] == 0
    assert document["unused_machine_tokens"] == []
    assert collaborator(make_app(SECRET_KEYS=NEW), MachineTokens).read(token)[1].name == "nightly"


def test_of_three_keys_each_machine_token_is_held_by_its_own(admin: Admin, rotated: Flask, make_app: MakeApp) -> None:
    newest = "a-newest-key-of-the-rotation-0123456789abcd"
    collaborator(rotated, MachineTokens).create(ACME, "nightly", 90)
    app = make_app(SECRET_KEYS=f"{newest},{NEW},{OLD}")
    new, old = key_ids(rotated)
    document = run(app, "rotate-keys", "--json").json()
    assert [key["records"] for key in document["keys"][1:]] == [1, 1]
    waiting = {(one["name"], one["key_id"]) for one in document["unused_machine_tokens"]}
    assert waiting == {("deploy", old), ("nightly", new)}
    assert admin.session_token


def test_an_expired_machine_token_is_held_by_no_older_key(admin: Admin, rotated: Flask, redis: Redis) -> None:
    assert admin.session_token
    redis.persist("zis:{acme}:machine_tokens")
    with time_machine.travel(time.time() + 91 * DAY_SECONDS, tick=True):
        assert run(rotated, "rotate-keys", "--json").json()["unused_machine_tokens"] == []


# --- what no key opens ---


def test_what_no_key_opens_is_kept_and_named(rotated: Flask, make_app: MakeApp, redis: Redis) -> None:
    (old,) = key_ids(make_app(SECRET_KEYS=OLD))
    before = redis.hgetall(GRANT)
    app = make_app(SECRET_KEYS=f"{NEW},{OLDER}")
    answer = run(app, "rotate-keys", "--json")
    assert answer.status == 1
    document = answer.json()
    assert document["done"] is False
    assert document["resealed"] == 0
    assert {"id": old, "position": None, "records": len(document["closed"])} in document["keys"]
    assert {"kind": "grant", "record": GRANT, "key_id": old} in document["closed"]
    assert {one["kind"] for one in document["closed"]} == ALL_KINDS
    assert redis.hgetall(GRANT) == before
    people = run(app, "rotate-keys")
    assert people.status == 1
    assert f"{old}  no" in people.out
    assert f"grant {GRANT}" in people.err
    assert "Put back the key" in people.err
    assert run(rotated, "rotate-keys").status == 0


def test_a_broken_seal_does_not_keep_the_others_waiting(rotated: Flask, redis: Redis) -> None:
    redis.hset(GRANT, "minted:acme_orders", "sealed by nobody")
    redis.lpush("zis:{acme}:activity", b"1700000000:also by nobody", b"1700000001:nor this")
    answer = run(rotated, "rotate-keys", "--json")
    assert answer.status == 1
    names = {(one["kind"], one["record"], one["key_id"]) for one in answer.json()["closed"]}
    assert names == {
        ("minted_token", f"{GRANT}:minted:acme_orders", None),
        ("activity", "zis:{acme}:activity", None),
    }
    assert redis.hget(GRANT, "minted:acme_orders") == b"sealed by nobody"
    people = run(rotated, "rotate-keys")
    assert "unreadable" in people.out
    assert [line for line in people.err.splitlines() if "activity" in line] == [
        "No key opens it, so it was kept: activity zis:{acme}:activity (2 entries)."
    ]
    assert collaborator(rotated, Grants).get(ACME) is not None


# --- beside other work ---


def record_of(app: Flask, kind: str) -> SealedRecord:
    """Return a record as the command reads it, before somebody else writes it."""
    return next(record for record in collaborator(app, SealedRecords).all() if record.kind == kind)


@pytest.mark.parametrize("kind", sorted(ALL_KINDS - {"activity"}))
def test_what_was_deleted_since_it_was_read_stays_deleted(kind: str, rotated: Flask, redis: Redis) -> None:
    record = record_of(rotated, kind)
    redis.delete(record.key)
    assert collaborator(rotated, SealedRecords).reseal(record) is False
    assert not redis.exists(record.key)


@pytest.mark.parametrize("kind", ["minted_token", "looker", "role", "app_key", "state"])
def test_what_was_written_since_it_was_read_stands(kind: str, rotated: Flask, redis: Redis) -> None:
    record = record_of(rotated, kind)
    field = record.name.removeprefix(f"{record.key}:")
    if kind in {"minted_token", "looker"}:
        redis.hset(record.key, field, "written since")
    else:
        redis.set(record.key, "written since")
    assert collaborator(rotated, SealedRecords).reseal(record) is False
    assert (
        redis.hget(record.key, field) if kind in {"minted_token", "looker"} else redis.get(record.key)
    ) == b"written since"


def test_a_grant_that_was_refreshed_since_it_was_read_keeps_its_new_pair(admin: Admin, rotated: Flask) -> None:
    grants = collaborator(rotated, Grants)
    before = grants.get(ACME)
    assert before is not None
    newer = before.changed(access_token="a-newer-token-0123456789", refresh_token="a-newer-refresh-token-0123")
    record = record_of(rotated, "grant")
    assert collaborator(admin.app, Grants).update(ACME, before, newer)
    assert collaborator(rotated, SealedRecords).reseal(record) is True
    found = grants.get(ACME)
    assert found is not None
    assert found.refresh_token == newer.refresh_token


def test_an_entry_is_sealed_anew_in_its_place_although_others_come(admin: Admin, rotated: Flask, redis: Redis) -> None:
    activity = collaborator(admin.app, Activity)
    activity.note(ACME, OPERATOR, Event("uninstalled", "acme_orders", "middle"))
    record = record_of(rotated, "activity")
    activity.note(ACME, OPERATOR, Event("uninstalled", "acme_shipping", "newest"))
    assert collaborator(rotated, SealedRecords).reseal(record) is True
    entries = collaborator(rotated, Activity).latest(ACME)
    assert [entry["job_spec"] for entry in entries[:2]] == ["newest", "middle"]
    assert collaborator(rotated, SealedRecords).reseal(record) is False
    assert redis.llen("zis:{acme}:activity") == len(entries)


def test_a_refresh_that_is_under_way_is_stored_on_top(admin: Admin, rotated: Flask, make_admin: MakeAdmin) -> None:
    grant = collaborator(admin.app, Grants).get(ACME)
    assert grant is not None
    admin.meets({"where": "token", "kind": "hold", "after_effect": True})
    access_tokens = collaborator(admin.app, AccessTokens)
    with meanwhile(
        lambda: access_tokens.refresh_now(ACME, access_tokens.usable(ACME), Deadline.after(REQUEST_BUDGET_SECONDS))
    ) as refreshed:
        admin.simulator.world.wait_until_held(1)
        assert run(rotated, "rotate-keys").status == 0
        admin.simulator.release()
    # The old process could write only under its own key; nothing is lost, and the next run brings it over.
    assert run(rotated, "rotate-keys", "--json").json()["resealed"] == 1
    found = collaborator(make_admin(SECRET_KEYS=NEW).app, Grants).get(ACME)
    assert found is not None
    assert found.access_token == refreshed[0].access_token != grant.access_token
    assert len(admin.calls(grant_type="refresh_token")) == 1


@pytest.mark.load
def test_under_load_nothing_is_lost(
    make_admin: MakeAdmin, rotated: Flask, make_app: MakeApp, environment: dict[str, str], redis: Redis
) -> None:
    """Two services refresh, read and write activity, while two operators rotate, each to another key."""
    rings = [f"{NEW},{OLD}", f"{OLD},{NEW}"]
    people = [make_admin(SECRET_KEYS=ring, RATE_LIMITS="off") for ring in rings]
    over = threading.Event()
    rounds = [0, 0]

    def work(number: int) -> set[object]:
        person = people[number]
        seen: set[object] = set()
        person.open_sidebar()
        access_tokens = collaborator(person.app, AccessTokens)
        while not over.is_set():
            seen.add(person.list_fresh("?integration=acme_orders").status_code)
            seen.add(person.status()["connection"]["state"])
            if number == 0:
                access_tokens.refresh_now(ACME, access_tokens.usable(ACME), Deadline.after(REQUEST_BUDGET_SECONDS))
                collaborator(person.app, Activity).note(ACME, OPERATOR, Event("installed", "acme_orders", "busy"))
            rounds[number] += 1
        return seen

    with meanwhile(lambda: at_once(2, work)) as worked:
        wait_until(lambda: min(rounds) > 0)
        commands = [LiveCommand({**environment, "SECRET_KEYS": ring}, "rotate-keys", "--json") for ring in rings]
        answers = [command.ended().json() for command in commands]
        over.set()
    assert worked[0] == [{200, "connected"}] * 2
    assert all(answer["closed"] == [] for answer in answers)
    assert all(answer["resealed"] > 0 for answer in answers)
    assert run(rotated, "rotate-keys").status == 0
    assert set(sealed_under(redis)) == {key_ids(rotated)[0]}
    assert collaborator(make_app(SECRET_KEYS=NEW), Grants).get(ACME) is not None


def test_what_somebody_else_wrote_in_between_is_looked_at_again(rotated: Flask, redis: Redis) -> None:
    records, vault, old = collaborator(rotated, SealedRecords), collaborator(rotated, Vault), Vault((OLD,))
    overtaken: list[SealedRecord] = []

    def write(_told: str) -> None:
        """Seal roles and keys under the old key once more, after they were read and before they are written."""
        if overtaken:
            return
        for record in (one for one in records.all() if one.kind in {"role", "app_key"}):
            overtaken.append(record)
            redis.set(record.key, old.seal(record.name, vault.open(record.name, record.sealed)))

    rotate(records, vault.key_ids[0], write, lambda: False)
    assert len(overtaken) == 2
    assert set(sealed_under(redis)) == {vault.key_ids[0]}


def test_what_is_always_overtaken_is_left_to_the_next_run(rotated: Flask, redis: Redis) -> None:
    records, vault, old = collaborator(rotated, SealedRecords), collaborator(rotated, Vault), Vault((OLD,))
    role = record_of(rotated, "role")
    rounds: list[str] = []

    def write(told: str) -> None:
        rounds.extend([told] if told.startswith("1 ") else [])
        redis.set(role.key, old.seal(role.name, vault.open(role.name, role.sealed)))

    rotate(records, vault.key_ids[0], write, lambda: False)
    assert len(rounds) == MOST_ROUNDS
    assert tally(records, vault.key_ids[0], lambda _: None).behind == 1


def test_records_are_found_among_many_other_keys_and_one_that_has_just_gone_is_none(
    rotated: Flask, redis_url: str, redis: Redis
) -> None:
    class Late(Redis):
        """Names a key that expires before it is read."""

        def scan(self, *args: Any, **kwargs: Any) -> Any:
            cursor, found = super().scan(*args, **kwargs)
            return cursor, [*found, b"zis:{gone}:role:1"]

    before = sealed_under(redis)
    redis.mset({f"zis:other:{number}": "1" for number in range(5000)})
    vault, grants = collaborator(rotated, Vault), collaborator(rotated, Grants)
    activity, lookers = collaborator(rotated, Activity), collaborator(rotated, Lookers)
    with Late.from_url(redis_url) as client:
        tokens = collaborator(rotated, MachineTokens)
        records = list(SealedRecords(Store(client), vault, grants, activity, lookers, tokens).all())
    assert len(records) == len({(record.name, record.value) for record in records}) == sum(before.values())


def test_stopped_it_says_what_is_left(rotated: Flask, redis: Redis) -> None:
    records, newest = collaborator(rotated, SealedRecords), key_ids(rotated)[0]
    before = sealed_under(redis)
    assert rotate(records, newest, lambda _: None, lambda: True) == 0
    assert sealed_under(redis) == before
    assert tally(records, newest, lambda _: None).behind == sum(before.values())


def test_a_process_without_the_newest_key_is_noticed(admin: Admin, rotated: Flask, redis: Redis) -> None:
    over = threading.Event()

    def write() -> None:
        activity = collaborator(admin.app, Activity)
        while not over.is_set():
            # By nobody known, so that each is an entry of its own and none waits to be read.
            activity.note(ACME, NOBODY, Event("installed", "acme_orders", "busy"))

    thread = threading.Thread(target=write)
    thread.start()
    answer = run(rotated, "rotate-keys")
    over.set()
    thread.join()
    assert answer.status == 1
    assert "still under an older key" in answer.err
    assert run(rotated, "rotate-keys").status == 0
    assert set(sealed_under(redis)) == {key_ids(rotated)[0]}


def test_without_redis_it_ends_in_words(make_app: MakeApp) -> None:
    answer = run(make_app(REDIS_URL="redis://127.0.0.1:1/0"), "rotate-keys")
    assert answer.status == 1
    assert "Code: store_unavailable" in answer.err


def test_a_record_moved_to_another_account_does_not_open(rotated: Flask, redis: Redis) -> None:
    redis.copy("zis:{acme}:role:101", "zis:{globex}:role:101")
    record = next(one for one in collaborator(rotated, SealedRecords).all() if "globex}:role" in one.key)
    with pytest.raises(KeyMissing):
        collaborator(rotated, SealedRecords).reseal(record)
