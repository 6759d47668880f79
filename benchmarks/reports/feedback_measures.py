"""Measures of feedback between plans and records: shares of units and forecasts against shares of true incidents."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
QUARTER_WEEKS: Final = 13
MIN_PROBABILITY: Final = 1e-6


@dataclass(frozen=True)
class Run:
    """One scenario by week, day and covered cell."""

    title: str
    area: Integers  # of each cell, shape (cells,)
    incidents: Integers  # true ones, as many as without patrols, shape (weeks, days, cells)
    recorded: Integers  # those that became stored alerts, shape (weeks, days, cells)
    units: Integers  # shape (weeks, days, cells)
    expected: Array  # alerts of a day by each week's forecast, shape (weeks, cells)
    probability: Array  # chance of an alert on a day by each week's forecast, shape (weeks, cells)

    def quarters(self) -> "list[Run]":
        """Return the run in quarters of `QUARTER_WEEKS`; a shorter run is one."""
        weeks = len(self.units)
        starts = range(0, max(weeks - QUARTER_WEEKS, 0) + 1, QUARTER_WEEKS)
        return [self._of_weeks(slice(start, start + QUARTER_WEEKS)) for start in starts]

    def _of_weeks(self, weeks: slice) -> "Run":
        arrays = {
            name: getattr(self, name)[weeks] for name in ("incidents", "recorded", "units", "expected", "probability")
        }
        return replace(self, **arrays)

    @property
    def has_units(self) -> npt.NDArray[np.bool_]:
        """Cells with a unit on any day, shape (cells,)."""
        return self.units.any(axis=(0, 1))


def shares(values: npt.NDArray[np.number]) -> Array:
    """Return the share of each cell, the last axis, in a sum; shape (cells,)."""
    by_cell = values.reshape(-1, values.shape[-1]).sum(axis=0, dtype=np.float64)
    return by_cell / by_cell.sum()


def shares_by_area(run: Run, values: npt.NDArray[np.number]) -> Array:
    """Return the share of each area in a sum over cells; shape (areas,)."""
    return np.bincount(run.area, shares(values))


def slope(share: Array, true_share: Array) -> float:
    """Return the least-squares slope of shares on the shares of true incidents.

    1: in proportion; above 1: places with many incidents get more than their share.
    """
    return float(np.polyfit(true_share, share, 1)[0])


def gini(share: Array) -> float:
    """Return the Gini coefficient: 0 for equal shares, (n - 1) / n if one of n has all."""
    ranks = np.arange(1, len(share) + 1)
    return float((2 * ranks - len(share) - 1) @ np.sort(share) / (len(share) * share.sum()))


def log_loss(run: Run, *, on_record: bool = False, is_levelled: bool = False) -> float:
    """Return the log loss of each week's forecast for its days against true incidents, in nats per cell and day.

    `on_record` scores recorded incidents instead, as a city without the truth must.
    With `is_levelled`, all rates are multiplied by the one factor that gives the true number of cell-days with an
    incident: what remains is the loss from the wrong places.
    """
    occurred = (run.recorded if on_record else run.incidents) > 0
    probability = np.clip(run.probability.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    if is_levelled:
        rate = -np.log1p(-probability)
        factor = brentq(lambda log: np.expm1(-rate * np.exp(log)).mean() + occurred.mean(), -20.0, 20.0)
        probability = -np.expm1(-rate * np.exp(factor))
    probability = np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)[:, None]
    return float(-np.where(occurred, np.log(probability), np.log1p(-probability)).mean())


MEASURES: Final[dict[str, Callable[[Run], float]]] = {
    "incidents recorded": lambda part: float(part.recorded.sum() / part.incidents.sum()),
    "slope of units by area": lambda part: slope(
        shares_by_area(part, part.units), shares_by_area(part, part.incidents)
    ),
    "slope of forecast by cell": lambda part: slope(shares(part.expected), shares(part.incidents)),
    "Gini of units": lambda part: gini(shares(part.units)),
    "Gini of incidents": lambda part: gini(shares(part.incidents)),
    "incidents where no unit was": lambda part: float(shares(part.incidents)[~part.has_units].sum()),
    "forecast there": lambda part: float(shares(part.expected)[~part.has_units].sum()),
    "log loss": log_loss,
    "log loss, levelled": partial(log_loss, is_levelled=True),
    "log loss on the record": partial(log_loss, on_record=True),
}
"""Measures of a quarter by the heading of their column; log losses are in nats per cell and day."""
