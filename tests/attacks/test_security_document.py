"""SECURITY.md says what is so: its tests exist, its keys are those of the store, and what it advises works."""

import ast
import re
import time
from pathlib import Path
from typing import Any

import pytest
import time_machine
from redis import Redis

from service.people.machine_tokens import MachineTokens
from service.store.vault import Vault, derive_keys
from tests.attacks.attackers import ACME, field_of, grant_key, keys_of
from tests.conftest import MakeAdmin
from tests.front_end import FRONT_END, FrontEnd
from tests.steps import ORDERS_ONLY, SECRET_KEYS, Admin, collaborator
from tests.stored_grants import expire

pytestmark = pytest.mark.attacks

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (ROOT / "SECURITY.md").read_text()
NEW = "a-newer-key-of-the-document-tests-0123456789"
MINUTE, HOUR, DAY = 60, 3600, 86_400
# The longest life of each key in seconds; None: it has none of its own.
LIVES = {"365 days": 365 * DAY, "90 days": 90 * DAY,
         "10 minutes": 10 * MINUTE, "12 hours": 12 * HOUR, "7 days": 7 * DAY, "1 hour": HOUR,
         "60 seconds": 60, "30 seconds": 30, "5 minutes": 5 * MINUTE, "15 seconds": 15,
         "1 minute": MINUTE, "1 day": DAY, "23 hours": 23 * HOUR, "`LIST_CACHE_SECONDS`": 600}  # fmt: skip


def section(name: str) -> str:
    return DOCUMENT.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]


def points() -> list[str]:
    return re.split(r"\n(?=\d+\. )", section("checklist").strip())


def named_in(text: str) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[a-z_/]+\.py)::(test_\w+)`", text)


def rows() -> dict[str, tuple[str, str]]:
    """Return (sealed, life) by key, of the table."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section("keys").splitlines()
        if "`zis:" in line
    ]
    return {key.strip("`"): (sealed, life) for key, _, sealed, life in cells}


def row_of(key: str) -> str | None:
    """Return the row a key in Redis belongs to; None: there is none."""
    for row in rows():
        pattern = re.escape(row).replace("account", "[a-z0-9-]+").replace("…", ".+")
        if re.fullmatch(pattern, key):
            return row
    return None


# --- the checklist ---


def test_the_checklist_has_every_point() -> None:
    assert [int(point.partition(".")[0]) for point in points()] == list(range(1, 25))


@pytest.mark.parametrize("point", points(), ids=lambda point: point.partition(".")[0])
def test_every_point_has_its_source_and_a_test_that_is_there(point: str) -> None:
    assert re.search(r"RFC \d{4}|ASVS|OWASP|CVE-\d|GHSA-", point)
    named = named_in(point)
    assert named
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (path, name)


def test_every_room_of_attacks_is_named() -> None:
    """But for this one: whoever adds attacks says in the checklist what they show."""
    rooms = {f"tests/attacks/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert rooms - {path for path, _ in named_in(DOCUMENT)} == {
        "tests/attacks/test_bodies.py",
        "tests/attacks/test_security_document.py",
    }


def test_nothing_is_described_that_is_not_there() -> None:
    from service.operations.commands import COMMANDS  # noqa: PLC0415 - only here

    commands = {command.name for command in COMMANDS}
    assert set(re.findall(r"flask --app service ([a-z-]+)", DOCUMENT)) <= commands
    assert "@" not in DOCUMENT, "no address of anybody"


# --- what is stored ---


def leave_a_rearming(person: Admin) -> None:
    """Let a re-arming stop in the middle."""
    person.meets({"where": "change", "kind": "http_429", "retry_after": 60})
    document = {"integrations": {"acme_orders": {"installed": ["escalate_vip_order"]}}}
    assert person.call("POST", "/job_specs/apply?rearm=true", json=document).get_json()["left"] == 1
    person.meets()


