"""A failure that is remembered, or told to several threads, is a new exception object each time it is raised.

One object raised to everybody gathers the frames of each raise: unsigned posts filled 500 MB with it in 40 s.
"""

import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from redis.exceptions import RedisError

from sandbox.simulator import APP_ID
from service.grants.cool_down import CoolDown
from service.grants.grants import Grants
from service.ground.deadlines import Deadline
from service.ground.errors import Failure, ServiceError, ZendeskUnavailable
from service.ground.settings import SettingsError
from service.ground.single_flight import SingleFlight
from service.ground.subdomains import Subdomain
from service.job_specs.listing import Listing, ListRequest
from service.people.app_keys import AppKeys
from service.store.shared_reads import SharedReads
from service.store.store import Store
from service.web.request import refuse_services
from service.web.request import services as given
from service.zendesk.calls import ReplyLate
from tests.conftest import MakeAdmin, MakeApp
from tests.raw_server import soon
from tests.steps import Admin, collaborator, wait_until, waiters
from tests.workers import at_once

ACME = Subdomain("acme")
ORDERS = "acme_orders"
RAISES = 20


def raised(call: Callable[[], Any]) -> list[BaseException]:
    """Return what `call` raises, many times over."""
    found: list[BaseException] = []
    for _ in range(RAISES):
        try:
            call()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the test looks at it
            found.append(fault)
    return found


def frames(fault: BaseException) -> int:
    return len(traceback.extract_tb(fault.__traceback__))


def assert_each_is_new(faults: list[Any], count: int = RAISES) -> None:
    """No object twice, the same words each time, and a traceback that does not grow."""
    assert len({id(fault) for fault in faults}) == len(faults) == count
    assert len({(type(fault), str(fault)) for fault in faults}) == 1
    assert max(map(frames, faults[1:])) <= frames(faults[0]) + 2


def test_a_failure_is_kept_without_the_object_it_came_from() -> None:
    error = ReplyLate("No.", upstream_status=504, upstream_detail="words", retry_after=3, authorize_url="https://x")
    kept = Failure.of(error)
    made = kept.error()
    assert made is not error
    assert (type(made), vars(made)) == (ReplyLate, vars(error))
    assert (made.__cause__, made.__traceback__) == (None, None)


def test_an_app_key_that_cannot_be_fetched_is_told_anew_to_everybody(make_admin: MakeAdmin) -> None:
    person = make_admin()
    person.meets({"where": "public_key", "kind": "http_404"})
    keys = collaborator(person.app, AppKeys)
    assert_each_is_new(raised(lambda: keys.get(ACME, APP_ID, soon())))
    assert len(person.calls("public_key")) == 2


def test_everybody_who_shares_a_question_is_told_anew() -> None:
    single_flight: SingleFlight[int] = SingleFlight()

    def ask() -> int:
        wait_until(lambda: waiters(single_flight._flights[ACME, "it"].done) == RAISES - 1)
        raise ZendeskUnavailable("No.")

    assert_each_is_new(at_once(RAISES, lambda _: single_flight.join(ACME, "it", soon(), ask)))


def test_everybody_who_shares_a_round_trip_is_told_anew(redis: Redis, redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        reads = SharedReads(client)
        leader = threading.Thread(target=lambda: at_once(1, lambda _: reads.replies((("BLPOP", "gate", 0),))))
        leader.start()
        wait_until(lambda: redis.info("clients")["blocked_clients"] == 1)
        faults: list[Any] = []
        others = threading.Thread(target=lambda: faults.extend(at_once(5, lambda _: reads.replies((("BAD",),)))))
        others.start()
        wait_until(lambda: len(reads._waiting) == 5)
        # The five go together, over a connection that breaks at once.
        client.connection_pool.connection_kwargs["port"] = 1
        client.connection_pool.reset()
        redis.client_kill_filter(_type="normal", skipme=True)
        leader.join()
        others.join()
    assert all(isinstance(fault, RedisError) for fault in faults)
    assert len({id(fault) for fault in faults}) == 5


def test_a_remembered_list_failure_is_told_anew(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "http_500_text"})
    listing, grants = collaborator(admin.app, Listing), collaborator(admin.app, Grants)
    grant = grants.get(ACME)
    assert grant is not None
    faults: list[ServiceError] = []

    def ask(_: int) -> None:
        now, kept = listing.look(ACME, [ORDERS], grant.id)
        error = listing.answer(ListRequest(ACME, ORDERS, grant.id, None, Deadline.after(20)), kept[0], now).error
        assert error is not None
        faults.append(error)

    at_once(RAISES, ask)
    assert_each_is_new(faults)


@pytest.mark.usefixtures("long_waits")
def test_a_wait_before_the_next_refresh_is_told_anew(make_app: MakeApp) -> None:
    cool_down = CoolDown(collaborator(make_app(), Store))
    failure = ZendeskUnavailable("No.", upstream_status=503)
    cool_down.begin(ACME, failure)
    found = [cool_down.current(ACME, "token") for _ in range(RAISES)]
    assert len({id(one) for one in found}) == RAISES
    assert failure not in found


def test_faulty_settings_are_told_anew_to_every_command() -> None:
    app = Flask("faulty")
    refuse_services(app, SettingsError(["PUBLIC_URL is missing"]))
    with app.app_context():
        faults = raised(lambda: given().store)
    assert_each_is_new(faults)
    assert "PUBLIC_URL is missing" in faults[0].format_message()  # type: ignore[attr-defined]  # click's


def test_posts_that_nobody_signed_leave_nothing_in_memory(make_admin: MakeAdmin) -> None:
    """As it was found: each refused request added its frames to the one error that was kept."""
    person = make_admin(RATE_LIMITS="off")
    person.meets({"where": "public_key", "kind": "http_404"})
    token = person.simulator.sign("acme", 101, wrong_key=True)
    for _ in range(60):
        assert person.post_sidebar(token).status_code == 502
    keys = collaborator(person.app, AppKeys)
    assert frames(raised(lambda: keys.get(ACME, APP_ID, soon()))[0]) < 5
