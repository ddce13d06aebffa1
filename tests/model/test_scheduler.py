"""The scheduler itself: it tries every order, finds what only one of them shows, and comes to an end."""

import threading
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import count
from math import comb

import pytest

from tests.model.explorer import Bounds, Diverged, Explored, Explorer
from tests.model.scheduler import Schedule
from tests.model.steps import CRASH, Decide, Event, Step, Violation

_NEVER_THE_SAME = count()

Body = Callable[["Counter"], None]


class Counter:
    """A number that threads read and write, one step each; the smallest thing a race can break."""

    def __init__(self, decide: Decide, *bodies: Body, tells_states: bool = True) -> None:
        self.schedule = Schedule(decide, self)
        self.number = 0
        self.is_locked = False
        self.has_passed = False
        self.crashed: list[str] = []
        self._tells_states = tells_states
        for index, body in enumerate(bodies, start=1):
            self.schedule.spawn(f"T{index}", f"P{index}", partial(body, self))

    def read(self) -> int:
        self.schedule.at(Step("reads"))
        self.schedule.happened(f"reads {self.number}", self.number, changes=False)
        return self.number

    def write(self, number: int) -> None:
        self.schedule.at(Step("writes", (CRASH,)))
        self.number = number
        self.schedule.happened(f"writes {number}", changes=True)

    def lock(self) -> None:
        self.schedule.at(Step("locks", is_enabled=lambda: not self.is_locked))
        self.is_locked = True
        self.schedule.happened("locks", changes=False)

    def unlock(self) -> None:
        self.is_locked = False

    def state(self) -> Hashable:
        if not self._tells_states:
            # Never the same twice: nothing is cut short.
            return next(_NEVER_THE_SAME)
        return (self.number, self.is_locked, self.has_passed, tuple(self.crashed))

    def moment(self) -> Hashable:
        return self.has_passed

    def events(self) -> Sequence[Event]:
        return []

    def end_of_waiting(self) -> Event | None:
        if self.has_passed:
            return None

        def let_pass() -> None:
            self.has_passed = True

        return Event("time passes", let_pass)

    def crash(self, process: str) -> None:
        self.crashed.append(process)

    def check(self) -> None:
        pass


def count_up(counter: Counter) -> None:
    counter.write(counter.read() + 1)


def count_up_locked(counter: Counter) -> None:
    counter.lock()
    count_up(counter)
    counter.unlock()


def wait_for_one(counter: Counter) -> None:
    while counter.read() < 1:
        counter.schedule.nap("waiting")


def explore(
    *bodies: Body, bounds: Bounds | None = None, least: int | None = None, tells_states: bool = True
) -> Explored:
    def run(decide: Decide) -> Schedule:
        counter = Counter(decide, *bodies, tells_states=tells_states)
        counter.schedule.run()
        if least is not None and not counter.schedule.was_cut and counter.number < least - len(counter.crashed):
            counter.schedule.violation = Violation(f"the number is {counter.number}")
        return counter.schedule

    return Explorer(bounds or Bounds()).explore(run)


def test_every_order_of_the_steps_is_run_once() -> None:
    explored = explore(count_up, count_up, tells_states=False)
    assert explored.is_complete
    assert explored.schedules == comb(4, 2)


def test_what_comes_to_a_known_state_is_not_run_to_its_end() -> None:
    everything = explore(count_up, count_up, count_up, tells_states=False)
    explored = explore(count_up, count_up, count_up)
    assert explored.is_complete
    assert everything.schedules == 90  # 6! / 2!³
    assert explored.schedules < everything.schedules


def test_an_update_that_is_lost_is_found_and_told() -> None:
    explored = explore(count_up, count_up, least=2)
    assert str(explored.violation) == "the number is 1"
    assert explored.trace == [
        "T1: reads 0", "T2: reads 0", "T2: writes 1", "T2: ends with success", "T1: writes 1", "T1: ends with success",
    ]  # fmt: skip


def test_without_an_interruption_it_is_not_found() -> None:
    explored = explore(count_up, count_up, least=2, bounds=Bounds(preemptions=0))
    assert explored.violation is None
    assert explored.schedules == 2


def test_a_lock_makes_it_right() -> None:
    explored = explore(count_up_locked, count_up_locked, least=2)
    assert explored.violation is None
    assert explored.is_complete


def test_a_thread_that_keeps_its_lock_is_found() -> None:
    def forget_to_unlock(counter: Counter) -> None:
        counter.lock()

    explored = explore(forget_to_unlock, count_up_locked)
    assert str(explored.violation) == "all wait for one another"


def test_a_crash_is_tried_at_every_write_and_takes_its_process_along() -> None:
    explored = explore(count_up_locked, count_up, bounds=Bounds(faults=1, preemptions=0))
    # The lock of the crashed thread is not given back, and nobody needs it.
    assert explored.violation is None
    assert explored.schedules == 6


def test_a_thread_that_waits_goes_on_once_something_has_changed() -> None:
    explored = explore(wait_for_one, count_up)
    assert explored.violation is None
    assert explored.is_complete


def test_a_thread_that_waits_for_nothing_is_found() -> None:
    explored = explore(wait_for_one)
    assert str(explored.violation) == "all wait for one another"


def test_a_thread_that_another_starts_is_under_control_as_well() -> None:
    def start_another(counter: Counter) -> None:
        thread = threading.Thread(target=lambda: count_up(counter), name="child")
        counter.schedule.adopt(thread)
        thread.start()
        count_up(counter)

    explored = explore(start_another, least=2)
    assert str(explored.violation) == "the number is 1"
    assert "child of P1: writes 1" in explored.trace


def test_an_unforeseen_error_is_an_outcome() -> None:
    def fail(counter: Counter) -> None:
        counter.read()
        raise KeyError("unforeseen")

    def run(decide: Decide) -> Schedule:
        counter = Counter(decide, fail)
        counter.schedule.run()
        return counter.schedule

    schedule = run(lambda options, _: options[0])
    assert isinstance(schedule.actors[0].outcome, KeyError)


def test_a_search_ends_at_its_bound_and_says_so() -> None:
    explored = explore(count_up, count_up, count_up, bounds=Bounds(schedules=3), tells_states=False)
    assert (explored.schedules, explored.is_complete) == (3, False)


def test_what_is_not_under_control_is_noticed() -> None:
    times = count()

    def behave_differently(counter: Counter) -> None:
        if next(times) == 1:
            counter.read()
        else:
            counter.write(1)

    with pytest.raises(Diverged):
        explore(behave_differently, count_up)


def test_a_sample_is_drawn_from_all_over_the_schedules_and_is_the_same_each_time() -> None:
    orders: list[list[str]] = []

    def run(decide: Decide) -> Schedule:
        counter = Counter(decide, count_up, count_up)
        schedule = counter.schedule
        schedule.run()
        orders.append(schedule.trace)
        return schedule

    bounds = Bounds(faults=1).sampled(50)
    assert Explorer(bounds).explore(run).schedules == 50
    first = list(orders)
    orders.clear()
    Explorer(bounds).explore(run)
    assert orders == first
    assert len({tuple(trace) for trace in first}) >= 5
