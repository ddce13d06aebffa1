"""No order of steps, crash or lost reply of two or three threads breaks what the token hand-out promises.

The real code is run with a real store, and Zendesk's truth at the transport; see `guarantees` for what is judged.
Of each scenario a sample of the schedules is run; FULL=1 in the environment runs every schedule within the bounds, in
minutes. TOKEN_MODEL_DEPTH=1 allows every search one interruption and one fault more, for hours;
TOKEN_MODEL_SCHEDULES is where each then stops.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.model.bench import Beginning
from tests.model.explorer import UNBOUNDED, Bounds
from tests.model.search import Cast, Search
from tests.searched import FULL

# Of each scenario, where they are not all run.
SAMPLE = 40
DEEPER = int(os.environ.get("TOKEN_MODEL_DEPTH", "0"))
MOST_SCHEDULES = int(os.environ.get("TOKEN_MODEL_SCHEDULES", UNBOUNDED))

pytestmark = [pytest.mark.faults, pytest.mark.model, *([pytest.mark.timeout(0)] if DEEPER else [])]

EXPIRED, STALE, FRESH, NONE = Beginning("expired"), Beginning("stale"), Beginning("fresh"), Beginning("none")
MINT = Beginning("fresh", mode="mint")
ORDERS = Bounds()
"""Every order of the steps; nothing fails."""
TWO_INTERRUPTIONS = Bounds(preemptions=2)
"""Every order in which at most twice a thread is interrupted that could have gone on; nothing fails."""
ONE_INTERRUPTION = Bounds(preemptions=1)
ONE_FAULT = Bounds(faults=1, preemptions=1)
"""At most one interruption, and at most one fault at any step; a crash and a sleep of everybody are among them."""
IN_A_ROW = Bounds(preemptions=0)
"""One thread after the other, in every order of their waits; nothing fails."""
ONE_FAULT_IN_A_ROW = Bounds(faults=1, preemptions=0)
"""One thread after the other, in every order, with at most one fault."""


TWO_FAULTS_IN_A_ROW = Bounds(faults=2, preemptions=0)
"""Likewise, with at most two: what could not be stored is in hand, and the lease ends meanwhile."""


@dataclass(frozen=True)
class Scenario:
    """Who acts, on what, and how far it is searched."""

    beginning: Beginning
    cast: Cast
    bounds: Bounds
    at_least: int
    """Schedules; far fewer than today's, so that a search that finds nothing to try is noticed."""


def together(*roles: str) -> Cast:
    """Return threads of one process."""
    return tuple((role, "P1") for role in roles)


def apart(*roles: str) -> Cast:
    """Return threads of a process each."""
    return tuple((role, f"P{number}") for number, role in enumerate(roles, start=1))


