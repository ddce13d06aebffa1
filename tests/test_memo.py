"""What is remembered is made once, forgotten oldest first, and never a failure."""

import pytest

from service.ground.memo import Memo


class Maker:
    """Makes a new object each time, and counts."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> object:
        self.made += 1
        return object()


def test_the_same_key_gives_the_same_value() -> None:
    memo: Memo[str, object] = Memo(2)
    make = Maker()
    assert memo.get("a", make) is memo.get("a", make)
    assert make.made == 1


def test_the_oldest_is_forgotten_first() -> None:
    memo: Memo[str, object] = Memo(2)
    make = Maker()
    for key in ("a", "b", "c", "b", "c"):
        memo.get(key, make)
    assert make.made == 3
    memo.get("a", make)
    assert make.made == 4


def test_a_failure_is_not_remembered() -> None:
    memo: Memo[str, object] = Memo(2)

    def fail() -> object:
        raise KeyError("a")

    with pytest.raises(KeyError):
        memo.get("a", fail)
    assert memo.get("a", Maker()) is not None
