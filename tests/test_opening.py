"""What the page opens with: session, status and list as far as they are at hand."""

import json
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from sandbox.simulator import Simulator
from service.grants.grants import Grants
from service.ground.subdomains import Subdomain
from service.sidebar import at_hand
from service.sidebar.at_hand import AtHand
from service.sidebar.markup import bootstrap, for_script
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, Admin, bootstrap_in, collaborator
from tests.test_round_trips import round_trips

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
LIST = "zis:{acme}:list:acme_orders"


def warm(person: Admin, user_id: int = 101) -> None:
    """Let Zendesk be asked who the person is, and for the lists."""
    person.open_sidebar("acme", user_id)
    person.status()
    person.job_specs()


def age_list(redis: Redis, seconds: int, integration: str = "acme_orders") -> None:
    """Let a kept list have been asked for so much earlier."""
    key = f"zis:{{acme}}:list:{integration}"
    asked_at = redis.hget(key, "asked_at")
    assert asked_at is not None
    redis.hset(key, "asked_at", str(int(asked_at) - seconds * 1_000_000))


def opened(person: Admin, user_id: int = 101, account: str = "acme") -> tuple[Any, Any]:
    """Return status and list in the page of a person."""
    documents = person.open_sidebar(account, user_id)
    return documents["status"], documents["list"]


def test_the_page_holds_what_the_api_would_answer_and_asks_nobody(admin: Admin) -> None:
    warm(admin)
    status, listed = admin.status(), admin.job_specs()
    admin.simulator.world.clear_calls()

    assert opened(admin) == (status, listed)
    assert admin.calls() == []


def test_opening_costs_one_round_trip(admin: Admin, redis: Redis) -> None:
    warm(admin)

    assert round_trips(redis, admin.open_sidebar) == 1


def test_a_first_opening_costs_one_round_trip_and_holds_nothing(admin: Admin, redis: Redis) -> None:
    # The process has the app's key and a connection.
    admin.open_sidebar("acme", 101)
    redis.delete("zis:{acme}:role:101")

    assert round_trips(redis, lambda: admin.open_sidebar("acme", 101)) == 1
    assert opened(admin) == (None, None)


def test_an_agent_gets_the_list_and_no_rights(admin: Admin) -> None:
    warm(admin, 102)
    status, listed = opened(admin, 102)

    assert (status["user"]["role"], status["user"]["can_manage"]) == ("agent", False)
    assert listed == admin.job_specs()


