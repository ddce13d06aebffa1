"""Waiting for one account leaves threads for all others, however long or short it takes."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from service.ground.executor import Executor
from service.ground.subdomains import Subdomain
from service.zendesk.bulkhead import Bulkhead, Busy
from service.zendesk.calls import LISTS_AT_ONCE
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, Admin, collaborator, wait_until

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
# Six of them may wait, and for one account three.
THREADS = 8


@pytest.fixture
def bulkhead() -> Bulkhead:
    return Bulkhead(THREADS)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


class Waiters:
    """Threads that hold places until they are told to leave."""

    def __init__(self, bulkhead: Bulkhead, gate: threading.Event) -> None:
        self.bulkhead = bulkhead
        self.gate = gate
        self.threads: list[threading.Thread] = []

    def wait_for(self, account: Subdomain, count: int) -> None:
        """Begin `count` waits, each of which gets a place."""
        for _ in range(count):
            taken = self.bulkhead.places.taken
            self.threads.append(threading.Thread(target=self._wait, args=(account,)))
            self.threads[-1].start()
            wait_until(lambda taken=taken: self.bulkhead.places.taken == taken + 1)  # type: ignore[misc]  # bound per turn

    def _wait(self, account: Subdomain) -> None:
        with self.bulkhead.holding(account):
            self.gate.wait(20)

    def leave(self) -> None:
        self.gate.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def waiters(bulkhead: Bulkhead, gate: threading.Event) -> Waiters:
    return Waiters(bulkhead, gate)


def test_an_account_waits_with_as_many_threads_as_it_leaves_free(bulkhead: Bulkhead, waiters: Waiters) -> None:
    waiters.wait_for(ACME, 3)
    with pytest.raises(Busy) as refused, bulkhead.holding(ACME):
        pass
    assert (refused.value.status, refused.value.code, refused.value.retry_after) == (429, "rate_limited", 1)
    waiters.wait_for(GLOBEX, 1)
    waiters.leave()
    assert bulkhead.places.taken == 0
    with bulkhead.holding(ACME):
        assert bulkhead.places.taken == 1


@pytest.mark.parametrize(("threads", "places"), [(128, 112), (16, 14), (8, 6), (1, 1)])
def test_nobody_waits_with_the_last_threads(threads: int, places: int) -> None:
    assert Bulkhead(threads).places.size == places


def test_a_request_needs_one_place_whatever_it_waits_for(bulkhead: Bulkhead) -> None:
    with bulkhead.holding(ACME), bulkhead.holding(ACME), bulkhead.unproven("an address"):
        assert (bulkhead.places.taken, bulkhead.unproven_places.taken) == (1, 0)
        # What is done for it beside it is done under the same place.
        future = Executor().begin(ACME, "work", lambda: _taken_within(bulkhead))
        assert future is not None
        assert future.result(10) == 1
    assert bulkhead.places.taken == 0


def _taken_within(bulkhead: Bulkhead) -> int:
    with bulkhead.holding(ACME):
        return bulkhead.places.taken


@pytest.mark.parametrize(("threads", "places"), [(256, 32), (128, 32), (8, 2), (1, 1)])
def test_those_who_have_proven_nothing_have_a_small_share(threads: int, places: int) -> None:
    assert Bulkhead(threads).unproven_places.size == places


def test_those_who_have_proven_nothing_take_no_place_of_the_others(gate: threading.Event) -> None:
    bulkhead = Bulkhead(32)

    def wait(number: int) -> None:
        with bulkhead.unproven(f"198.51.100.{number}"):
            gate.wait(20)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: bulkhead.unproven_places.taken == 8)
    with pytest.raises(Busy), bulkhead.unproven("198.51.100.99"):
        pass
    # Nothing is left of what was refused.
    assert bulkhead.places.taken == 8
    with ExitStack() as stack:
        stack.enter_context(bulkhead.holding(ACME))
    gate.set()
    for thread in threads:
        thread.join()
    assert (bulkhead.places.taken, bulkhead.unproven_places.taken) == (0, 0)


# --- in one process, end to end ---


@pytest.fixture
def acme(make_admin: MakeAdmin) -> Iterator[Admin]:
    """Acme's admin; the service has eight threads."""
    person = make_admin(**ORDERS_ONLY)
    collaborator(person.app, Bulkhead).set_threads(THREADS)
    person.connect("acme")
    person.status()
    yield person
    person.meets()


@pytest.fixture
def globex(acme: Admin, make_admin: MakeAdmin) -> Admin:
    person = make_admin(app=acme.app)
    person.connect("globex")
    return person


