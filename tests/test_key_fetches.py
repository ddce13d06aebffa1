"""Who may make us fetch app keys, how many at once, and who waits: nobody takes the places of all."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from sandbox.simulator import public_key_pem
from service.ground.deadlines import Deadline
from service.ground.errors import ServiceError, ZendeskTimeout, ZendeskUnavailable
from service.people.key_fetches import FETCHES_AT_ONCE, KeyFetches
from service.zendesk.bulkhead import MOST_UNPROVEN, Bulkhead, Busy
from tests.steps import wait_until

FLOODER, OTHER = "198.51.100.7", "198.51.100.8"
KEY = RSAKey.import_key(public_key_pem())


class Flood:
    """Threads that ask for keys of accounts whose Zendesk says nothing until it is let go."""

    def __init__(self) -> None:
        self.bulkhead = Bulkhead()
        self.fetches = KeyFetches(self.bulkhead)
        self.asked: list[str] = []
        self.ends: list[RSAKey | ServiceError] = []
        self.gate = threading.Event()
        self.threads: list[threading.Thread] = []

    def join(self, account: str, asker: str | None, *, is_made_up: bool = False, seconds: float = 20) -> RSAKey:
        def ask() -> RSAKey:
            self.asked.append(account)
            self.gate.wait(20)
            return KEY

        return self.fetches.join(account, asker, Deadline.after(seconds), ask, is_made_up=is_made_up)

    def begin(self, account: str, asker: str | None, **how: Any) -> None:
        def run() -> None:
            try:
                self.ends.append(self.join(account, asker, **how))
            except ServiceError as error:
                self.ends.append(error)

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def settle(self, asked: int, ended: int = 0) -> None:
        """Return once so many ask, so many have been turned away, and all others wait."""
        seated = len(self.threads) - ended
        wait_until(lambda: len(self.asked) == asked and len(self.ends) == ended and self._seats() == seated)

    def _seats(self) -> int:
        return self.bulkhead.unproven_places.taken

    def end(self) -> None:
        self.gate.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def flood() -> Any:
    flood = Flood()
    yield flood
    flood.end()


def at_hand(flood: Flood, account: str, asker: str, *, is_made_up: bool = False) -> RSAKey:
    """Ask for a key that Zendesk gives at once."""
    return flood.fetches.join(account, asker, Deadline.after(20), lambda: KEY, is_made_up=is_made_up)


def test_one_address_takes_half_of_the_places(flood: Flood) -> None:
    for number in range(FETCHES_AT_ONCE):
        flood.begin(f"account{number}", FLOODER)
    flood.settle(asked=FETCHES_AT_ONCE // 2)

    assert at_hand(flood, "acme", OTHER) is KEY
    flood.end()
    assert flood.ends == [KEY] * FETCHES_AT_ONCE


def test_made_up_accounts_take_half_of_the_places_from_however_many_addresses(flood: Flood) -> None:
    for number in range(FETCHES_AT_ONCE):
        flood.begin(f"account{number}", f"198.51.100.{number}", is_made_up=True)
    flood.settle(asked=FETCHES_AT_ONCE // 2)

    assert at_hand(flood, "acme", OTHER) is KEY


@pytest.mark.parametrize(
    ("account", "asker"),
    [
        (lambda _: "acme", lambda number: f"198.51.100.{number}"),
        (lambda number: f"account{number}", lambda _: FLOODER),
    ],
    ids=["for one account", "by one address"],
)
def test_half_of_those_who_may_wait(flood: Flood, account: Callable[[int], str], asker: Callable[[int], str]) -> None:
    for number in range(MOST_UNPROVEN):
        flood.begin(account(number), asker(number))
    wait_until(lambda: len(flood.ends) == MOST_UNPROVEN // 2)

    assert {type(end) for end in flood.ends} == {Busy}
    assert at_hand(flood, "globex", OTHER) is KEY


def test_a_key_that_is_being_fetched_is_waited_for_and_takes_no_place(flood: Flood) -> None:
    flood.begin("acme", FLOODER)
    flood.settle(asked=1)
    for number in range(5):
        flood.begin("acme", f"198.51.100.{number}")
    flood.settle(asked=1)

    flood.end()
    assert flood.ends == [KEY] * 6


def test_who_waits_for_a_place_of_his_own_joins_whoever_begins_meanwhile(flood: Flood) -> None:
    for number in range(FETCHES_AT_ONCE // 2):
        flood.begin(f"account{number}", FLOODER)
    flood.begin("acme", FLOODER)
    flood.settle(asked=FETCHES_AT_ONCE // 2)

    assert at_hand(flood, "acme", OTHER) is KEY


def test_everybody_is_told_what_the_one_who_asks_meets(flood: Flood) -> None:
    def fail() -> RSAKey:
        wait_until(lambda: flood._seats() == 2)
        raise ZendeskUnavailable("No.", upstream_status=503)

    raised: list[ServiceError] = []

    def lead() -> None:
        with pytest.raises(ZendeskUnavailable) as failure:
            flood.fetches.join("acme", FLOODER, Deadline.after(20), fail, is_made_up=False)
        raised.append(failure.value)

    leader = threading.Thread(target=lead)
    leader.start()
    wait_until(lambda: flood.fetches.is_under_way("acme"))
    with pytest.raises(ZendeskUnavailable) as failure:
        flood.join("acme", OTHER)
    leader.join()
    assert failure.value is not raised[0]
    assert failure.value.members() == raised[0].members()
    assert not flood.fetches.is_under_way("acme")


def test_nobody_waits_longer_than_his_limit(flood: Flood) -> None:
    for number in range(FETCHES_AT_ONCE // 2):
        flood.begin(f"account{number}", FLOODER)
    flood.settle(asked=FETCHES_AT_ONCE // 2)

    with pytest.raises(ZendeskTimeout):
        flood.join("account0", OTHER, seconds=0.01)
    with pytest.raises(Busy):
        flood.join("acme", FLOODER, seconds=0.01)


@pytest.mark.parametrize("is_made_up", [False, True])
def test_whoever_was_served_or_turned_away_takes_nobodys_place(is_made_up: bool, flood: Flood) -> None:
    def fail() -> RSAKey:
        raise ZendeskUnavailable("Zendesk is away.")

    for _ in range(MOST_UNPROVEN + 1):
        assert at_hand(flood, "acme", OTHER, is_made_up=is_made_up) is KEY
        with pytest.raises(ZendeskUnavailable, match="is away"):
            flood.fetches.join("acme", OTHER, Deadline.after(20), fail, is_made_up=is_made_up)
