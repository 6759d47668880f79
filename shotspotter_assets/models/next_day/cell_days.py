"""The cell-days that inputs are made for: every covered cell of some days, or a sample of a fine grid's for a fit.

A grid of 200 x 200 cells has tens of millions of cell-days, nearly all without alerts. A fit takes all of those with alerts, and
draws from the others, which weigh more: the weighted log loss is that of all cell-days but for chance (inverse probability
weights, Horvitz and Thompson 1952, as a ratio to their sum, Hajek 1971). Forecasts are always made for every covered cell.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.memory import MAX_FIT_ROWS
from shotspotter_assets.models.filters import (
    Array,
    Days,
    decayed_sums,
    exponential_mean,
    running_sums,
    smooth_cells,
    weighted_mean,
)
from shotspotter_assets.models.history import History

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class CellDays(Protocol):
    """Cell-days, and how the values of days and maps become values of theirs.

    What a method returns has one value a cell-day, of the shape (days, cells) or (rows,); what is the same for all cells may be
    (days, 1).

    Attributes:
        days: the days of the cell-days, as indexes of the day axis, ascending and each once.
        before: for each of them, the first day whose counts may not be used.
    """

    days: Integers
    before: Integers

    def of_days(self, values: Days) -> Days:
        """Of one value for each of `days`."""
        ...

    def of_maps(self, maps: Days) -> Days:
        """Of a map for each of `days`, shape (days, cells)."""
        ...

    def known(self, maps: Days, days_earlier: int = 0) -> Days:
        """Of maps of what is known before each day of the history, shape (days of the history + 1, cells)."""
        ...

    def sums(self, daily: Days, half_life: float, kept: Booleans) -> tuple[Array, Array]:
        """See `filters.decayed_sums`."""
        ...

    def means(
        self, daily: Days, half_lives: Sequence[float], kept: Booleans | None = None, widths: Sequence[float] = (0.0,)
    ) -> Iterator[Array]:
        """`filters.exponential_mean` with each half-life, smoothed with each of the widths in turn."""
        ...

    def last_day(self, daily: Days, widths: Sequence[float]) -> Iterator[Array]:
        """The last known day's values, 0 where there is none, smoothed with each width."""
        ...


class EveryCell:
    """Every covered cell of some days: arrays of the shape (days, cells), or (days, 1)."""

    def __init__(self, history: History, days: Integers) -> None:
        self.days, self.before, self.in_coverage = days, history.known_before(days), history.in_coverage

    def of_days(self, values: Days) -> Days:
        return values[:, None]

    def of_maps(self, maps: Days) -> Days:
        return maps

    def known(self, maps: Days, days_earlier: int = 0) -> Days:
        return maps[np.maximum(self.before - days_earlier, 0)]

    def sums(self, daily: Days, half_life: float, kept: Booleans) -> tuple[Array, Array]:
        return decayed_sums(daily, half_life, kept, self.before)

    def means(
        self, daily: Days, half_lives: Sequence[float], kept: Booleans | None = None, widths: Sequence[float] = (0.0,)
    ) -> Iterator[Array]:
        # Filters in time and smoothing in space commute: only the wanted days are smoothed.
        for half_life in half_lives:
            mean = exponential_mean(daily, half_life, kept, self.before)
            for width in widths:
                yield smooth_cells(mean, self.in_coverage, width)

    def last_day(self, daily: Days, widths: Sequence[float]) -> Iterator[Array]:
        last = np.where(self.before[:, None] > 0, daily[self.before - 1], 0).astype(np.float64)
        for width in widths:
            yield smooth_cells(last, self.in_coverage, width)


class SomeCells:
    """Chosen cell-days of a history, in ascending order of their days: arrays of the shape (rows,).

    Args:
        history: of which they are.
        day: of each row, ascending.
        cell: of each row, among the covered ones.
    """

    def __init__(self, history: History, day: Integers, cell: Integers) -> None:
        self.days, self._day_at = np.unique(day, return_inverse=True)
        self.before, self.in_coverage, self._cell = history.known_before(self.days), history.in_coverage, cell

    @cached_property
    def _row_before(self) -> Integers:
        return self.before[self._day_at]

    def of_days(self, values: Days) -> Days:
        return values[self._day_at]

    def of_maps(self, maps: Days) -> Days:
        return maps[self._day_at, self._cell if maps.shape[1] > 1 else 0]

    def known(self, maps: Days, days_earlier: int = 0) -> Days:
        return maps[np.maximum(self._row_before - days_earlier, 0), self._cell]

    def sums(self, daily: Days, half_life: float, kept: Booleans | None) -> tuple[Array, Array]:
        totals, weights = np.empty(len(self._cell)), np.empty(len(self._cell))
        bounds = np.searchsorted(self._row_before, np.arange(len(daily) + 2))
        for day, (total, weight) in enumerate(running_sums(daily, half_life, kept)):
            rows = slice(bounds[day], bounds[day + 1])
            totals[rows], weights[rows] = total[self._cell[rows]], weight
        return totals, weights

    def means(
        self, daily: Days, half_lives: Sequence[float], kept: Booleans | None = None, widths: Sequence[float] = (0.0,)
    ) -> Iterator[Array]:
        # The same in the other order: there are many days and half-lives, and few widths.
        maps = [self._smooth(daily, width) for width in widths]
        for half_life in half_lives:
            for smooth in maps:
                yield weighted_mean(*self.sums(smooth, half_life, kept))

    def last_day(self, daily: Days, widths: Sequence[float]) -> Iterator[Array]:
        has_day = self._row_before > 0
        for width in widths:
            yield np.where(has_day, self._smooth(daily, width)[self._row_before - 1, self._cell], 0).astype(np.float64)

    def _smooth(self, daily: Days, width: float) -> Days:
        """In single precision, as the inputs are."""
        return smooth_cells(daily, self.in_coverage, width).astype(np.float32) if width else daily


def days_at_once(days: Integers, history: History) -> list[Integers]:
    """The days in parts of at most `MAX_FIT_ROWS` cell-days, in which forecasts are made of a fine grid."""
    return np.array_split(days, max(-(-len(days) * int(history.in_coverage.sum()) // MAX_FIT_ROWS), 1))


@dataclass(frozen=True)
class FitSample:
    """The cell-days of a history that are fitted on where they are too many for all, in ascending order of their days.

    Attributes:
        day: index of the day axis, shape (rows,).
        cell: among the covered ones, shape (rows,).
        observed: whether there was an alert, shape (rows,).
        sample_weight: how many cell-days each stands for, shape (rows,).
    """

    day: Integers
    cell: Integers
    observed: Booleans
    sample_weight: Array

    @property
    def rows(self) -> tuple[Integers, Integers]:
        """(day, cell) of each row."""
        return self.day, self.cell


def fit_sample(history: History, stop: int) -> FitSample | None:
    """The sample of the days before day `stop`, the same for all forecasters; None where they are few enough for all."""
    size = stop * int(history.in_coverage.sum())
    if size <= MAX_FIT_ROWS:
        return None
    return history.kept("fit_sample", np.array([stop]), lambda: _drawn(history.observed[:stop], MAX_FIT_ROWS / size))


def _drawn(observed: Booleans, share: float) -> FitSample:
    drawn = observed | (np.random.default_rng(0).random(observed.shape, dtype=np.float32) < share)
    day, cell = np.nonzero(drawn)
    positive = observed[day, cell]
    # In sum exactly all, so that no level rests on the draw.
    of_others = (~observed).sum() / max((~positive).sum(), 1)
    return FitSample(day, cell, positive, np.where(positive, 1.0, of_others))
