"""Rates of the days before each day, by recursive filters, and means over neighbouring covered cells."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

Array = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


def exponential_mean(daily: Array, half_life: float, kept: Booleans | None = None) -> Array:
    """Exponentially weighted mean of the days before each day and before the day after the last.

    m_t = sum over s < t of a^(t-1-s) x_s / sum over s < t of a^(t-1-s) with a = 2^(-1 / half_life), over the days that
    are kept. The denominator removes the bias towards zero of the first days. An infinite half-life gives the mean of all
    history.

    Args:
        daily: shape (days, ...).
        half_life: in days.
        kept: days that count, shape (days,); all of them by default.

    Returns:
        Shape (days + 1, ...); 0 where no day before counts.
    """
    total, weight = decayed_sums(daily, half_life, kept)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-12)


def decayed_sums(daily: Array, half_life: float, kept: Booleans | None = None) -> tuple[Array, Array]:
    """Numerator, shape (days + 1, ...), and denominator, shape (days + 1, 1, ...), of `exponential_mean`."""
    decay = 2.0 ** (-1.0 / half_life)
    weight = (np.ones(len(daily)) if kept is None else kept.astype(np.float64)).reshape(-1, *[1] * (daily.ndim - 1))
    sums = []
    for values in (daily * weight, weight):
        before = np.zeros((len(values) + 1, *values.shape[1:]))
        before[1:] = lfilter([1.0], [1.0, -decay], values, axis=0)
        sums.append(before)
    return sums[0], sums[1]


def smooth_cells(values: Array, covered: Booleans, width: float) -> Array:
    """Gaussian mean over covered cells, shape (days, cells).

    Dividing by the smoothed coverage keeps cells at its edge from losing rate to cells without sensors.

    Args:
        values: shape (days, cells); cells in row-major order of the coverage.
        covered: shape (rows, columns).
        width: standard deviation in cells; 0 leaves the values as they are.
    """
    if width == 0:
        return values
    maps = np.zeros((len(values), *covered.shape))
    maps[:, covered] = values
    in_coverage = gaussian_filter(covered.astype(np.float64), width, mode="constant")
    return gaussian_filter(maps, (0, width, width), mode="constant")[:, covered] / in_coverage[covered]