class Call:
    """A request in a thread of its own."""

    def __init__(self, admin: Admin, path: str = "/job_specs") -> None:
        self.reply: TestResponse | None = None
        headers = {"Authorization": f"Bearer {admin.session_token}"}

        def run() -> None:
            self.reply = admin.app.test_client().get(f"/api/v1{path}", headers=headers)

        self.thread = threading.Thread(target=run)
        self.thread.start()


@pytest.mark.parametrize("has_list", [True, False])
def test_a_hanging_account_delays_nobody_else(has_list: bool, acme: Admin, globex: Admin, redis: Redis) -> None:
    if has_list:
        acme.job_specs()
        redis.hincrby("zis:{acme}:list:acme_orders", "asked_at", -60_000_000)
    acme.meets({"where": "list", "kind": "hang"})
    callers = [Call(acme) for _ in range(3)]
    acme.simulator.world.wait_until_held(1)
    places = collaborator(acme.app, Bulkhead).places
    wait_until(lambda: places.taken == 3)
    late = acme.call("GET", "/job_specs")
    if has_list:
        part = late.get_json()["integrations"][0]
        assert (part["stale"], part["error"]["code"], part["error"]["retry_after"]) == (True, "rate_limited", 1)
    else:
        assert (late.status_code, late.get_json()["code"]) == (429, "rate_limited")
        assert late.headers["Retry-After"] == "1"
    changed = acme.install("escalate_vip_order")
    assert (changed.status_code, acme.changes_sent()) == (429, [])
    assert acme.disconnect().status_code == 429
    # What is at hand is served without waiting, and whoever waits for another account does.
    assert acme.status()["user"]["role"] == "admin"
    assert len(globex.list_fresh().get_json()["job_specs"]) == 5
    assert globex.browser.get("/livez").status_code == 200
    assert [caller.reply for caller in callers] == [None] * 3
    acme.meets()
    for caller in callers:
        caller.thread.join()
    # Those who had a place get the list once the account answers again.
    answers = [caller.reply.get_json() for caller in callers if caller.reply is not None]
    assert [answer["integrations"][0]["error"] for answer in answers] == [None] * 3
    assert places.taken == 0


def test_a_role_that_nobody_knows_is_not_passed_over_for_want_of_a_place(acme: Admin, make_admin: MakeAdmin) -> None:
    """An end user who keeps the account's places busy would otherwise be let in as a person of unknown role."""
    end_user = make_admin(app=acme.app)
    end_user.open_sidebar("acme", 103)
    acme.meets({"where": "list", "kind": "hang"})
    callers = [Call(acme) for _ in range(3)]
    wait_until(lambda: collaborator(acme.app, Bulkhead).places.taken == 3)
    for path in ("/job_specs", "/status", "/activity"):
        assert end_user.call("GET", path).status_code == 429
    # Of the admin it is known.
    assert acme.status()["user"]["role"] == "admin"
    acme.meets()
    for caller in callers:
        caller.thread.join()
    assert end_user.call("GET", "/job_specs").status_code == 403


def test_a_callback_that_finds_no_place_leaves_its_state_for_the_next_try(acme: Admin, globex: Admin) -> None:
    location = acme.simulator.consent(acme.authorize("acme"), 101)
    bulkhead = collaborator(acme.app, Bulkhead)
    assert bulkhead.unproven_places.take("another")
    assert bulkhead.unproven_places.take("a third")
    refused = acme.come_back(location)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert "rate_limited" in refused.text
    bulkhead.unproven_places.give_back("a third")
    assert acme.come_back(location).status_code == 200
    assert globex.status()["connection"]["state"] == "connected"


def test_a_question_for_a_role_does_not_wait_behind_lists(make_admin: MakeAdmin) -> None:
    person = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0")
    person.connect("acme")
    person.status()
    agent = make_admin(app=person.app)
    agent.open_sidebar("acme", 102)
    person.meets({"where": "list", "kind": "hang"})
    person.simulator.world.clear_calls()
    callers = [Call(person) for _ in range(LISTS_AT_ONCE + 2)]
    places = collaborator(person.app, Bulkhead).places
    wait_until(lambda: places.taken == len(callers))
    person.simulator.world.wait_until_held(LISTS_AT_ONCE)
    assert agent.status()["user"]["role"] == "agent"
    assert person.lists_asked() == LISTS_AT_ONCE
    person.meets()
    for caller in callers:
        caller.thread.join()
