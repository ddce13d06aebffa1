"""One question for all threads that ask the same at the same time."""

import threading

import pytest

from service.ground.deadlines import Deadline
from service.ground.errors import ServiceError, ZendeskTimeout, ZendeskUnavailable
from service.ground.executor import Executor
from service.ground.single_flight import SingleFlight
from service.ground.subdomains import Subdomain
from tests.raw_server import soon
from tests.steps import wait_until, waiters
from tests.workers import at_once, meanwhile

ACME = Subdomain("acme")
CALLERS = 10


def answers(fails: bool) -> tuple[list[tuple[int, bool] | ServiceError], int]:
    """Return what ten callers get that ask while one question is under way, and how many were asked."""
    single_flight: SingleFlight[int] = SingleFlight()
    asked: list[int] = []

    def ask() -> int:
        asked.append(1)
        wait_until(lambda: waiters(single_flight._flights[ACME, "it"].done) == CALLERS - 1)
        if fails:
            raise ZendeskUnavailable("No.")
        return 7

    return at_once(CALLERS, lambda _: single_flight.join(ACME, "it", soon(), ask)), len(asked)


def test_everybody_who_waits_gets_the_one_answer() -> None:
    results, asked = answers(fails=False)
    assert sorted(results, key=str) == [(7, False)] * (CALLERS - 1) + [(7, True)]
    assert asked == 1


def test_everybody_who_waits_gets_the_one_failure() -> None:
    results, asked = answers(fails=True)
    assert {type(result) for result in results} == {ZendeskUnavailable}
    assert asked == 1


def test_nobody_waits_past_his_deadline() -> None:
    single_flight: SingleFlight[int] = SingleFlight()
    begun, over = threading.Event(), threading.Event()

    def ask() -> int:
        begun.set()
        over.wait()
        return 7

    with meanwhile(lambda: single_flight.join(ACME, "it", soon(), ask)) as led:
        begun.wait()
        with pytest.raises(ZendeskTimeout):
            single_flight.join(ACME, "it", Deadline.after(0.05), ask)
        assert single_flight.join(ACME, "another thing", soon(), lambda: 8) == (8, True)
        assert single_flight.join(Subdomain("globex"), "it", soon(), lambda: 9) == (9, True)
        over.set()
    assert led == [(7, True)]


def test_a_question_that_has_been_answered_is_asked_anew() -> None:
    single_flight: SingleFlight[int] = SingleFlight()
    assert single_flight.join(ACME, "it", soon(), lambda: 1) == (1, True)
    assert single_flight.join(ACME, "it", soon(), lambda: 2) == (2, True)


# --- asked beside whoever waits ---


def test_a_question_goes_on_when_the_one_who_began_it_has_lost_patience() -> None:
    single_flight: SingleFlight[int] = SingleFlight()
    executor, over = Executor(), threading.Event()

    def ask() -> int:
        over.wait(20)
        return 7

    with pytest.raises(ZendeskTimeout):
        single_flight.join(ACME, "it", soon(), ask, beside=executor, patience=0.01)
    with meanwhile(lambda: single_flight.join(ACME, "it", soon(), lambda: 8)) as joined:
        wait_until(lambda: waiters(single_flight._flights[ACME, "it"].done) == 1)
        over.set()
    assert joined == [(7, False)]


def test_where_no_thread_is_free_the_one_who_began_asks() -> None:
    single_flight: SingleFlight[int] = SingleFlight()
    asked_in = single_flight.join(ACME, "it", soon(), threading.get_ident, beside=Executor(0), patience=0.01)
    assert asked_in == (threading.get_ident(), True)
