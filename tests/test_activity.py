"""The activity: every attempt has its entry, sealed, bounded, for whoever may look; and it never fails the attempt."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import time_machine
from redis import Redis
from werkzeug.test import TestResponse

from service.grants.access_tokens import AccessTokens
from service.grants.grants import Grants
from service.ground.deadlines import Deadline
from service.ground.errors import ServiceError, StoreUnavailable
from service.ground.subdomains import Subdomain
from service.ground.timestamps import timestamp
from service.store.activity import LIFE_SECONDS, MOST_ENTRIES, RUN_SECONDS, Activity, activity_key
from service.store.events import NOBODY, OPERATOR, Author, Event, outcome
from service.store.lookers import Lookers
from service.store.store import ACTIVITY_GIVES_WAY_AT, Store
from service.store.vault import Vault
from service.zendesk.calls import CALLS_AT_ONCE
from tests.conftest import MakeAdmin
from tests.steps import DIRECT, SECRET_KEYS, Admin, collaborator, fill, lockable
from tests.workers import at_once, meanwhile

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
KEY = activity_key(ACME)
LOOKERS = "zis:{acme}:lookers"
VIP = "escalate_vip_order"
QUALIFIED = f"zis:acme_orders:job_spec:{VIP}"
NULL_ACTOR = {"id": None, "name": None}
ADA = {"id": 101, "name": "Ada Morgan"}
FIRST_KEY, SECOND_KEY = SECRET_KEYS.split(",")
Entries = list[dict[str, Any]]


def activity(person: Admin) -> Activity:
    return collaborator(person.app, Activity)


def entries(person: Admin, query: str = "") -> Entries:
    """Return what the person is shown."""
    reply = person.call("GET", f"/activity{query}")
    assert reply.status_code == 200, reply.text
    assert set(reply.get_json()) == {"activity"}
    found: Entries = reply.get_json()["activity"]
    return found


def told(person: Admin) -> list[tuple[str, str]]:
    """Return (action, result) of every entry, newest first."""
    return [(entry["action"], entry["result"]) for entry in entries(person)]


def outcome_of(reply: TestResponse) -> tuple[int, str]:
    return reply.status_code, reply.get_json()["code"]


def events(count: int, first: int = 0) -> list[Event]:
    """Return events that nothing folds into one entry."""
    return [Event("installed", f"integration_{number}", f"spec_{number}") for number in range(first, first + count)]


def changed(found: Entries) -> list[str]:
    """Return the names of all job specs in the entries, those of a bulk one by one."""
    return [name for entry in found for name in (entry["items"] or [entry["job_spec"]])]


def names(found: Entries) -> list[str]:
    return [entry["job_spec"] for entry in found]


def kept(redis: Redis) -> list[bytes]:
    """Return what Redis has of acme's activity."""
    return [item for item in redis.lrange(KEY, 0, -1) if isinstance(item, bytes)]


