"""Words and numbers for readers: chances, amounts, names, days."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

MIN_IN_TEN: Final = 0.35  # larger chances read "4 in 10" instead of "1 in 3"
ONE_IN: Final = (3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 300, 500, 1000)
"""Denominators of chances; closer ones would claim too much precision."""
NO_REASON: Final = "Close to the average place"
_ODDS: Final = re.compile(r" \(odds x[\d.]+\)")
CHANCE_CLASSES: Final = {
    0.0: "less than 1 in 200",
    **{1 / number: f"1 in {number}" for number in (200, 100, 50, 20, 10, 5)},
    1 / 2: "1 in 2 or more",
}
"""Words of the common legend by minimum probability; `pages.css` holds the colours."""


def chance(probability: float) -> str:
    """Write a probability as "1 in 20", or as "7 in 10" where it is large."""
    if probability > MIN_IN_TEN:
        return f"{min(round(probability * 10), 9)} in 10"
    if probability < 1 / (ONE_IN[-1] * 1.25):
        return f"less than 1 in {ONE_IN[-1]:,}"
    nearest = min(ONE_IN, key=lambda number: max(number * probability, 1 / (number * probability)))
    return f"1 in {nearest:,}"


def chance_classes(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the place of each probability in `CHANCE_CLASSES`."""
    return np.searchsorted([*CHANCE_CLASSES], probability, side="right") - 1


def amount(number: float) -> str:
    """Write an expected number with one decimal, or two below 0.1."""
    return f"{number:,.1f}" if number >= 0.095 or not number else f"{number:.2f}"


def title_of(city: str) -> str:
    """Write a city's name: Washington DC for washington_dc."""
    first, *rest = (word.upper() if len(word) <= 2 else word.capitalize() for word in city.split("_"))
    return " ".join([first, *("city" if word == "City" else word for word in rest)])


def long_day(day: date) -> str:
    """Write a day as "Thursday, 26 November 2026"."""
    return f"{day:%A}, {day.day} {day:%B} {day.year}"


def short_day(day: date) -> str:
    """Write a day as "26 Nov 2026"."""
    return f"{day.day} {day:%b} {day.year}"


def reasons(drivers: Sequence[str]) -> str:
    """Join the drivers of a cell (`models.next_day.drivers`) into a sentence without full stop and odds."""
    text = "; ".join(_ODDS.sub("", driver) for driver in drivers)
    return text[:1].upper() + text[1:] if text else NO_REASON
