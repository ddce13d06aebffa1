"""The list of mutants fits the code as it is."""

import pytest

from tests.mutants.mutant import ROOT, Mutant, Stale, listed


@pytest.mark.parametrize("mutant", listed(), ids=lambda mutant: mutant.name)
def test_a_mutant_says_what_it_replaces(mutant: Mutant) -> None:
    assert mutant.applied_to((ROOT / mutant.file).read_text()) != (ROOT / mutant.file).read_text()
    for test in mutant.tests:
        place, _, name = test.partition("::")
        assert (ROOT / place).exists(), test
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / place).read_text(), test


def test_names_are_unique() -> None:
    names = [mutant.name for mutant in listed()]
    assert len(set(names)) == len(names)


def test_a_mutant_whose_place_has_changed_is_stale() -> None:
    mutant = Mutant("a", "file.py", "x = 1", "x = 2", ())
    assert mutant.applied_to("x = 1\ny = 1\n") == "x = 2\ny = 1\n"
    for source in ("x = 3\n", "x = 1\nx = 1\n"):
        with pytest.raises(Stale):
            mutant.applied_to(source)