def end_grant(person: Admin, age_seconds: float = 1900) -> None:
    """Let the access token be over in the record, and the whole grant at Zendesk."""
    person.simulator.world.account("acme").revoke_grants()
    grants = collaborator(person.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    now = time.time()
    assert grants.update(ACME, grant, grant.changed(obtained_at=now - age_seconds, expires_at=now - 100))


# --- what is recorded ---


def test_a_change_says_who_what_when_where_and_in_which_request(admin: Admin) -> None:
    admin.status()
    admin.simulator.world.clear_calls()
    with time_machine.travel(int(time.time()) + 60, tick=False):
        reply = admin.install(QUALIFIED)
        expected = {
            "at": timestamp(time.time()),
            "action": "installed",
            "actor": ADA,
            "integration": "acme_orders",
            "job_spec": VIP,
            "result": "ok",
            "installation_id": admin.simulator.world.account("acme").installation_id,
            "request_id": reply.headers["X-Request-Id"],
            "count": 1,
            "items": None,
        }
    assert entries(admin)[0] == expected
    assert list(entries(admin)[0]) == list(expected)
    # The name came with the role, which was known.
    assert admin.calls("/users/") == []


def test_the_newest_comes_first(admin: Admin) -> None:
    admin.install(VIP)
    admin.uninstall(QUALIFIED)
    admin.disconnect()
    assert told(admin) == [("disconnected", "ok"), ("uninstalled", "ok"), ("installed", "ok"), ("connected", "ok")]


def test_a_connection_is_its_admins_and_comes_from_no_installation(make_admin: MakeAdmin) -> None:
    admin = make_admin()
    admin.connect("acme")
    (entry,) = entries(admin)
    assert (entry["action"], entry["actor"], entry["result"]) == ("connected", ADA, "ok")
    assert (entry["integration"], entry["job_spec"], entry["installation_id"]) == (None, None, None)
    assert entry["request_id"]
    admin.connect("acme", 105)
    assert [entry["actor"]["name"] for entry in entries(admin)] == ["Eve Lindqvist", "Ada Morgan"]


def test_an_admin_whom_the_token_may_not_read_is_nobody_known(make_admin: MakeAdmin) -> None:
    person = make_admin(**DIRECT)
    person.switch(zis_token_on_api_v2="403")
    person.connect("acme")
    assert entries(person)[0]["actor"] == NULL_ACTOR


def test_a_connection_that_failed_is_nothing_of_the_account(admin: Admin) -> None:
    page = admin.come_back(admin.simulator.consent(admin.authorize(), 102))
    assert page.status_code == 403
    assert told(admin) == [("connected", "ok")]


@pytest.mark.parametrize(
    ("fault", "code"),
    [({"kind": "oauth_error", "error": "odd"}, "zis_rejected"), ({"kind": "http_500_zis"}, "zendesk_unavailable"),
     ({"kind": "http_429"}, "rate_limited"), ({"kind": "http_403_admin"}, "admin_required")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_change_that_failed_says_why(fault: dict[str, Any], code: str, method: str, admin: Admin) -> None:
    admin.meets({"where": "change", **fault})
    assert admin.call(method, f"/job_specs/{QUALIFIED}/install").get_json()["code"] == code
    entry = entries(admin)[0]
    assert (entry["action"], entry["result"]) == ("installed" if method == "POST" else "uninstalled", code)
    assert (entry["actor"], entry["job_spec"]) == (ADA, VIP)


def test_a_job_spec_that_zendesk_does_not_know_was_asked_for(admin: Admin) -> None:
    admin.install("zis:acme_orders:job_spec:nobody")
    assert told(admin)[0] == ("installed", "job_spec_not_found")


def test_what_is_refused_before_anything_is_sent_is_not_recorded(admin: Admin, redis: Redis) -> None:
    refused = [
        admin.install("zis:acme_orders:flow:x"),
        admin.install("nobody"),
        admin.install("notify_warehouse"),
        admin.install(VIP, "?force=1"),
        admin.disconnect("?uninstall=yes"),
    ]
    redis.config_set("maxmemory", 1)
    refused.append(admin.install(QUALIFIED))
    redis.config_set("maxmemory", 0)
    admin.open_sidebar("acme", 102)
    refused += [admin.install(QUALIFIED), admin.disconnect()]
    codes = ["invalid_request", "job_spec_not_found", "integration_required", "invalid_request", "invalid_request",
             "store_unavailable", "manager_role_required", "manager_role_required"]  # fmt: skip
    assert [reply.get_json()["code"] for reply in refused] == codes
    assert admin.changes_sent() == []
    assert told(admin) == [("connected", "ok")]


def test_a_disconnect_names_who_pressed_it(admin: Admin) -> None:
    admin.open_sidebar("acme", 105)
    reply = admin.disconnect()
    entry = entries(admin)[0]
    assert (entry["action"], entry["actor"]["name"], entry["result"]) == ("disconnected", "Eve Lindqvist", "ok")
    assert entry["installation_id"] == admin.simulator.world.account("acme").installation_id
    assert entry["request_id"] == reply.headers["X-Request-Id"]
    # Nothing was connected any more, so nothing was done.
    assert admin.disconnect().get_json() == {"revoked": False}
    assert len(told(admin)) == 2


def test_a_dead_grant_that_is_forgotten_was_disconnected_by_the_manager_last_known(admin: Admin) -> None:
    admin.status()
    end_grant(admin)
    assert admin.disconnect().get_json() == {"revoked": False}
    assert told(admin) == [("disconnected", "ok"), ("reauthorization_required", "ok"), ("connected", "ok")]
    assert entries(admin)[0]["actor"] == ADA
    assert admin.disconnect("?uninstall=true").get_json() == {"revoked": False}


def test_a_disconnect_that_failed_says_why(admin: Admin) -> None:
    admin.meets({"where": "revoke", "kind": "http_500_text"})
    assert outcome_of(admin.disconnect()) == (502, "zendesk_unavailable")
    assert told(admin)[0] == ("disconnected", "zendesk_unavailable")


def test_a_disconnect_that_uninstalls_has_an_entry_an_integration_with_every_job_spec(admin: Admin) -> None:
    reply = admin.disconnect("?uninstall=true")
    assert reply.get_json() == {"revoked": True}
    disconnected, *uninstalled, connected = entries(admin, "?limit=200")
    assert (disconnected["action"], connected["action"]) == ("disconnected", "connected")
    assert len(uninstalled) == 3
    assert sum(entry["count"] for entry in uninstalled) == 54
    assert {(entry["action"], entry["result"]) for entry in uninstalled} == {("uninstalled", "ok")}
    assert {f"zis:{entry['integration']}:job_spec:{name}" for entry in uninstalled for name in changed([entry])} == {
        name for _, name in admin.changes_sent()
    }
    assert all(entry["actor"] == ADA for entry in uninstalled)
    assert {entry["request_id"] for entry in uninstalled} == {reply.headers["X-Request-Id"]}


def test_a_disconnect_that_stops_shows_what_it_had_done_and_where_it_stopped(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "http_500_zis", "every": 20})
    assert admin.disconnect("?uninstall=true").status_code == 502
    disconnected, *uninstalled, _ = entries(admin, "?limit=200")
    assert (disconnected["action"], disconnected["result"]) == ("disconnected", "zendesk_unavailable")
    results = [entry["result"] for entry in uninstalled for _ in range(entry["count"])]
    assert len(results) == len(admin.changes_sent())
    assert results.count("zendesk_unavailable") >= 1
    assert results.count("ok") >= 19


def test_a_manager_by_name_is_called_what_zendesk_has_called_them(make_admin: MakeAdmin) -> None:
    person = make_admin(MANAGER_USER_IDS="acme:102")
    person.connect("acme")
    person.open_sidebar("acme", 102)
    person.install(QUALIFIED)
    assert entries(person)[0]["actor"] == {"id": 102, "name": "Ben Okafor"}


def test_what_a_command_does_is_the_operators(admin: Admin) -> None:
    activity(admin).note(ACME, OPERATOR, Event("disconnected"))
    entry = entries(admin)[0]
    assert (entry["actor"], entry["installation_id"], entry["request_id"]) == ("operator", None, None)


def test_an_unforeseen_failure_is_an_internal_error() -> None:
    heard: list[str] = []
    with pytest.raises(ZeroDivisionError), outcome(heard.append):
        raise ZeroDivisionError
    assert heard == ["internal_error"]


# --- a grant found dead ---


def test_a_death_is_recorded_once_whoever_finds_out(admin: Admin, make_admin: MakeAdmin) -> None:
    both = [admin, make_admin()]
    end_grant(admin)

    def ask(number: int) -> str:
        with pytest.raises(ServiceError) as failure:
            collaborator(both[number % 2].app, AccessTokens).get(ACME, Deadline.after(25))
        return failure.value.code

    assert set(at_once(12, ask)) == {"authorization_required"}
    assert told(admin) == [("reauthorization_required", "ok"), ("connected", "ok")]
    assert entries(admin)[0]["actor"] == NULL_ACTOR


def test_of_two_verdicts_on_the_same_grant_one_is_recorded(admin: Admin) -> None:
    tokens = collaborator(admin.app, AccessTokens)
    grant = tokens.usable(ACME)
    verdicts = [tokens._refreshing.declare_dead(ACME, grant, "not_refreshable") for _ in range(2)]
    assert verdicts == [True, False]
    assert told(admin) == [("reauthorization_required", "ok"), ("connected", "ok")]


def test_a_death_names_the_request_whose_list_found_out(admin: Admin) -> None:
    admin.status()
    end_grant(admin)
    admin.simulator.world.account("acme").expire_access_tokens()
    with time_machine.travel(time.time() + 120, tick=True):
        reply = admin.list_fresh()
        assert outcome_of(reply) == (409, "authorization_required")
        assert told(admin) == [("reauthorization_required", "ok"), ("connected", "ok")]
        assert entries(admin)[0]["request_id"] == reply.headers["X-Request-Id"]


def test_a_death_names_the_request_whose_uninstalling_found_out(admin: Admin) -> None:
    admin.status()
    admin.meets({"where": "change", "kind": "hold"})
    with time_machine.travel(time.time() + 120, tick=True):
        with meanwhile(lambda: admin.disconnect("?uninstall=true")) as replies:
            admin.simulator.world.wait_until_held(CALLS_AT_ONCE)
            end_grant(admin)
            admin.simulator.world.account("acme").expire_access_tokens()
            admin.meets()
        assert outcome_of(replies[0]) == (409, "authorization_required")
        disconnected, *others, _ = entries(admin, "?limit=200")
        assert (disconnected["action"], disconnected["result"]) == ("disconnected", "authorization_required")
        assert [entry["action"] for entry in others].count("reauthorization_required") == 1
        assert {entry["request_id"] for entry in others} == {replies[0].headers["X-Request-Id"]}


def test_a_grant_without_a_refresh_token_dies_with_its_access_token(make_admin: MakeAdmin) -> None:
    person = make_admin(**DIRECT)
    person.switch(token_lifetime="never")
    person.connect("acme")
    person.status()
    person.simulator.world.account("acme").revoke_grants()
    with time_machine.travel(time.time() + 120, tick=True):
        for _ in range(2):
            assert outcome_of(person.list_fresh()) == (409, "authorization_required")
        assert told(person) == [("reauthorization_required", "ok"), ("connected", "ok")]


# --- who may look ---


@pytest.mark.parametrize(
    ("user_id", "status"), [(101, 200), (102, 200), (103, 403), (104, 403)], ids=["admin", "agent", "end", "suspended"]
)
@pytest.mark.parametrize("state", ["connected", "dead", "disconnected", "Zendesk is away"])
def test_agents_may_look_and_outsiders_may_not(state: str, user_id: int, status: int, admin: Admin) -> None:
    # In the states in which nobody can be asked, the last answer counts.
    admin.open_sidebar("acme", user_id)
    admin.status()
    if state == "dead":
        end_grant(admin)
        admin.list_fresh()
    if state == "disconnected":
        admin.open_sidebar("acme", 105)
        admin.disconnect()
        admin.open_sidebar("acme", user_id)
    if state == "Zendesk is away":
        admin.meets({"where": "all", "kind": "reset"})
    with time_machine.travel(time.time() + 600, tick=True):
        reply = admin.call("GET", "/activity")
    assert reply.status_code == status, reply.text
    if status == 403:
        assert reply.get_json()["code"] == "agent_required"
    else:
        assert reply.get_json()["activity"][-1]["action"] == "connected"


def test_where_nobody_can_be_asked_whoever_has_not_looked_before_reads_nothing(admin: Admin) -> None:
    # The app's key is at hand from then on.
    admin.open_sidebar()
    admin.disconnect()
    admin.simulator.world.clear_calls()
    for user_id in (102, 103, 999):
        admin.open_sidebar("acme", user_id)
        admin.status()
        assert outcome_of(admin.call("GET", "/activity")) == (403, "agent_required")
    assert admin.calls() == []


def test_with_a_grant_found_dead_by_asking_whoever_has_not_looked_before_reads_nothing(admin: Admin) -> None:
    end_grant(admin)
    admin.open_sidebar("acme", 102)
    assert outcome_of(admin.call("GET", "/activity")) == (403, "agent_required")
    admin.open_sidebar("acme", 101)
    assert told(admin) == [("reauthorization_required", "ok"), ("connected", "ok")]


def test_of_an_account_that_is_gone_whoever_has_not_looked_before_reads_nothing(admin: Admin) -> None:
    # The app's key is at hand from then on, and this person is known.
    admin.open_sidebar()
    admin.status()
    admin.simulator.world.account("acme").renamed_to = "acme-new"
    admin.open_sidebar("acme", 102)
    assert outcome_of(admin.call("GET", "/activity")) == (403, "agent_required")
    admin.open_sidebar("acme", 101)
    assert told(admin) == [("connected", "ok")]


@pytest.mark.parametrize("way", ["disconnected", "dead"])
def test_whoever_looked_within_90_days_reads_it_still(way: str, admin: Admin, redis: Redis) -> None:
    began = time.time()
    admin.open_sidebar("acme", 102)
    admin.job_specs()
    looked = redis.hget(LOOKERS, "102")
    admin.open_sidebar("acme", 105)
    if way == "dead":
        end_grant(admin)
        assert admin.install(QUALIFIED).status_code == 409
    else:
        assert admin.disconnect().status_code == 200
    redis.delete(*redis.keys("zis:{acme}:role:*"))
    for days, status in ((89, 200), (91, 403)):
        with time_machine.travel(began + days * 86_400, tick=False):
            # Its whole life over, Redis would have dropped it.
            redis.hset(LOOKERS, "102", looked or b"")
            admin.open_sidebar("acme", 102)
            assert admin.call("GET", "/activity").status_code == status


def test_a_person_who_was_let_in_while_zendesk_was_away_is_not_remembered(admin: Admin) -> None:
    admin.meets({"where": "users", "kind": "http_500_text"})
    admin.open_sidebar("acme", 103)
    admin.job_specs()
    admin.meets()
    admin.open_sidebar("acme", 101)
    admin.disconnect()
    admin.open_sidebar("acme", 103)
    assert outcome_of(admin.call("GET", "/activity")) == (403, "agent_required")


def test_whoever_may_not_look_any_more_is_forgotten(admin: Admin, redis: Redis) -> None:
    admin.open_sidebar("acme", 102)
    admin.status()
    assert redis.hexists(LOOKERS, "102")
    admin.simulator.world.account("acme").set_user(102, suspended=True)
    redis.delete("zis:{acme}:role:102")
    assert admin.call("GET", "/job_specs").status_code == 403
    assert not redis.hexists(LOOKERS, "102")


def test_a_looker_that_somebody_planted_is_not_believed(admin: Admin, redis: Redis) -> None:
    value = redis.hget(LOOKERS, "101") or b""
    admin.status()
    admin.disconnect()
    redis.hset(LOOKERS, mapping={"102": value, "103": b"99999999999:junk"})
    for user_id in (102, 103):
        admin.open_sidebar("acme", user_id)
        assert outcome_of(admin.call("GET", "/activity")) == (403, "agent_required")


def test_at_most_1000_people_are_remembered_and_the_first_are_forgotten_first(admin: Admin, redis: Redis) -> None:
    lookers, began = collaborator(admin.app, Lookers), int(time.time())
    redis.hset(LOOKERS, mapping={str(number): f"{began - number}:x" for number in range(1000, 2000)})
    lookers.remember(ACME, 7)
    left = redis.hkeys(LOOKERS)
    assert len(left) == 900
    assert {b"7", b"101", b"1000"} <= set(left)
    assert b"1999" not in left
    assert 0 < redis.ttl(LOOKERS) <= LIFE_SECONDS


@pytest.mark.parametrize("user_id", [101, 102, 999])
def test_an_account_that_was_never_connected_shows_its_activity_to_nobody(user_id: int, make_admin: MakeAdmin) -> None:
    person = make_admin(MANAGER_USER_IDS="acme:102")
    person.open_sidebar("acme", user_id)
    assert outcome_of(person.call("GET", "/activity")) == (403, "agent_required")


def test_another_account_sees_nothing_of_it(admin: Admin, make_admin: MakeAdmin) -> None:
    admin.install(QUALIFIED)
    person = make_admin()
    person.connect("globex")
    assert [entry["actor"]["name"] for entry in entries(person)] == ["Finn Baker"]
    assert len(entries(admin)) == 2


def test_the_activity_survives_a_disconnect_and_goes_when_it_is_purged(admin: Admin, redis: Redis) -> None:
    admin.disconnect()
    admin.connect("acme")
    assert told(admin) == [("connected", "ok"), ("disconnected", "ok"), ("connected", "ok")]
    activity(admin).note(GLOBEX, NOBODY, Event("connected"))
    activity(admin).purge(ACME)
    assert entries(admin) == []
    assert redis.exists(activity_key(GLOBEX))


# --- how much ---


@pytest.mark.parametrize(("query", "count"), [("", 50), ("?limit=1", 1), ("?limit=7", 7), ("?limit=200", 200)])
def test_as_many_are_shown_as_were_asked_for(query: str, count: int, admin: Admin) -> None:
    activity(admin).note(ACME, NOBODY, *events(220))
    assert names(entries(admin, query)) == [f"spec_{number}" for number in range(219, 219 - count, -1)]


@pytest.mark.parametrize(
    "query",
    ["limit=", "limit=0", "limit=201", "limit=-1", "limit=%2B5", "limit=05", "limit=5.0", "limit=1e2", "limit=%205",
     "limit=1_0", "limit=0x5", "limit=%D9%A5", "limit=all", "limit=99999999999999999999", "limit=5&limit=5", "offset=1",
     "limit=5&page=1"],
)  # fmt: skip
def test_any_other_parameter_is_refused_before_anybody_is_judged(query: str, admin: Admin) -> None:
    admin.open_sidebar("acme", 103)
    admin.simulator.world.clear_calls()
    assert outcome_of(admin.call("GET", f"/activity?{query}")) == (400, "invalid_request")
    assert admin.calls() == []


def test_the_answer_is_not_for_caches(admin: Admin) -> None:
    assert admin.call("GET", "/activity").headers["Cache-Control"] == "no-store"


def test_only_the_last_500_changes_are_kept_and_the_connections_beside_them(admin: Admin, redis: Redis) -> None:
    activity(admin).note(ACME, NOBODY, *events(300))
    activity(admin).note(ACME, NOBODY, *events(300, first=300))
    assert names(activity(admin).latest(ACME)) == [*(f"spec_{number}" for number in range(599, 99, -1)), None]
    assert redis.llen(KEY) == MOST_ENTRIES + 1
    assert told(admin)[0] == ("installed", "ok")
    assert entries(admin, "?limit=200")[-1]["action"] == "installed"


def test_connections_push_out_no_change_and_only_the_last_100_are_kept(admin: Admin) -> None:
    activity(admin).note(ACME, NOBODY, *events(450))
    for number in range(120):
        activity(admin).note(ACME, Author(number + 1), Event("disconnected"))
    found = activity(admin).latest(ACME)
    assert [entry["actor"]["id"] for entry in found[:100]] == list(range(120, 20, -1))
    assert names(found[100:]) == [f"spec_{number}" for number in range(449, -1, -1)]


def test_500_times_the_same_change_by_the_same_person_is_one_entry(admin: Admin, redis: Redis) -> None:
    ada, eve = Author(101, "Ada Morgan", 7), Author(105, "Eve Lindqvist")
    same = Event("installed", "acme_orders", VIP)
    activity(admin).note(ACME, eve, same)
    for _ in range(500):
        activity(admin).note(ACME, ada, same)
    found = entries(admin)
    assert [(entry["actor"]["id"], entry["action"], entry["count"]) for entry in found] == [
        (101, "installed", 500), (105, "installed", 1), (101, "connected", 1)]  # fmt: skip
    assert {entry["items"] for entry in found} == {None}
    assert redis.llen(KEY) == 3
    activity(admin).note(ACME, OPERATOR, same, same)
    activity(admin).note(ACME, OPERATOR, same)
    assert [entry["count"] for entry in entries(admin)] == [3, 500, 1, 1]


@pytest.mark.parametrize(
    "other",
    [Event("uninstalled", "acme_orders", VIP), Event("installed", "acme_shipping", VIP),
     Event("rearmed", "acme_orders", VIP), Event("installed", "acme_orders", VIP, "rate_limited")],
)  # fmt: skip
def test_another_change_or_the_same_one_later_is_an_entry_of_its_own(other: Event, admin: Admin) -> None:
    ada, same = Author(101, "Ada Morgan"), Event("installed", "acme_orders", VIP)
    for event in (same, other, same):
        activity(admin).note(ACME, ada, event)
    assert [entry["count"] for entry in activity(admin).latest(ACME)] == [1, 1, 1, 1]
    with time_machine.travel(time.time() + RUN_SECONDS + 60, tick=False):
        activity(admin).note(ACME, ada, same)
    assert [entry["count"] for entry in activity(admin).latest(ACME)] == [1, 1, 1, 1, 1]


def test_a_repetition_says_when_and_in_which_request_it_was_last_done(admin: Admin) -> None:
    admin.install(QUALIFIED)
    admin.install(QUALIFIED)
    with time_machine.travel(int(time.time()) + 60, tick=False):
        reply = admin.install(QUALIFIED)
        (entry, _, _) = entries(admin)
        assert (entry["action"], entry["count"], entry["at"]) == ("rearmed", 2, timestamp(time.time()))
        assert entry["request_id"] == reply.headers["X-Request-Id"]


@pytest.mark.parametrize("name", [VIP, QUALIFIED])
def test_installing_what_is_listed_as_installed_is_a_rearming(admin: Admin, name: str) -> None:
    for _ in range(2):
        admin.install(name)
    admin.uninstall(name)
    admin.install(name)
    assert [action for action, _ in told(admin)] == ["installed", "uninstalled", "rearmed", "installed", "connected"]


# --- a bulk ---


ADA_HERSELF = Author(101, "Ada Morgan")


def bulk(count: int, first: int = 0, result: str = "ok") -> list[Event]:
    return [Event("installed", "acme_orders", f"spec_{number:03}", result) for number in range(first, first + count)]


def shape(person: Admin) -> list[tuple[str, int, int | None]]:
    """Return (result, count, how many names) of every change, newest first."""
    found = [entry for entry in activity(person).latest(ACME) if entry["action"] != "connected"]
    return [(one["result"], one["count"], one["items"] and len(one["items"])) for one in found]


def test_a_bulk_of_200_is_one_entry_with_its_names(admin: Admin, redis: Redis) -> None:
    for event in bulk(200):
        activity(admin).note(ACME, ADA_HERSELF, event)
    (entry, _) = entries(admin)
    assert (entry["action"], entry["integration"], entry["job_spec"]) == ("installed", "acme_orders", None)
    assert (entry["count"], entry["items"]) == (200, [f"spec_{number:03}" for number in range(200)])
    assert redis.llen(KEY) == 2
    activity(admin).note(ACME, ADA_HERSELF, *bulk(100, first=150))
    assert shape(admin) == [("ok", 300, 250)]


def test_a_bulk_by_several_requests_at_once_is_one_entry_or_few(admin: Admin) -> None:
    activity(admin).note(ACME, ADA_HERSELF, *bulk(1))
    at_once(4, lambda number: activity(admin).note(ACME, ADA_HERSELF, *bulk(5, first=10 * number)))
    found = activity(admin).latest(ACME)
    assert {*changed(found)} - {None} == {"spec_000"} | {event.job_spec for n in range(4) for event in bulk(5, 10 * n)}
    assert len(found) <= 3


def test_what_failed_in_a_bulk_stands_by_itself(admin: Admin) -> None:
    activity(admin).note(ACME, ADA_HERSELF, *bulk(20), *bulk(3, 20, "zis_rejected"), *bulk(7, 23))
    assert shape(admin) == [("ok", 7, 7), ("zis_rejected", 3, 3), ("ok", 20, 20)]


@pytest.mark.parametrize(
    ("author", "seconds"),
    [(Author(105, "Eve Lindqvist"), 0), (OPERATOR, 0), (Author(None, "CI"), 0), (NOBODY, 0), (ADA_HERSELF, 91)],
)
def test_another_person_and_what_comes_later_is_no_part_of_it(author: Author, seconds: int, admin: Admin) -> None:
    now = time.time()
    with time_machine.travel(now, tick=False):
        activity(admin).note(ACME, ADA_HERSELF, *bulk(3))
    with time_machine.travel(now + seconds, tick=False):
        activity(admin).note(ACME, author, *bulk(2, first=3))
    assert shape(admin) == [("ok", 2, 2), ("ok", 3, 3)]


def test_two_machines_are_told_apart_by_their_names(admin: Admin) -> None:
    for name in ("CI", "CI", "nightly"):
        activity(admin).note(ACME, Author(None, name), *bulk(1))
    assert [(entry["actor"]["name"], entry["count"]) for entry in activity(admin).latest(ACME)[:2]] == [
        ("nightly", 1), ("CI", 2)]  # fmt: skip


def test_an_entry_does_not_grow_without_end(admin: Admin) -> None:
    activity(admin).note(ACME, ADA_HERSELF, *bulk(1000))
    activity(admin).note(ACME, ADA_HERSELF, *bulk(2, first=1000))
    assert shape(admin) == [("ok", 2, 2), ("ok", 1000, 1000)]


def test_an_entrys_names_take_44_kib_as_they_are_stored(admin: Admin) -> None:
    # Of 120 characters each, which are stored as 623 bytes.
    activity(admin).note(
        ACME, ADA_HERSELF, *(Event("rearmed", "acme_orders", f"{n:020}{'é' * 100}") for n in range(200))
    )
    assert shape(admin) == [("ok", 56, 56), ("ok", 72, 72), ("ok", 72, 72)]


def test_of_a_name_200_characters_are_kept(admin: Admin, capsys: pytest.CaptureFixture[str]) -> None:
    longest, longer = "x" * 200, "y" * 201
    for name in (longest, longer, "z" * 8_000):
        admin.install(f"zis:acme_orders:job_spec:{name}")
    assert f"zis:acme_orders:job_spec:{longer}" in [name for _, name in admin.changes_sent()]
    expected = [longest, f"{'y' * 199}…", f"{'z' * 199}…"]
    assert entries(admin)[0]["items"] == expected
    assert "z" * 200 not in capsys.readouterr().out


# --- how much of Redis ---

# A small plan's.
SMALLEST_MEMORY = 25 * 1024 * 1024
# Stored as 2,400 bytes, and sealed as 3,200.
LONGEST_NAME = "🦄" * 200


@contextmanager
def memory_of(size: int, person: Admin, redis: Redis) -> Iterator[None]:
    """Let Redis use this many bytes; 0: any number."""
    redis.config_set("maxmemory", size)
    # The service looks every few seconds only.
    collaborator(person.app, Store)._room_looked_at = float("-inf")
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


@pytest.mark.parametrize(("memory", "most"), [(0, 1024 * 1024), (SMALLEST_MEMORY, SMALLEST_MEMORY // 50)])
def test_an_account_gets_its_part_of_redis_and_what_is_oldest_goes_first(
    memory: int, most: int, admin: Admin, redis: Redis
) -> None:
    with memory_of(memory, admin, redis):
        for first in (0, 200):
            long = [Event("installed", f"i_{number}", LONGEST_NAME) for number in range(first, first + 200)]
            activity(admin).note(ACME, NOBODY, *long)
    *changes, connected = activity(admin).latest(ACME)
    assert connected["action"] == "connected"
    assert [entry["integration"] for entry in changes] == [f"i_{n}" for n in range(399, 399 - len(changes), -1)]
    # Three quarters of it are the changes'.
    assert 0.7 * most < sum(map(len, kept(redis)[:-1])) <= 0.75 * most


def test_500_changes_and_100_connections_fit_into_a_small_redis(admin: Admin, redis: Redis) -> None:
    name, who = "A Name of Forty Characters, Which Is Long", 12_345_678_901_234
    long = [
        Event("installed", "acme_integration", f"a_job_spec_of_fifty_characters_is_the_longest_{n:04}")
        for n in range(500)
    ]
    with memory_of(SMALLEST_MEMORY, admin, redis):
        for number in range(100):
            activity(admin).note(ACME, Author(who + number, name, who), Event("connected"))
        for number, event in enumerate(long):
            activity(admin).note(ACME, Author(who + number, name, who), event)
    assert redis.llen(KEY) == 600


def test_connections_have_a_part_of_their_own(admin: Admin, redis: Redis) -> None:
    activity(admin).note(ACME, NOBODY, *events(100))
    for number in range(100):
        activity(admin).note(ACME, Author(number + 1, LONGEST_NAME + "and more"), Event("connected"))
    found = activity(admin).latest(ACME)
    connections = [entry for entry in found if entry["action"] == "connected"]
    assert names(found[len(connections) :]) == [f"spec_{number}" for number in range(99, -1, -1)]
    assert [entry["actor"]["id"] for entry in connections] == list(range(100, 100 - len(connections), -1))
    assert 50 < len(connections) < 100
    assert sum(len(item) for item in kept(redis) if b".c:" in item) <= 256 * 1024


def test_what_an_older_release_kept_beyond_that_goes_with_the_next_entry(admin: Admin, redis: Redis) -> None:
    sealed = collaborator(admin.app, Vault).seal(KEY, b"x" * 60_000)
    redis.rpush(KEY, *[f"{int(time.time())}:{sealed}"] * 30)
    admin.install(QUALIFIED)
    assert told(admin) == [("installed", "ok"), ("connected", "ok")]
    assert redis.llen(KEY) == 2 + 9


@pytest.mark.parametrize("items", ["a", [], [1], {"a": 1}])
def test_names_that_cannot_be_read_are_none(items: Any, admin: Admin, redis: Redis) -> None:
    entry = {"at": timestamp(time.time()), "action": "installed", "result": "ok", "count": 2, "items": items}
    sealed = collaborator(admin.app, Vault).seal(KEY, json.dumps(entry).encode())
    redis.lpush(KEY, f"{int(time.time())}:{sealed}")
    assert (entries(admin)[0]["count"], entries(admin)[0]["items"]) == (2, None)


def test_an_entry_of_an_older_release_counts_as_one_and_is_repeated(admin: Admin, redis: Redis) -> None:
    older = {"at": timestamp(time.time()), "action": "installed", "actor": ADA, "integration": "acme_orders",
             "job_spec": VIP, "result": "ok", "installation_id": 7, "request_id": "x"}  # fmt: skip
    sealed = collaborator(admin.app, Vault).seal(KEY, json.dumps(older).encode())
    redis.lpush(KEY, f"{int(time.time())}:{sealed}")
    assert (entries(admin)[0]["count"], entries(admin)[0]["items"]) == (1, None)
    activity(admin).note(ACME, Author(101), Event("installed", "acme_orders", VIP))
    assert [entry["count"] for entry in entries(admin)] == [2, 1]


def test_repetitions_at_once_are_all_counted(admin: Admin) -> None:
    same = Event("installed", "acme_orders", VIP)
    at_once(8, lambda _: activity(admin).note(ACME, Author(101), same))
    assert sum(entry["count"] for entry in activity(admin).latest(ACME) if entry["action"] == "installed") == 8


def test_of_more_than_500_at_once_the_last_are_kept(admin: Admin, redis: Redis) -> None:
    redis.config_resetstat()
    activity(admin).note(ACME, NOBODY, *events(510))
    assert redis.info("commandstats")["cmdstat_lpush"]["calls"] == MOST_ENTRIES
    assert names(activity(admin).latest(ACME)) == [*(f"spec_{number}" for number in range(509, 9, -1)), None]
    assert redis.llen(KEY) == MOST_ENTRIES + 1


def test_nothing_older_than_90_days_is_shown_and_the_next_entry_drops_it(admin: Admin, redis: Redis) -> None:
    began = time.time()
    activity(admin).note(ACME, NOBODY, *events(3))
    assert redis.llen(KEY) == 4
    with time_machine.travel(began + LIFE_SECONDS - 60, tick=False):
        assert len(activity(admin).latest(ACME)) == 4
        activity(admin).note(ACME, NOBODY, *events(2, first=3))
        assert redis.llen(KEY) == 6
    with time_machine.travel(began + LIFE_SECONDS + 60, tick=False):
        assert names(activity(admin).latest(ACME)) == ["spec_4", "spec_3"]
        activity(admin).note(ACME, NOBODY, *events(1, first=5))
        assert redis.llen(KEY) == 3


def test_the_whole_goes_90_days_after_its_last_entry(admin: Admin, redis: Redis) -> None:
    assert LIFE_SECONDS - 60 < int(redis.ttl(KEY)) <= LIFE_SECONDS
    redis.expire(KEY, 1000)
    activity(admin).note(ACME, NOBODY, *events(1))
    assert LIFE_SECONDS - 60 < int(redis.ttl(KEY)) <= LIFE_SECONDS


@pytest.mark.parametrize("count", [1, 60])
def test_any_number_is_written_by_one_script(count: int, admin: Admin, redis: Redis) -> None:
    redis.config_resetstat()
    activity(admin).note(ACME, NOBODY, *events(count))
    calls = redis.info("commandstats")
    assert calls["cmdstat_evalsha"]["calls"] == 1
    assert calls["cmdstat_lpush"]["calls"] == count


def test_nothing_is_written_of_nothing(admin: Admin, redis: Redis) -> None:
    activity(admin).note(ACME, NOBODY)
    assert redis.llen(KEY) == 1


# --- how it is kept ---


def test_redis_holds_no_name_in_clear(admin: Admin, redis: Redis) -> None:
    admin.install(QUALIFIED)
    items = kept(redis)
    assert len(items) == 2
    for item in items:
        parts = item.partition(b":")[2].split(b".")
        shown = b"".join([item, *(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)) for part in parts)])
        for canary in (b"Ada", b"Morgan", VIP.encode(), b"acme_orders", b"installed", b"connected", b"actor"):
            assert canary not in shown


def test_entries_moved_to_another_account_do_not_open_there(admin: Admin, make_admin: MakeAdmin, redis: Redis) -> None:
    admin.install(QUALIFIED)
    person = make_admin()
    person.connect("globex")
    redis.lpush(activity_key(GLOBEX), *kept(redis))
    assert redis.llen(activity_key(GLOBEX)) == 3
    assert [entry["actor"]["name"] for entry in entries(person)] == ["Finn Baker"]


def test_an_entry_no_key_opens_is_left_out_and_the_log_says_so(
    admin: Admin, make_admin: MakeAdmin, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = "a-newer-key-of-the-tests-0123456789abcdef"
    rotated = make_admin(SECRET_KEYS=f"{newer},{FIRST_KEY}")
    activity(rotated).note(ACME, NOBODY, *events(1))
    assert len(activity(rotated).latest(ACME)) == 2
    assert [entry["action"] for entry in entries(admin)] == ["connected"]
    assert "event=activity_not_opened account=acme entries=1" in capsys.readouterr().out
    assert names(activity(make_admin(SECRET_KEYS=f"{newer},{SECOND_KEY}")).latest(ACME)) == ["spec_0"]


@pytest.mark.parametrize("planted", ["", ":", "junk", "99999999999:junk", "1:e30.e30.e30.e30.e30"])
def test_what_somebody_planted_there_does_no_harm(planted: str, admin: Admin, redis: Redis) -> None:
    redis.lpush(KEY, planted)
    redis.rpush(KEY, planted)
    redis.persist(KEY)
    assert told(admin) == [("connected", "ok")]
    assert admin.install(QUALIFIED).status_code == 200
    assert told(admin) == [("installed", "ok"), ("connected", "ok")]
    assert redis.ttl(KEY) > 0
    # What claims to be young stays until it is old.
    assert redis.llen(KEY) == (4 if planted.startswith("9") else 3)


def test_many_at_once_lose_nothing_and_keep_the_bound(admin: Admin, make_admin: MakeAdmin, redis: Redis) -> None:
    both = [activity(admin), activity(make_admin())]
    activity(admin).purge(ACME)
    at_once(12, lambda number: both[number % 2].note(ACME, Author(number), *events(30, first=30 * number)))
    found = both[0].latest(ACME)
    assert sorted(names(found)) == sorted(f"spec_{number}" for number in range(360))
    # What was written together stays together, in its order.
    assert [entry["actor"]["id"] for entry in found[::30]] == [entry["actor"]["id"] for entry in found[29::30]]
    at_once(12, lambda number: both[number % 2].note(ACME, Author(number), *events(30, first=30 * number)))
    assert redis.llen(KEY) == MOST_ENTRIES


def test_changes_at_once_are_all_recorded(admin: Admin) -> None:
    admin.status()
    headers = {"Authorization": f"Bearer {admin.session_token}"}

    def install(number: int) -> int:
        path = f"/api/v1/job_specs/zis:acme_archive:job_spec:archive_form_{number + 1:03}/install"
        return admin.app.test_client().post(path, headers=headers).status_code

    assert at_once(6, install) == [200] * 6
    recorded = [entry for entry in entries(admin) if entry["action"] == "installed"]
    assert sorted(changed(recorded)) == [f"archive_form_{number:03}" for number in range(1, 7)]
    assert sum(entry["count"] for entry in recorded) == 6


# --- where it cannot be written ---


@contextmanager
def nearly_full(person: Admin, redis: Redis) -> Iterator[None]:
    """Let Redis use more than 95 % of what it may."""
    fill(redis, 0.97)
    # The service looks every few seconds only.
    collaborator(person.app, Store)._room_looked_at = float("-inf")
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)
        redis.delete("junk")


def test_above_95_percent_changes_are_made_but_not_recorded(
    admin: Admin, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    with nearly_full(admin, redis):
        assert admin.install(QUALIFIED).get_json()["verified"] is True
        assert told(admin) == [("connected", "ok")]
        assert admin.disconnect().get_json() == {"revoked": True}
    out = capsys.readouterr().out
    assert out.count("event=activity_not_kept") == 2
    # The log says what the activity does not.
    assert "event=installed" in out
    assert "event=disconnected" in out
    assert told(admin) == [("connected", "ok")]


def test_a_store_that_takes_nothing_more_is_logged(
    admin: Admin, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collaborator(admin.app, Store).has_room(ACTIVITY_GIVES_WAY_AT)
    redis.config_set("maxmemory", 1)
    activity(admin).note(ACME, NOBODY, *events(2))
    redis.config_set("maxmemory", 0)
    assert "event=activity_not_kept account=acme entries=2 code=store_unavailable" in capsys.readouterr().out
    assert len(activity(admin).latest(ACME)) == 1


@pytest.mark.parametrize(
    ("faults", "status"), [([], 200), ([{"where": "change", "kind": "http_500_zis"}], 502)], ids=["made", "failed"]
)
def test_a_store_that_is_lost_during_a_change_does_not_decide_its_answer(
    faults: list[dict[str, Any]], status: int, admin: Admin, redis: Redis
) -> None:
    admin.status()
    admin.meets({"where": "change", "kind": "hold"}, *faults)
    with lockable(redis) as lock, meanwhile(lambda: admin.install(QUALIFIED)) as replies:
        admin.simulator.world.wait_until_held(1)
        lock()
        admin.simulator.release()
    assert replies[0].status_code == status
    assert told(admin) == [("connected", "ok")]


def test_without_a_store_nothing_is_shown_and_writing_raises_nothing(admin: Admin, make_admin: MakeAdmin) -> None:
    apart = make_admin(REDIS_URL="redis://127.0.0.1:1/0")
    apart.session_token = admin.session_token
    assert outcome_of(apart.call("GET", "/activity")) == (503, "store_unavailable")
    activity(apart).note(ACME, NOBODY, *events(1))
    activity(apart).note_reauthorization(ACME)
    with pytest.raises(StoreUnavailable):
        activity(apart).latest(ACME)


# --- the log ---


def lines(out: str, event: str) -> list[str]:
    """Return the log's lines of one event, without instant and request."""
    return [
        line.partition(" level=")[2].rpartition(" request_id=")[0]
        for line in out.splitlines()
        if f"event={event} " in f"{line} "
    ]


def test_the_log_has_one_line_an_event_with_its_author(
    make_admin: MakeAdmin, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = make_admin()
    admin.connect("acme")
    admin.open_sidebar("acme", 105)
    admin.install(QUALIFIED)
    admin.meets({"where": "change", "kind": "http_429"})
    admin.uninstall(QUALIFIED)
    admin.meets()
    admin.disconnect("?uninstall=true")
    out = capsys.readouterr().out
    about = f"account=acme by=105 integration=acme_orders job_spec={VIP}"
    assert lines(out, "connected") == ["info event=connected account=acme by=101 result=ok"]
    assert lines(out, "installed") == [f"info event=installed {about} result=ok verified=true"]
    uninstalled = lines(out, "uninstalled")
    assert lines(out, "uninstall_failed") == [f"warning event=uninstall_failed {about} result=rate_limited"]
    assert len(uninstalled) == 55
    assert f"info event=uninstalled {about} result=ok" in uninstalled
    assert lines(out, "disconnected") == ["info event=disconnected account=acme by=105 result=ok revoked=true"]
    assert "Eve" not in out


def test_the_log_tells_an_operators_command_apart(admin: Admin, capsys: pytest.CaptureFixture[str]) -> None:
    activity(admin).note(ACME, OPERATOR, Event("disconnected"))
    assert "event=disconnected account=acme by=operator result=ok" in capsys.readouterr().out