SCENARIOS = {
    # Two callers of an expired token refresh it once.
    "callers": Scenario(EXPIRED, apart("caller", "caller"), ORDERS, 200),
    "callers, a fault": Scenario(EXPIRED, apart("caller", "caller"), ONE_FAULT, 400),
    "callers of one process, a fault": Scenario(EXPIRED, together("caller", "caller"), ONE_FAULT, 200),
    "callers of one process, two faults": Scenario(EXPIRED, together("caller", "caller"), TWO_FAULTS_IN_A_ROW, 200),
    "callers of a stale token, a fault": Scenario(STALE, apart("caller", "caller"), ONE_FAULT_IN_A_ROW, 30),
    "three callers": Scenario(EXPIRED, (*together("caller", "caller"), ("caller", "P2")), ONE_INTERRUPTION, 60),
    "callers of a revoked grant": Scenario(
        Beginning("expired", is_revoked=True), apart("caller", "caller"), ONE_INTERRUPTION, 20
    ),
    # The registry refuses every token for a while.
    "a 401 that stays": Scenario(
        Beginning("fresh", refuses=True), apart("patient caller", "patient caller"), ONE_INTERRUPTION, 40
    ),
    "a 401 that stays, minted": Scenario(
        Beginning("fresh", mode="mint", minted=True, refuses=True),
        apart("patient caller", "patient caller"),
        IN_A_ROW,
        8,
    ),
    # The daily upkeep, and a rotation of the keys.
    "upkeep": Scenario(EXPIRED, apart("caller", "upkeep"), ORDERS, 200),
    "upkeep, a fault": Scenario(EXPIRED, apart("caller", "upkeep"), ONE_FAULT_IN_A_ROW, 30),
    "rotating keys, a fault": Scenario(EXPIRED, apart("caller", "rotation"), ONE_FAULT, 150),
    "rotating keys and reconnecting": Scenario(EXPIRED, apart("caller", "rotation", "reconnect"), ONE_INTERRUPTION, 60),
    # An account that is disconnected or connected anew meanwhile.
    "disconnecting": Scenario(EXPIRED, apart("caller", "disconnect"), TWO_INTERRUPTIONS, 100),
    "disconnecting, a fault": Scenario(EXPIRED, apart("caller", "disconnect"), ONE_FAULT_IN_A_ROW, 30),
    "disconnecting with a stale token": Scenario(STALE, apart("caller", "disconnect"), Bounds(preemptions=3), 400),
    "reconnecting": Scenario(EXPIRED, apart("caller", "reconnect"), TWO_INTERRUPTIONS, 100),
    "reconnecting, a fault": Scenario(EXPIRED, apart("caller", "reconnect"), ONE_FAULT, 400),
    "two reconnecting, a fault": Scenario(FRESH, apart("reconnect", "reconnect"), ONE_FAULT_IN_A_ROW, 30),
    "two connecting, a fault": Scenario(NONE, apart("reconnect", "reconnect"), ONE_FAULT_IN_A_ROW, 40),
    "disconnecting and reconnecting, a fault": Scenario(FRESH, apart("disconnect", "reconnect"), ONE_FAULT, 200),
    "all three": Scenario(EXPIRED, apart("caller", "disconnect", "reconnect"), ONE_INTERRUPTION, 60),
    "no key opens it": Scenario(
        Beginning("expired", key_is_lost=True), apart("disconnect", "reconnect"), TWO_INTERRUPTIONS, 50
    ),
    # A store that goes away for a while, with pairs in hand.
    "the store goes away": Scenario(
        Beginning("expired", fails_as="outages"), together("caller", "reconnect"), ONE_FAULT, 150
    ),
    # Minted tokens.
    "minting": Scenario(MINT, apart("caller", "caller"), ORDERS, 60),
    "minting and reconnecting": Scenario(MINT, apart("caller", "reconnect"), ONE_INTERRUPTION, 40),
    "minting anew, a fault": Scenario(
        Beginning("fresh", mode="mint", minted=True), apart("caller", "caller"), ONE_FAULT_IN_A_ROW, 30
    ),
    "minting and disconnecting, a fault": Scenario(MINT, apart("caller", "disconnect"), ONE_FAULT_IN_A_ROW, 30),
    "minting and reconnecting, a fault": Scenario(MINT, apart("caller", "reconnect"), ONE_FAULT_IN_A_ROW, 30),
    "reconnecting by minting, a fault": Scenario(
        Beginning("fresh", mode="mint", reads_users=False), apart("caller", "reconnect"), ONE_FAULT_IN_A_ROW, 30
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_schedule_breaks_a_guarantee(
    name: str, search: Search, record_property: Callable[[str, object], None]
) -> None:
    scenario = SCENARIOS[name]
    bounds = scenario.bounds.deeper(DEEPER, MOST_SCHEDULES) if FULL or DEEPER else scenario.bounds.sampled(SAMPLE)
    explored = search(scenario.beginning, scenario.cast, bounds)
    record_property("schedules", explored.schedules)
    assert explored.violation is None, str(explored)
    if bounds.is_sample:
        assert explored.schedules == SAMPLE
        return
    assert explored.is_complete or MOST_SCHEDULES != UNBOUNDED
    assert explored.schedules >= min(scenario.at_least, MOST_SCHEDULES)
