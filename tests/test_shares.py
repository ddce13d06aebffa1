"""Places that nobody takes all of."""

import pytest

from service.ground.shares import Shares


def taken_by_turns(shares: Shares, *holders: str) -> list[int]:
    """Return how many places each has once none of them gets another."""
    held = dict.fromkeys(holders, 0)
    while True:
        got = [holder for holder in holders if shares.take(holder)]
        if not got:
            return list(held.values())
        for holder in got:
            held[holder] += 1


@pytest.mark.parametrize(
    ("size", "holders", "shares"),
    [(12, "a", [6]), (12, "ab", [4, 4]), (12, "abc", [3, 3, 3]), (1, "a", [1]), (0, "a", [0]), (3, "ab", [1, 1])],
)
def test_the_greediest_hold_as_many_as_they_leave_free(size: int, holders: str, shares: list[int]) -> None:
    assert taken_by_turns(Shares(size), *holders) == shares


def test_however_much_is_taken_a_newcomer_gets_a_place() -> None:
    shares = Shares(12)
    taken_by_turns(shares, *"abc")
    assert shares.take("d")


def test_a_place_counts_for_each_of_its_holders() -> None:
    shares = Shares(4)
    assert [shares.take("a", "b") for _ in range(3)] == [True, True, False]
    assert shares.take("c")
    assert not shares.take("c", "a")


def test_what_is_given_back_can_be_taken_again() -> None:
    shares = Shares(2)
    for _ in range(5):
        assert shares.take("a")
        assert not shares.take("a")
        shares.give_back("a")
    assert shares.taken == 0
