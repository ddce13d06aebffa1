"""A slow account holds at most a quarter of the threads; nobody else notices it."""

import threading
from collections.abc import Iterator

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from service.errors import ZendeskTimeout
from service.subdomains import Subdomain
from service.zendesk.bulkhead import SLOW_AFTER_SECONDS, Bulkhead
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, Admin, collaborator, wait_until

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")


class Waiter:
    """A thread that waits for acme until it is told to leave, or is let go."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.inside, self.leave, self.left = threading.Event(), threading.Event(), threading.Event()
        self.was_let_go = False
        self._bulkhead = bulkhead
        threading.Thread(target=self._run, daemon=True).start()
        self.inside.wait()

    def _run(self) -> None:
        try:
            with self._bulkhead.holding(ACME):
                self.inside.set()
                while not self.leave.wait(0.005):
                    self._bulkhead.check(ACME)
        except ZendeskTimeout:
            self.was_let_go = True
        self.inside.set()
        self.left.set()


def make_slow(bulkhead: Bulkhead, account: Subdomain = ACME) -> None:
    """Let the account's open calls have begun longer ago."""
    calls = bulkhead._accounts[account].calls
    assert calls
    for number in calls:
        calls[number] -= SLOW_AFTER_SECONDS + 1


@pytest.fixture
def bulkhead() -> Bulkhead:
    """Of a process with eight threads: a quarter is two."""
    return Bulkhead(threads=8)


@pytest.fixture
def waiters(bulkhead: Bulkhead) -> Iterator[list[Waiter]]:
    """Five threads that wait."""
    made = [Waiter(bulkhead) for _ in range(5)]
    yield made
    for waiter in made:
        waiter.leave.set()
        waiter.left.wait()


def test_a_quick_account_may_hold_every_thread(bulkhead: Bulkhead, waiters: list[Waiter]) -> None:
    with bulkhead.calling(ACME), bulkhead.holding(ACME):
        bulkhead.check(ACME)
    assert not any(waiter.left.is_set() for waiter in waiters)


def test_a_slow_account_lets_go_all_but_a_quarter(bulkhead: Bulkhead, waiters: list[Waiter]) -> None:
    with bulkhead.calling(ACME):
        make_slow(bulkhead)
        wait_until(lambda: sum(waiter.left.is_set() for waiter in waiters) == 3)
        assert sum(waiter.was_let_go for waiter in waiters) == 3
        with pytest.raises(ZendeskTimeout) as refused, bulkhead.holding(ACME):
            pass
        assert refused.value.retry_after == 5
        with bulkhead.holding(GLOBEX):
            bulkhead.check(GLOBEX)


def test_an_account_that_was_given_up_stays_slow_until_a_quick_call(bulkhead: Bulkhead) -> None:
    with bulkhead.calling(ACME):
        make_slow(bulkhead)
    made = [Waiter(bulkhead) for _ in range(3)]
    assert [waiter.was_let_go for waiter in made] == [False, False, True]
    with bulkhead.calling(ACME):
        pass
    with bulkhead.holding(ACME):
        pass
    for waiter in made:
        waiter.leave.set()
        waiter.left.wait()
    assert bulkhead._accounts == {}


def test_entering_again_in_the_same_thread_is_free(bulkhead: Bulkhead) -> None:
    first = Waiter(bulkhead)
    with bulkhead.calling(ACME):
        make_slow(bulkhead)
        with bulkhead.holding(ACME), bulkhead.holding(ACME), bulkhead.holding(ACME):
            bulkhead.check(ACME)
        first.leave.set()
        first.left.wait()
    assert bulkhead._accounts[ACME].holders == 0


def test_every_thread_is_counted_out(bulkhead: Bulkhead, waiters: list[Waiter]) -> None:
    with bulkhead.calling(ACME):
        make_slow(bulkhead)
        wait_until(lambda: sum(waiter.left.is_set() for waiter in waiters) == 3)
    for waiter in waiters:
        waiter.leave.set()
        waiter.left.wait()
    assert bulkhead._accounts[ACME].holders == 0
    with bulkhead.calling(ACME):
        pass
    assert bulkhead._accounts == {}


@pytest.mark.parametrize(("threads", "quota"), [(1, 1), (4, 1), (100, 25)])
def test_a_quarter_is_at_least_one(threads: int, quota: int) -> None:
    bulkhead = Bulkhead()
    bulkhead.set_threads(threads)
    with bulkhead.calling(ACME):
        make_slow(bulkhead)
        made = [Waiter(bulkhead) for _ in range(quota + 1)]
    assert [waiter.was_let_go for waiter in made] == [False] * quota + [True]
    for waiter in made:
        waiter.leave.set()


# --- in one process, end to end ---


@pytest.fixture
def acme(make_admin: MakeAdmin) -> Iterator[Admin]:
    """Acme's admin; the service has eight threads."""
    person = make_admin(**ORDERS_ONLY)
    collaborator(person.app, Bulkhead).set_threads(8)
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

    def __init__(self, admin: Admin) -> None:
        self.reply: TestResponse | None = None
        headers = {"Authorization": f"Bearer {admin.session_token}"}

        def run() -> None:
            self.reply = admin.app.test_client().get("/api/v1/job_specs", headers=headers)

        self.thread = threading.Thread(target=run)
        self.thread.start()


@pytest.mark.parametrize("has_list", [True, False])
def test_a_hanging_account_delays_nobody_else(has_list: bool, acme: Admin, globex: Admin, redis: Redis) -> None:
    if has_list:
        acme.job_specs()
        redis.hincrby("zis:{acme}:list:acme_orders", "asked_at", -60_000_000)
    acme.meets({"where": "list", "kind": "hang"})
    callers = [Call(acme) for _ in range(6)]
    acme.simulator.world.wait_until_held(1)
    bulkhead = collaborator(acme.app, Bulkhead)
    wait_until(lambda: bulkhead._accounts[ACME].holders == 6)
    assert [caller.reply for caller in callers] == [None] * 6
    make_slow(bulkhead)
    wait_until(lambda: sum(caller.reply is not None for caller in callers) == 4)
    waiting = [caller for caller in callers if caller.reply is None]
    late = acme.call("GET", "/job_specs")
    assert acme.simulator.world.calls(account="acme", path_contains="/registry/")[-1].status is None
    for reply in [late, *[caller.reply for caller in callers if caller.reply is not None]]:
        if has_list:
            part = reply.get_json()["integrations"][0]
            assert (part["stale"], part["error"]["code"], part["error"]["retry_after"]) == (True, "zendesk_timeout", 5)
        else:
            assert (reply.status_code, reply.get_json()["code"]) == (504, "zendesk_timeout")
            assert reply.headers["Retry-After"] == "5"
    assert len(globex.list_fresh().get_json()["job_specs"]) == 5
    assert globex.browser.get("/livez").status_code == 200
    acme.meets()
    for caller in callers:
        caller.thread.join()
    # Those who may wait get the list once the account answers again.
    answers = [caller.reply.get_json() for caller in waiting if caller.reply is not None]
    assert [answer["integrations"][0]["error"] for answer in answers] == [None, None]
