"""What the tables of faults are played with."""

import itertools

import pytest

from tests.faults.zendesk_stages import side_by_side


def test_a_test_that_is_tried_once_more_is_told_a_new_story(monkeypatch: pytest.MonkeyPatch) -> None:
    with side_by_side(next, {"one": itertools.count(1), "other": itertools.count(1)}, 2) as story_of:
        assert (story_of("one"), story_of("other")) == (1, 1)
        assert story_of("one") == 2
        monkeypatch.setenv("PYTEST_CURRENT_TEST", "another test")
        assert (story_of("one"), story_of("other")) == (2, 1)
