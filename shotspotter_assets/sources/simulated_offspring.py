"""How one alert of the simulated city triggers others: how many, how much later, how far away."""

import numpy as np
from scipy.special import ndtr, ndtri

from shotspotter_assets.cities.model import City
from shotspotter_assets.sources.simulated_background import HOUR, Floats, cell_metres

OFFSPRING = 0.3
"""Expected number of offspring of an alert, those lost outside the sensors' reach included."""
MEAN_LAG = 12 * HOUR
"""Mean of the exponential lag between an alert and its offspring, before the cut at `MAX_LAG`."""
MAX_LAG = 72 * HOUR
SPREAD_METRES = 200.0
"""Standard deviation of the way from an alert to its offspring along each axis, before the cut."""
MAX_SPREAD = 3.0
"""Where that way is cut along each axis, in standard deviations."""

LAG_REACH = -np.expm1(-MAX_LAG / MEAN_LAG)
SPREAD_REACH = 1 - 2 * ndtr(-MAX_SPREAD)
POINTS_PER_CELL = 200


def draw_lags(random: np.random.Generator, number: int) -> Floats:
    """`number` lags in microseconds, from the truncated exponential distribution."""
    return -MEAN_LAG * np.log1p(-LAG_REACH * random.random(number))


def lag_share(lag: Floats) -> Floats:
    """Share of an alert's offspring that comes within `lag` microseconds of it; a negative lag has none."""
    return -np.expm1(-np.clip(lag, 0, MAX_LAG) / MEAN_LAG) / LAG_REACH


class Steps:
    """The way from alerts to offspring on a city's grid, in cells.

    `rows` (rows, rows) and `columns` (columns, columns): [to, from] share of the offspring of an alert somewhere
    in one row (column) that falls into another. Sums over `to` are below 1 at the box's edge.
    """

    def __init__(self, city: City) -> None:
        self.row_spread, self.column_spread = (SPREAD_METRES / metres for metres in cell_metres(city))
        self.rows = _between_cells(city.grid.rows, self.row_spread)
        self.columns = _between_cells(city.grid.columns, self.column_spread)

    def draw(self, random: np.random.Generator, number: int) -> tuple[Floats, Floats]:
        """Steps along (rows, columns) from `number` alerts to one offspring each."""
        step = ndtri(ndtr(-MAX_SPREAD) + SPREAD_REACH * random.random((2, number)))
        return step[0] * self.row_spread, step[1] * self.column_spread

    def onward(self, expected: Floats) -> Floats:
        """Where one offspring each of `expected` alerts (rows, columns) falls, if they are anywhere in their cells."""
        return self.rows @ expected @ self.columns.T

    def shares(self, row: Floats, column: Floats) -> tuple[Floats, Floats]:
        """Shares of the offspring of alerts at (row, column) by row (alerts, rows) and column (alerts, columns)."""
        return (
            _into_cells(row, len(self.rows), self.row_spread),
            _into_cells(column, len(self.columns), self.column_spread),
        )


def _into_cells(position: Floats, cells: int, spread: float) -> Floats:
    edges = (np.arange(cells + 1) - position[:, None]) / spread
    return np.diff(ndtr(np.clip(edges, -MAX_SPREAD, MAX_SPREAD)), axis=1) / SPREAD_REACH


def _between_cells(cells: int, spread: float) -> Floats:
    """Shares [to, from] along one axis, the mean over alerts all along the cell they are in."""
    within = (np.arange(POINTS_PER_CELL) + 0.5) / POINTS_PER_CELL
    # One cell in the middle of a row twice as long has every step; all other cells have the same ones.
    steps = _into_cells(cells - 1 + within, 2 * cells - 1, spread).mean(axis=0)
    to, from_ = np.indices((cells, cells))
    return steps[cells - 1 + to - from_]
