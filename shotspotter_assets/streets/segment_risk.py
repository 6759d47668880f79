"""Forecasts of segments, from the forecast of their cells and the shares of their streets."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import gamma

from shotspotter_assets.streets.shares import StreetShares

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CellRisk:
    """A forecast of all cells of the grid in row-major order, 0 where nothing is forecast; each (cells,).

    Attributes:
        expected: alerts.
        probability: of at least one alert.
        low: end of the interval of the probability.
        high: same.
    """

    expected: Array
    probability: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class SegmentRisk:
    """A forecast of segments.

    Attributes:
        expected: alerts, shape (segments,).
        probability: of at least one alert, same shape.
        low: end of the interval of the probability.
        high: same.
        expected_on_no_street: alerts of all cells that are on no street; with `expected` they add up to those of the cells.
    """

    expected: Array
    probability: Array
    low: Array
    high: Array
    expected_on_no_street: float


def segment_risk(shares: StreetShares, cells: CellRisk, ends: tuple[float, float]) -> SegmentRisk:
    """The forecast of segments.

    Expected alerts are divided by the shares. So are hazards (-log(1 - p)), times the number of segments that have alerts on a
    day on which their cell has some. The interval adds, on the logarithm of the hazard, the cell's own interval and that of the
    share (a gamma distribution of its mean and variance) as independent ones.

    Args:
        shares: of the streets in the cells.
        cells: their forecast.
        ends: of the interval, such as (0.1, 0.9).
    """
    expected, on_no_street = shares.divided(cells.expected)
    of_part = shares.parts.cell
    cell_hazard, cell_low, cell_high = (-np.log1p(-values) for values in (cells.probability, cells.low, cells.high))
    part_hazard = cell_hazard[of_part] * shares.share[: len(of_part)]
    low, hazard, high = (
        shares.segments_per_day * shares.by_segment(values)
        for values in (
            shares.share[: len(of_part)] * cell_low[of_part],
            part_hazard,
            shares.share[: len(of_part)] * cell_high[of_part],
        )
    )
    variance = shares.segments_per_day**2 * shares.by_segment(cell_hazard[of_part] ** 2 * shares.share_variance())
    with np.errstate(divide="ignore", invalid="ignore"):
        shape, scale = hazard**2 / variance, variance / hazard
        of_share = np.array([gamma.ppf(end, shape, scale=scale) for end in ends])
        below = np.hypot(np.log(low / hazard), np.log(np.minimum(of_share[0] / hazard, 1)))
        above = np.hypot(np.log(high / hazard), np.log(np.maximum(of_share[1] / hazard, 1)))
    some = hazard > 0
    probability, low, high = (
        -np.expm1(-np.where(some, values, 0.0)) for values in (hazard, hazard * np.exp(-below), hazard * np.exp(above))
    )
    return SegmentRisk(expected, np.minimum(probability, expected), low, high, float(on_no_street.sum()))
