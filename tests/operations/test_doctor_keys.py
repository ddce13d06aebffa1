"""`doctor` on SECRET_KEYS: what each key holds, what no key opens, and that the running release can still read all."""

import time

import pytest
import time_machine
from flask import Flask
from redis import Redis

from service.grants.grants import Grants
from service.ground.deadlines import Deadline
from service.ground.subdomains import Subdomain
from service.operations.doctor.key_checks import check_keys
from service.operations.sealed_records import SealedRecords
from service.people.machine_tokens import MachineTokens
from service.store.activity import Activity
from service.store.events import OPERATOR, Event
from service.store.vault import Vault
from tests.conftest import MakeAdmin, MakeApp
from tests.operations.checks import examine
from tests.operations.console import run
from tests.steps import Admin, collaborator

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
OLD = "the-old-key-of-the-doctor-tests-0123456789"
NEW = "the-new-key-of-the-doctor-tests-0123456789"
OPENS_NOTHING = "keys that open nothing"
LATER_SECONDS = 1801


def about_keys(app: Flask) -> list[tuple[str, str, str]]:
    """Return (status, check, all that is said) of every line about keys."""
    return [
        (one["status"], one["check"], f"{one['says']} {one['advice'] or ''}")
        for one in examine(app)
        if one["check"].startswith("keys")
    ]


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected while there was the old key alone."""
    person = make_admin(SECRET_KEYS=OLD)
    person.connect("acme")
    return person


def key_id(key: str) -> str:
    return Vault((key,)).key_ids[0]


def test_each_key_is_a_line_with_what_it_holds(admin: Admin, make_app: MakeApp) -> None:
    held = len(list(collaborator(admin.app, SealedRecords).all()))
    before_removing = "Before removing it, run `flask --app service rotate-keys`."
    assert about_keys(make_app(SECRET_KEYS=f"{NEW},{OLD}")) == [
        ("ok", "keys", f"Entry 1 of SECRET_KEYS ({key_id(NEW)}) holds 0 records. It seals what is new. "),
        ("ok", "keys", f"Entry 2 of SECRET_KEYS ({key_id(OLD)}) holds {held} records. {before_removing} "),
    ]


def test_a_key_that_holds_nothing_can_be_removed(admin: Admin, make_app: MakeApp) -> None:
    app = make_app(SECRET_KEYS=f"{NEW},{OLD}")
    assert run(app, "rotate-keys").status == 0
    status, _, says = about_keys(app)[1]
    assert (status, "holds 0 records. It can be removed." in says) == ("ok", True)
    assert admin.session_token


def test_a_key_with_which_machine_tokens_end_is_not_to_be_removed(admin: Admin, make_app: MakeApp) -> None:
    token, _ = collaborator(admin.app, MachineTokens).create(ACME, "deploy", 90)
    app = make_app(SECRET_KEYS=f"{NEW},{OLD}")
    assert run(app, "rotate-keys").status == 0
    assert about_keys(app)[1][2] == (
        f"Entry 2 of SECRET_KEYS ({key_id(OLD)}) holds 1 record. 1 machine token not used since the newest came would "
        "end with it. Before removing it, run `flask --app service rotate-keys`. "
    )
    collaborator(app, MachineTokens).read(token)
    assert "holds 0 records. It can be removed." in about_keys(app)[1][2]


def test_a_machine_token_that_ended_with_its_key_misses_none(admin: Admin, make_app: MakeApp) -> None:
    collaborator(admin.app, MachineTokens).create(ACME, "deploy", 90)
    assert run(make_app(SECRET_KEYS=f"{NEW},{OLD}"), "rotate-keys").status == 0
    assert [status for status, _, _ in about_keys(make_app(SECRET_KEYS=NEW))] == ["ok"]


def test_keys_that_open_none_of_what_is_stored_are_a_failure(admin: Admin, make_app: MakeApp) -> None:
    app = make_app(SECRET_KEYS=NEW)
    answer = run(app, "doctor")
    assert answer.status == 1
    (line,) = [line for line in answer.lines() if line.startswith("FAIL")]
    assert line == (
        f"FAIL {OPENS_NOTHING}: SECRET_KEYS opens none of what is stored: 1 account. Put the key back that "
        f"sealed them (id {key_id(OLD)}), at the end of SECRET_KEYS."
    )
    assert any(
        line.startswith("warn acme: connection: The stored authorization cannot be dec") for line in answer.lines()
    )
    admin.simulator.world.clear_calls()
    examine(app)
    assert all(call.token_client is None for call in admin.calls())


def test_what_a_wrong_key_has_sealed_meanwhile_does_not_hide_it(admin: Admin, make_admin: MakeAdmin) -> None:
    # The page opens without a grant, and what it fetches is sealed.
    stranger = make_admin(SECRET_KEYS=NEW)
    stranger.open_sidebar("globex", 201)
    collaborator(stranger.app, Activity).note(GLOBEX, OPERATOR, Event("installed"))
    assert OPENS_NOTHING in {check for _, check, _ in about_keys(stranger.app)}
    assert admin.session_token


def test_some_that_no_key_opens_are_a_warning(admin: Admin, make_admin: MakeAdmin) -> None:
    other = make_admin(SECRET_KEYS=NEW)
    other.connect("globex")
    found = about_keys(other.app)
    assert [(status, check) for status, check, _ in found] == [("ok", "keys"), ("warn", "keys")]
    assert f"(id {key_id(OLD)})" in found[1][2]
    assert run(other.app, "doctor").status == 0
    assert admin.session_token


def test_what_ends_by_itself_is_no_failure(make_admin: MakeAdmin, make_app: MakeApp) -> None:
    make_admin(SECRET_KEYS=OLD).authorize("acme")
    found = about_keys(make_app(SECRET_KEYS=NEW))
    assert [(status, check) for status, check, _ in found] == [("ok", "keys"), ("warn", "keys")]


def test_activity_alone_counts_where_nothing_is_connected(admin: Admin, make_app: MakeApp, redis: Redis) -> None:
    admin.disconnect()
    redis.delete("zis:{acme}:role:101", "zis:{acme}:app_key:500001")
    (_, failure) = about_keys(make_app(SECRET_KEYS=NEW))
    assert failure[:2] == ("FAIL", OPENS_NOTHING)
    assert "what is stored: 2 records." in failure[2]


def test_a_grant_under_a_known_key_that_does_not_open_is_a_warning(admin: Admin, redis: Redis) -> None:
    admin.connect("globex")
    redis.hset("zis:{acme}:grant", "sealed", redis.hget("zis:{globex}:grant", "sealed") or b"")
    status, check, says = about_keys(admin.app)[-1]
    assert (status, check) == ("warn", "keys")
    assert "its id is not readable" in says


def test_nothing_stored_is_in_order(make_app: MakeApp) -> None:
    assert [status for status, _, _ in about_keys(make_app())] == ["ok", "ok"]


def test_more_records_than_there_is_time_for_are_said(admin: Admin) -> None:
    records, vault = collaborator(admin.app, SealedRecords), collaborator(admin.app, Vault)
    findings = list(check_keys(records, vault, Deadline.after(0)))
    assert [(one.status, one.says) for one in findings][-1] == ("warn", "There was no time to look at every record.")
    assert "It can be removed" not in findings[0].line()


# --- beside the release that runs now ---


@pytest.mark.parametrize("lifetime", ["expiring", "never"])
def test_a_release_with_a_new_key_leaves_the_running_one_able_to_read_every_record(
    lifetime: str, make_admin: MakeAdmin, make_app: MakeApp, redis: Redis
) -> None:
    admin = make_admin(SECRET_KEYS=OLD)
    admin.switch(token_lifetime=lifetime)
    admin.connect("acme")
    admin.switch(token_lifetime="expiring")
    # Everything has to be had anew: the access token, an integration's token, the app's key.
    redis.hdel("zis:{acme}:grant", "minted:acme_orders")
    redis.delete("zis:{acme}:app_key:500001")
    before = collaborator(admin.app, Grants).get(ACME)
    with time_machine.travel(time.time() + LATER_SECONDS, tick=True):
        assert run(make_app(SECRET_KEYS=f"{NEW},{OLD}"), "doctor").status == 0
        after, minted = collaborator(admin.app, Grants).with_minted(ACME, "acme_orders")
        assert after is not None
        assert minted is not None
        assert minted.access_token
        assert (after != before) is (lifetime == "expiring")
        records = list(collaborator(admin.app, SealedRecords).all())
        assert {record.key_id for record in records} == {key_id(OLD)}
        admin.open_sidebar()
        assert admin.status()["connection"]["state"] == "connected"
        assert admin.list_fresh().status_code == 200


def test_a_release_that_no_longer_has_the_old_key_leaves_what_is_under_the_new(
    make_admin: MakeAdmin, make_app: MakeApp
) -> None:
    admin = make_admin(SECRET_KEYS=f"{NEW},{OLD}")
    admin.connect("acme")
    with time_machine.travel(time.time() + LATER_SECONDS, tick=True):
        assert run(make_app(SECRET_KEYS=NEW), "doctor").status == 0
        admin.open_sidebar()
        assert admin.status()["connection"]["state"] == "connected"
    assert {record.key_id for record in collaborator(admin.app, SealedRecords).all()} == {key_id(NEW)}


def stored_under_seal(redis: Redis) -> dict[bytes, bytes | None]:
    """Return everything that is sealed, as Redis dumps it."""
    in_clear = (b"limit", b"lease", b":probes", b":worked:")
    return {key: redis.dump(key) for key in redis.scan_iter("zis:{*") if not any(part in key for part in in_clear)}


@pytest.mark.parametrize("wrong", [NEW, f"{NEW},{OLD}"])
def test_a_release_with_wrong_keys_writes_nothing_that_the_running_one_cannot_open(
    wrong: str, admin: Admin, make_app: MakeApp, redis: Redis
) -> None:
    """As it was found: the release phase stored the app's key under a key that only it had, and rotating failed."""
    before = stored_under_seal(redis)
    assert b"zis:{acme}:app_key:500001" in before
    examine(make_app(SECRET_KEYS=wrong))
    after = stored_under_seal(redis)
    assert {key for key in before if before[key] != after.get(key)} == set()
    # Those that were not there are not put there, either: globex and initech have an app, too.
    assert {key for key in after if b":app_key:" in key or b":role:" in key} <= before.keys()

    assert {record.key_id for record in collaborator(admin.app, SealedRecords).all()} == {key_id(OLD)}
    answer = run(make_app(SECRET_KEYS=f"the-next-key-of-the-doctor-tests-0123456789,{OLD}"), "rotate-keys")
    assert answer.status == 0, answer.out
