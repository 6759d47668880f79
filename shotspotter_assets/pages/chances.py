"""Probabilities in words: "1 in 20"."""

from dataclasses import dataclass
from typing import Final

MIN_IN_TEN: Final = 0.35
"""Above it, a chance is told as so many in ten."""

ONE_IN: Final = (3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 300, 500, 1000)
"""The numbers that chances are told with: closer ones would promise more than is known."""


@dataclass(frozen=True)
class ChanceClass:
    """One class of the legend of a map."""

    at_least: float
    """Probability from which on a cell belongs to it."""
    words: str


CHANCE_CLASSES: Final = (
    ChanceClass(0.0, "less than 1 in 200"),
    ChanceClass(1 / 200, "1 in 200"),
    ChanceClass(1 / 100, "1 in 100"),
    ChanceClass(1 / 50, "1 in 50"),
    ChanceClass(1 / 20, "1 in 20"),
    ChanceClass(1 / 10, "1 in 10"),
    ChanceClass(1 / 5, "1 in 5"),
    ChanceClass(1 / 2, "1 in 2 or more"),
)
"""The same for all maps, so that colours mean the same on all of them; the colours are in `pages.css`."""


def chance(probability: float) -> str:
    """A probability as "1 in 20", or "7 in 10" where it is large."""
    if probability > MIN_IN_TEN:
        return f"{min(round(probability * 10), 9)} in 10"
    if probability < 1 / (ONE_IN[-1] * 1.25):
        return f"less than 1 in {ONE_IN[-1]:,}"
    nearest = min(ONE_IN, key=lambda number: max(number * probability, 1 / (number * probability)))
    return f"1 in {nearest:,}"
