"""The true forecast of a day of the simulated city: probabilities given all alerts before it."""

import math
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc, ndtr

from shotspotter_assets.arrays import Array as Floats
from shotspotter_assets.arrays import Integers
from shotspotter_assets.cities.city import City
from shotspotter_assets.geometry.cells import cell_metres
from shotspotter_assets.sources.simulated.background import HOUR, Background, Day
from shotspotter_assets.sources.simulated.source import (
    LAG_REACH,
    MAX_LAG,
    MAX_SPREAD,
    MEAN_LAG,
    OFFSPRING,
    SPREAD_METRES,
    SPREAD_REACH,
    SimulatedSource,
)

POINTS_PER_PART = 100
MAX_LAG_DAYS = timedelta(days=MAX_LAG // (24 * HOUR) + 1)
"""Alerts of days before this have no offspring left; the extra day covers days of 23 hours."""
GENERATIONS = np.arange(3)
"""Generations of a family that are followed within the day: roots, their children, their grandchildren."""


def lag_share(lag: Integers) -> Floats:
    """Share of an alert's offspring that comes within `lag` microseconds of it; a negative lag has none."""
    return -np.expm1(-np.clip(lag, 0, MAX_LAG) / MEAN_LAG) / LAG_REACH


class Steps:
    """The way from alerts to offspring in space.

    Where alerts are within their cells decides how many of their offspring leave them. Expected numbers are
    therefore kept by part of a cell (part rows, part columns): each cell is cut along each axis into as few equal
    parts as are no longer than `SPREAD_METRES`.
    `stay` (part rows, part columns) is the share of the offspring of an alert anywhere in a part that falls into
    the same cell, and `back` the share of its offspring's offspring that returns to this cell after leaving it,
    where the offspring outside `sensors` (rows, columns) has none.
    """

    def __init__(self, city: City, sensors: npt.NDArray[np.bool_]) -> None:
        height, width = cell_metres(city)
        self._cut = math.ceil(height / SPREAD_METRES), math.ceil(width / SPREAD_METRES)
        self._shape = city.shape
        self._spread = SPREAD_METRES / height, SPREAD_METRES / width
        # [to, from] share of the offspring of alerts anywhere in one part row (column) that falls into another.
        self._rows, self._columns = (
            _between_parts(cells * cut, cut * spread)
            for cells, cut, spread in zip(self._shape, self._cut, self._spread, strict=True)
        )
        row_stay, row_back = _own_cell(self._rows, self._cut[0])
        column_stay, column_back = _own_cell(self._columns, self._cut[1])
        self.sensors = self.in_parts(sensors) > 0
        self.stay = np.outer(row_stay.sum(axis=0), column_stay.sum(axis=0))
        stay_twice = np.outer((row_stay * row_back).sum(axis=0), (column_stay * column_back).sum(axis=0))
        self.back = (self._rows * row_back).T @ self.sensors @ (self._columns * column_back) - stay_twice

    def in_parts(self, expected: npt.NDArray[np.float64 | np.bool_]) -> Floats:
        """Expected numbers by part of alerts that are anywhere in their cells (rows, columns)."""
        by_row = np.repeat(expected / (self._cut[0] * self._cut[1]), self._cut[0], axis=0)
        return np.repeat(by_row, self._cut[1], axis=1)

    def in_cells(self, expected: Floats) -> Floats:
        """Expected numbers by cell (rows, columns) from those by part."""
        rows, columns = self._shape
        return expected.reshape(rows, self._cut[0], columns, self._cut[1]).sum(axis=(1, 3))

    def onward(self, expected: Floats) -> Floats:
        """Where one offspring each of `expected` alerts falls; all by part, sensors or not."""
        return self._rows @ expected @ self._columns.T

    def shares(self, row: Floats, column: Floats) -> tuple[Floats, Floats]:
        """Shares of the offspring of alerts by part row (alerts, part rows) and column (alerts, part columns).

        `row`, `column` (alerts) in cells from the box's south-west corner.
        """
        return (
            _into_parts(row * self._cut[0], len(self._rows), self._cut[0] * self._spread[0]),
            _into_parts(column * self._cut[1], len(self._columns), self._cut[1] * self._spread[1]),
        )


def _into_parts(position: Floats, parts: int, spread: float) -> Floats:
    edges = (np.arange(parts + 1) - position[:, None]) / spread
    return np.diff(ndtr(np.clip(edges, -MAX_SPREAD, MAX_SPREAD)), axis=1) / SPREAD_REACH


def _between_parts(parts: int, spread: float) -> Floats:
    """Shares [to, from] along one axis, the mean over alerts all along the part they are in."""
    within = (np.arange(POINTS_PER_PART) + 0.5) / POINTS_PER_PART
    # From the middle of a line twice as long there is every step that there can be between two parts.
    steps = _into_parts(parts - 1 + within, 2 * parts - 1, spread).mean(axis=0)
    to, from_ = np.indices((parts, parts))
    return steps[parts - 1 + to - from_]


def _own_cell(shares: Floats, cut: int) -> tuple[Floats, Floats]:
    """Along one axis: `shares` [to, from] within a cell only; shares [via, from] from `via` to the cell of `from`."""
    cell = np.arange(len(shares)) // cut
    into_cell = np.add.reduceat(shares, np.arange(0, len(shares), cut), axis=0)
    return shares * (cell[:, None] == cell), into_cell[cell].T


class Oracle:
    """The true forecast of one day from the alerts before it.

    Given these, the day's roots (first alerts, and direct offspring of earlier days' alerts) are a Poisson process,
    and each root has its own family within the day. A cell c stays empty if no root falls into it and no family of a
    root elsewhere enters it, whatever a family does once it is there:

        P(at least one in c) = 1 - exp(-roots in c - families from other cells that enter c)

    Approximations, all within families, which are a small part of a day's alerts: entries are expected numbers, of
    children and grandchildren; an alert is anywhere in its part of a cell; lags are not cut.
    """

    def __init__(self, background: Background, steps: Steps) -> None:
        self._sensors = background.sensors
        self._steps = steps

    def probability(self, day: Day, time: Integers, row: Floats, column: Floats) -> Floats:
        """P(at least one alert in the cell on the day | the alerts before it).

        Args:
            day: the day.
            time: (alerts) before the day, in microseconds since 1970 UTC; the last `MAX_LAG` matters.
            row: (alerts) in cells from the box's south edge.
            column: (alerts) in cells from the box's west edge.

        Returns:
            (rows, columns), zero in cells without sensors.
        """
        steps = self._steps
        roots, for_children, for_grandchildren = self._weighted_roots(day, time, row, column)
        parents = steps.sensors * steps.onward(for_grandchildren)
        children = steps.onward(for_children) - steps.stay * for_children
        grandchildren = steps.onward(parents) - steps.stay * parents - steps.back * for_grandchildren
        reached = steps.in_cells(roots + OFFSPRING * children + OFFSPRING**2 * grandchildren)
        return -np.expm1(-reached * self._sensors)

    def _weighted_roots(self, day: Day, time: Integers, row: Floats, column: Floats) -> Floats:
        """Expected roots of the day by part (generations, part rows, part columns).

        Each is weighted with the share of its descendants of that generation that still come on the day.
        """
        roots = np.multiply.outer(_inherited_shares(day), self._inherited(day, time, row, column))
        for begin in day.beginnings:
            left = day.end - (day.hour_edges[:-1] + day.hour_edges[1:]) / 2
            shares = gammainc(GENERATIONS[:, None], left / MEAN_LAG) @ begin.hours
            cells = self._steps.in_parts(begin.cells.reshape(self._sensors.shape))
            roots += np.multiply.outer(shares * begin.number, cells)
        return roots

    def _inherited(self, day: Day, time: Integers, row: Floats, column: Floats) -> Floats:
        """Expected direct offspring (part rows, part columns) on the day of the alerts before it."""
        each = OFFSPRING * (lag_share(day.end - time) - lag_share(day.start - time))
        by_row, by_column = self._steps.shares(row, column)
        return self._steps.sensors * ((by_row * each[:, None]).T @ by_column)


def _inherited_shares(day: Day) -> Floats:
    """Share of each generation that still comes on the day, in families of offspring of earlier days' alerts.

    The exponential lag forgets: whenever their parents were, these offspring come like exp(-t / MEAN_LAG) after the
    day's start, and a sum of exponential lags has a gamma distribution.
    """
    length = (day.end - day.start) / MEAN_LAG
    return gammainc(GENERATIONS + 1, length) / gammainc(1, length)


def true_probability(source: SimulatedSource, first: date, last: date) -> Floats:
    """Return P(at least one alert in the cell on the local day | all alerts before the day).

    (days, rows, columns) for the days from `first` to `last`, both included; zero in cells without sensors. `Oracle`
    lists the approximations. `first` is at least `MAX_LAG_DAYS` after the start of the city.
    """
    oracle = Oracle(source._background, Steps(source._city, source._background.sensors))
    days, alerts = source._alerts(first - MAX_LAG_DAYS, last)
    truth = []
    for day in days[MAX_LAG_DAYS.days :]:
        before = slice(*np.searchsorted(alerts.time, [day.start - MAX_LAG, day.start]))
        truth.append(oracle.probability(day, alerts.time[before], alerts.row[before], alerts.column[before]))
    return np.stack(truth)
