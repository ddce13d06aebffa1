"""Medians with their spread."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """How far from the median the farthest value lies, as a share of it."""
        middle = self.median
        return max((abs(value - middle) for value in self.values), default=0.0) / middle if middle else 0.0

    def shown(self, digits: int = 0, unit: str = "") -> str:
        """Return the median with its spread, as `1,812 ±3 %`."""
        return f"{self.median:,.{digits}f}{unit} ±{self.spread:.0%}".replace("%", " %")


def figure(values: Sequence[float | None]) -> Figure | None:
    """Return what was measured; None: nothing was."""
    measured = tuple(value for value in values if value is not None)
    return Figure(measured) if measured else None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which so many in a hundred lie (nearest rank); 0 for no values."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * int(share) // 100) - 1)] if ranked else 0.0
