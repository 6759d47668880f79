"""How one alert of the simulated city triggers others: how many, how much later, how far away."""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.simulated.background import HOUR, Floats, Integers, cell_metres

OFFSPRING = 0.35
"""Expected number of offspring of an alert, those lost outside the sensors' reach included."""
MEAN_LAG = 6 * HOUR
"""Mean of the exponential lag between an alert and its offspring, before the cut at `MAX_LAG`."""
MAX_LAG = 48 * HOUR
SPREAD_METRES = 200.0
"""Standard deviation of the way from an alert to its offspring along each axis, before the cut."""
MAX_SPREAD = 3.0
"""Where that way is cut along each axis, in standard deviations."""

LAG_REACH = -np.expm1(-MAX_LAG / MEAN_LAG)
SPREAD_REACH = 1 - 2 * ndtr(-MAX_SPREAD)
POINTS_PER_PART = 100


def draw_lags(random: np.random.Generator, number: int) -> Floats:
    """`number` lags in microseconds, from the truncated exponential distribution."""
    return -MEAN_LAG * np.log1p(-LAG_REACH * random.random(number))


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

    def draw(self, random: np.random.Generator, number: int) -> tuple[Floats, Floats]:
        """Steps along (rows, columns) in cells from `number` alerts to one offspring each."""
        step = ndtri(ndtr(-MAX_SPREAD) + SPREAD_REACH * random.random((2, number)))
        return step[0] * self._spread[0], step[1] * self._spread[1]

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
