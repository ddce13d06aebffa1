"""Whether anything has become worse, by ratios within one run: times depend on the machine."""

from collections.abc import Iterable

from benchmarks.results import Measure


def regressions(measured: Iterable[Measure]) -> list[str]:
    """Return a sentence for each measure that is worse than what has to be held."""
    found = []
    for one in measured:
        if one.is_held is False:
            bound = "less than" if one.at_least else "more than"
            found.append(f"{one.name}: {one.shown(one.value)}, {bound} {one.shown(one.held)}")
    return found


def unmeasured(measured: Iterable[Measure]) -> list[str]:
    """Return the names of what has to be held and could not be measured here."""
    return [one.name for one in measured if one.held is not None and one.value is None]