def leave_sign_ins(person: Admin) -> None:
    """Begin a sign-in, and end one of a front end that does not fetch it."""
    assert person.browser.get("/signin?subdomain=acme").status_code == 302
    front_end = FrontEnd(person)
    assert front_end.come_back(person.simulator.consent(front_end.post(), 101)).status_code == 200


@pytest.fixture
def everything(make_admin: MakeAdmin, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Admin:
    """An account after all that leaves a trace in the store."""
    # What otherwise lives for a second or two may be gone before it is looked at.
    monkeypatch.setattr("service.job_specs.listing.FAILURE_SECONDS", 14)
    monkeypatch.setattr("service.grants.cool_down.FIRST_WAIT_SECONDS", 20.0)
    settings = {"ZIS_INTEGRATIONS": "{subdomain}_orders,{subdomain}_shipping", "ALLOWED_ORIGINS": FRONT_END}
    person = make_admin(**settings, LIST_CACHE_SECONDS="15")
    person.connect("acme")
    person.authorize("acme")
    leave_sign_ins(person)
    person.job_specs()
    person.install("zis:acme_orders:job_spec:escalate_vip_order")
    leave_a_rearming(person)
    collaborator(person.app, MachineTokens).create(ACME, "deploy", 365)
    person.app.test_client().get("/api/v1/status")
    person.meets({"where": "list", "kind": "http_401_text"})
    person.list_fresh("?integration=acme_shipping")
    person.meets({"where": "list", "kind": "http_403_admin"}, {"where": "token", "kind": "http_500_text"})
    person.call("GET", "/job_specs?integration=acme_shipping", headers={"Cache-Control": "no-cache"})
    person.meets({"where": "list", "kind": "account_gone"})
    person.list_fresh("?integration=acme_shipping")
    person.meets({"where": "list", "kind": "http_403_admin"}, {"where": "token", "kind": "http_500_text"})
    expire(person)
    redis.hdel(grant_key(), "minted:acme_orders")
    person.list_fresh("?integration=acme_orders")
    person.meets()
    # What is there for a moment, or for the daily round.
    redis.set("zis:{acme}:lease:refresh", "x", ex=15)
    redis.set("zis:upkeep", "1", ex=23 * HOUR)
    redis.set("zis:{acme}:bundles:acme_orders", "{}", ex=10 * MINUTE)
    redis.set("zis:{acme}:alert:account_gone", "1", ex=DAY)
    redis.set("zis:alert:client_misconfigured", "1", ex=DAY)
    return person


def test_every_key_of_the_store_is_in_the_table_with_its_life(everything: Admin, redis: Redis) -> None:
    keys = keys_of(redis, "*")
    assert everything.status()["account"] == "acme"
    assert [key for key in keys if row_of(key) is None] == [], "a new key: say in SECURITY.md what it holds"
    assert {row_of(key) for key in keys} == set(rows()), "a key that is no more, or that this test does not make"
    for key in keys:
        _, life = rows()[row_of(key) or ""]
        left = redis.pttl(key) / 1000
        longest = next((seconds for text, seconds in LIVES.items() if text in life), None)
        if longest is None:
            assert left < 0, key
        elif "refresh token's end" in life:
            assert 90 * DAY < left <= 180 * DAY, key
        else:
            assert 0 < left <= longest, key


def values_of(redis: Redis, key: str) -> dict[str, bytes]:
    """Return what is under a key, by field or place; of an entry of the activity or of a looker what is sealed."""
    raw: Any = redis
    match raw.type(key):
        case b"hash":
            fields = {bytes(name).decode(): bytes(value) for name, value in raw.hgetall(key).items()}
            if key.endswith(":lookers"):
                return {name: value.partition(b":")[2] for name, value in fields.items()}
            return fields
        case b"list":
            return {str(place): item.partition(b":")[2] for place, item in enumerate(raw.lrange(key, 0, -1))}
        case b"zset":
            return {bytes(member).decode(): b"" for member in raw.zrange(key, 0, -1)}
        case _:
            return {"": raw.get(key) or b""}


def test_what_the_table_calls_sealed_is(everything: Admin, redis: Redis) -> None:
    in_clear = {"id", "generation", "mints"}
    assert everything.session_token
    for key in keys_of(redis, "*"):
        sealed, _ = rows()[row_of(key) or ""]
        values = values_of(redis, key)
        looks = {name for name, value in values.items() if value.startswith(b"ey") and value.count(b".") == 4}
        assert looks == (set(values) - in_clear if sealed == "yes" else set()), key


def test_disconnecting_deletes_what_the_document_says(everything: Admin, redis: Redis) -> None:
    everything.connect("acme")
    assert everything.disconnect().status_code == 200

    left = {row_of(key) for key in keys_of(redis, "zis:{acme}*")}
    assert (
        left & {"zis:{account}:grant", "zis:{account}:probes", "zis:{account}:admin_lost", "zis:{account}:account_gone"}
        == set()
    )


# --- what it advises ---


def kid_of(value: bytes) -> str | None:
    return Vault((NEW,)).key_id(value)


def test_after_a_rotation_a_grant_is_sealed_anew_at_its_next_refresh_and_a_lasting_minted_token_is_not(
    make_admin: MakeAdmin, redis: Redis
) -> None:
    person = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0")
    person.connect("acme")
    person.job_specs()
    old, new = (derive_keys((secret,), "seal")[0].kid for secret in (SECRET_KEYS.split(",")[0], NEW))
    rotated = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0", SECRET_KEYS=f"{NEW},{SECRET_KEYS}")
    rotated.session_token = person.session_token

    assert rotated.job_specs()["job_specs"], "the old entry still opens"
    assert kid_of(field_of(redis, grant_key(), "sealed")) == old
    expire(rotated)
    redis.delete("zis:{acme}:role:101")
    assert rotated.status()["user"]["can_manage"]
    assert kid_of(field_of(redis, grant_key(), "sealed")) == new
    assert kid_of(field_of(redis, grant_key(), "minted:acme_orders")) == old


def test_a_key_that_is_taken_out_ends_sessions_and_leaves_grants_shut(make_admin: MakeAdmin, redis: Redis) -> None:
    """What is advised for a leaked key: nothing it signed or sealed is believed any more; connecting again mends it."""
    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    after = make_admin(**ORDERS_ONLY, SECRET_KEYS=NEW)
    headers = {"Authorization": f"Bearer {person.session_token}"}

    for method, path in (("GET", "/status"), ("POST", "/session"), ("DELETE", "/connection")):
        assert after.browser.open(f"/api/v1{path}", method=method, headers=headers).status_code == 401
    after.open_sidebar("acme", 101)
    assert after.status()["connection"]["reason"] == "key_missing"
    assert redis.exists(grant_key())
    after.connect("acme")
    assert after.status()["connection"]["state"] == "connected"


def test_a_key_alone_signs_sessions_which_is_why_it_has_to_go(make_admin: MakeAdmin) -> None:
    """The document says what a leaked key is worth; this is it, and nothing less is claimed."""
    from tests.test_sessions import forge, own_key  # noqa: PLC0415 - only here

    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    person.session_token = forge(own_key(), claims={"sub": 105})

    assert person.status()["user"] == {"id": 105, "role": "admin", "can_manage": True, "reason": None}


def test_while_the_client_secret_is_wrong_grants_are_kept_and_tokens_serve_on(
    make_admin: MakeAdmin, redis: Redis
) -> None:
    person = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0")
    person.connect("acme")
    person.job_specs()
    wrong = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0", ZENDESK_CLIENT_SECRET="the-secret-of-yesterday")
    wrong.session_token = person.session_token

    assert wrong.job_specs()["job_specs"]
    expire(wrong)
    redis.hdel(grant_key(), "minted:acme_orders")
    refused = wrong.call("GET", "/job_specs")
    assert refused.get_json()["code"] == "client_misconfigured"
    with time_machine.travel(time.time() + 120, tick=True):
        redis.delete("zis:{acme}:cool_down")
        assert person.job_specs()["job_specs"], "with the right one it goes on"