def test_a_role_that_was_asked_long_ago_opens_nothing(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    warm(admin)
    monkeypatch.setattr("service.people.role.RECENT_SECONDS", -1)

    assert opened(admin) == (None, None)


@pytest.mark.parametrize("user_id", [103, 104, 999], ids=["end user", "suspended", "nobody"])
def test_who_may_not_look_gets_neither(admin: Admin, user_id: int) -> None:
    warm(admin)
    admin.open_sidebar("acme", user_id)
    assert admin.call("GET", "/job_specs").status_code == 403

    assert opened(admin, user_id) == (None, None)


def test_a_person_whom_zendesk_does_not_name_gets_neither(admin: Admin) -> None:
    warm(admin)
    documents = admin.open_sidebar("acme", 101, claims={"sub": "somebody"})

    assert (documents["status"], documents["list"]) == (None, None)
    assert admin.status()["user"]["reason"] == "user_unknown"


def test_somebody_suspended_since_gets_neither_once_that_is_known(admin: Admin, redis: Redis) -> None:
    warm(admin, 102)
    assert opened(admin, 102)[1] is not None
    with admin.simulator.world.lock:
        admin.simulator.world.account("acme").users[102].suspended = True
    redis.delete("zis:{acme}:role:102")
    admin.status()

    assert opened(admin, 102) == (None, None)


def test_a_role_of_another_account_counts_for_nothing(admin: Admin, redis: Redis) -> None:
    """Whoever can write to Redis might move one."""
    warm(admin)
    sealed = redis.get("zis:{acme}:role:101")
    assert sealed is not None
    redis.set("zis:{globex}:role:101", sealed)

    assert opened(admin, 101, "globex") == (None, None)


def test_a_disconnected_account_shows_no_list(admin: Admin) -> None:
    warm(admin)
    assert admin.disconnect().status_code == 200
    status, listed = opened(admin)

    assert status == admin.status()
    assert (status["connection"]["state"], listed) == ("not_connected", None)


def test_a_list_of_an_earlier_connection_is_not_shown(admin: Admin) -> None:
    warm(admin)
    collaborator(admin.app, Grants).delete(ACME)
    admin.connect("acme")
    status, listed = opened(admin)

    assert (status["connection"]["state"], listed) == ("connected", None)


def test_a_dead_grant_shows_no_list(admin: Admin) -> None:
    warm(admin)
    grants = collaborator(admin.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    assert grants.update(ACME, grant, grant.changed(dead="grant_revoked"))
    status, listed = opened(admin)

    assert (status["connection"]["reason"], listed) == ("grant_revoked", None)
    assert status == admin.status()


# --- lists that are not young ---


@pytest.mark.parametrize(("seconds", "is_shown"), [(20, True), (590, True), (601, False)])
def test_a_list_of_up_to_ten_minutes_is_shown_as_stale(
    make_admin: MakeAdmin, redis: Redis, seconds: int, is_shown: bool
) -> None:
    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    warm(person)
    before = person.job_specs()
    age_list(redis, seconds)
    person.simulator.world.clear_calls()
    _, listed = opened(person)

    assert person.calls() == []
    if not is_shown:
        assert listed is None
        return
    assert listed["job_specs"] == before["job_specs"]
    (part,) = listed["integrations"]
    assert (part["name"], part["stale"], part["error"]) == ("acme_orders", True, None)
    assert part["fetched_at"] < before["integrations"][0]["fetched_at"]


def test_a_list_from_before_a_change_is_stale(admin: Admin, redis: Redis) -> None:
    warm(admin)
    redis.hset(LIST, "floor", str(int(redis.hget(LIST, "asked_at") or 0) + 1))
    _, listed = opened(admin)

    assert {part["name"]: part["stale"] for part in listed["integrations"]} == {
        "acme_archive": False,
        "acme_orders": True,
        "acme_shipping": False,
    }


def test_an_integration_of_which_nothing_is_kept_is_named_without_rows(admin: Admin, redis: Redis) -> None:
    warm(admin)
    redis.delete(LIST)
    _, listed = opened(admin)
    parts = {part["name"]: part for part in listed["integrations"]}

    assert parts["acme_orders"] == {"name": "acme_orders", "fetched_at": None, "stale": True, "error": None}
    assert {row["integration"] for row in listed["job_specs"]} == {"acme_archive", "acme_shipping"}


def test_a_failure_that_is_remembered_is_told_with_the_stale_list(make_admin: MakeAdmin, redis: Redis) -> None:
    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    warm(person)
    age_list(redis, 20)
    person.meets({"where": "list", "kind": "http_429", "retry_after": 9})
    told = person.job_specs()
    assert told["integrations"][0]["error"]["code"] == "rate_limited"
    _, listed = opened(person)

    assert listed == told


def test_nothing_is_kept_for_a_page_where_nothing_is_kept_at_all(make_admin: MakeAdmin) -> None:
    person = make_admin(LIST_CACHE_SECONDS="0")
    person.connect("acme")
    warm(person)
    status, listed = opened(person)

    assert (status, listed) == (person.status(), None)


# --- Redis ---


def test_the_page_opens_without_redis_and_asks_it_no_further_for_a_while(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm(admin)
    # Two seconds may be over before the page is opened again.
    monkeypatch.setattr(at_hand, "AWAY_SECONDS", 60.0)
    asked: list[int] = []

    def broken(*_: object) -> None:
        asked.append(1)
        raise RedisConnectionError("away")

    with monkeypatch.context() as away:
        away.setattr("service.store.shared_reads.SharedReads.replies", broken)
        assert opened(admin) == (None, None)
        assert opened(admin) == (None, None)
        # Not repeated, and not asked by the second one.
        assert len(asked) == 1
    later = collaborator(admin.app, AtHand)
    monkeypatch.setattr(later, "_clock", lambda: later._away_until + at_hand.AWAY_SECONDS)
    assert opened(admin)[0] is not None


# --- the script element ---


def test_names_that_could_end_the_script_element_are_escaped() -> None:
    hostile = "</script><!--<script>&\u2028\u2029"
    kept = json.dumps({"job_specs": [{"name": hostile}]}, ensure_ascii=False).encode()
    written = for_script(kept)

    assert not any(character in written.decode() for character in "<>&\u2028\u2029")
    assert json.loads(written)["job_specs"][0]["name"] == hostile


def test_what_is_written_into_a_kept_list_replaces_no_member() -> None:
    planted = b'{"job_specs":[]},"session_token":"planted","api_base":"https://evil.example","x":{"job_specs":[]}'
    members = {"status": None, "session_token": "ours", "api_base": "/api/v1"}

    assert json.loads(bootstrap(members, planted)) == {**members, "list": {"job_specs": []}, "x": {"job_specs": []}}


def test_a_page_is_as_it_was_but_for_its_data(admin: Admin, simulator: Simulator) -> None:
    warm(admin)
    page = admin.post_sidebar(simulator.sign("acme", 101))

    assert page.content_type == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.text.count("<script") == 2
    assert bootstrap_in(page.text)["list"] == admin.job_specs()
