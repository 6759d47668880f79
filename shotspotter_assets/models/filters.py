"""Exponentially weighted rates of the time before, by recursive filters, and means over neighbouring covered cells.

By day in double precision, for all days; by hour in single precision, for some hours. A mean at a time is of times before it
only.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter
from scipy.sparse import csr_array

Array = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]

MAX_NUMBERS_AT_ONCE: Final = 8_000_000
"""Of maps that are smoothed together: 64 MB in double precision, whatever the grid and the days."""


def decay_of(half_life: float) -> float:
    """The factor by which a weight shrinks in one step of time; 1 for an infinite half-life."""
    return float(2.0 ** (-1.0 / half_life))


def exponential_mean(daily: Array, half_life: float, kept: Booleans | None = None) -> Array:
    """Exponentially weighted mean of the days before each day and before the day after the last.

    m_t = sum over s < t of a^(t-1-s) x_s / sum over s < t of a^(t-1-s) with a = `decay_of(half_life)`, over the days that
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
    decay = decay_of(half_life)
    weight = (np.ones(len(daily)) if kept is None else kept.astype(np.float64)).reshape(-1, *[1] * (daily.ndim - 1))
    sums = []
    for values in (daily * weight, weight):
        before = np.zeros((len(values) + 1, *values.shape[1:]))
        before[1:] = lfilter([1.0], [1.0, -decay], values, axis=0)
        sums.append(before)
    return sums[0], sums[1]


def span(hours: npt.NDArray[np.int64]) -> range:
    """All hours from the first to the last of ascending ones."""
    return range(int(hours[0]), int(hours[-1]) + 1)


def recursive_mean(values: Singles, hours: range, half_life: float) -> Singles:
    """Exponentially weighted mean of the hours before each of `hours`, shape (len(hours), ...).

    m_t = sum over s < t of a^(t-1-s) x_s / sum over s < t of a^(t-1-s), a = `decay_of(half_life)`; an infinite half-life
    gives the mean of all hours before. The state at the first hour is one weighted sum, so that a forecast from one
    hour costs one pass and no filter over all hours.
    """
    state = decayed_sum(values[: hours.start], half_life)
    return _filtered(state, values[hours.start : hours.stop - 1], hours, half_life)


def decayed_sum(before: Singles, half_life: float) -> Singles:
    """Sum over the hours before of a^(hours gone by) x, shape (...)."""
    # What is forty half-lives old weighs less than single precision can tell.
    before = before[-int(min(len(before), 40 * half_life)) or None :]
    weights = decay_of(half_life) ** np.arange(len(before) - 1, -1, -1, dtype=np.float64)
    return (weights.astype(np.float32) @ before).astype(np.float32)


def _filtered(state: Singles, during: Singles, hours: range, half_life: float) -> Singles:
    decay = decay_of(half_life)
    coefficients = np.array([1.0], np.float32), np.array([1.0, -decay], np.float32)
    sums = np.empty((len(hours), *during.shape[1:]), np.float32)
    sums[0] = state
    sums[1:] = lfilter(*coefficients, during, axis=0, zi=np.float32(decay) * state[None])[0]
    steps = np.arange(hours.start, hours.stop)
    weight = steps if np.isinf(half_life) else (1 - decay**steps) / (1 - decay)
    sums /= np.maximum(weight, 1).astype(np.float32).reshape(-1, *[1] * (during.ndim - 1))
    return sums


def means_of_half_lives(
    values: Singles, hours: range, before: Mapping[float, Singles], weights: Singles | None = None
) -> Iterator[Singles]:
    """`recursive_mean` for each half-life of `before`, which holds its `decayed_sum`, smoothed in space by `weights`.

    Smoothing and filtering commute: the few alerts are smoothed, not the many rates.
    """
    during: Singles = values[hours.start : hours.stop - 1]
    if weights is not None:
        during = np.asarray(csr_array(during) @ weights.T)
    for half_life, state in before.items():
        yield _filtered(state if weights is None else weights @ state, during, hours, half_life)


def smooth_cells(values: Array, in_coverage: Booleans, width: float) -> Array:
    """Gaussian mean over covered cells, shape (days, cells).

    Dividing by the smoothed coverage keeps cells at its edge from losing rate to cells without sensors.

    Args:
        values: shape (days, cells); cells in row-major order of the coverage.
        in_coverage: shape (rows, columns).
        width: standard deviation in cells; 0 leaves the values as they are.
    """
    if width == 0:
        return values
    share = gaussian_filter(in_coverage.astype(np.float64), width, mode="constant")[in_coverage]
    smooth = np.empty(values.shape)
    at_once = max(MAX_NUMBERS_AT_ONCE // in_coverage.size, 1)
    for first in range(0, len(values), at_once):
        some = values[first : first + at_once]
        maps = np.zeros((len(some), *in_coverage.shape))
        maps[:, in_coverage] = some
        smooth[first : first + at_once] = (
            gaussian_filter(maps, (0, width, width), mode="constant")[:, in_coverage] / share
        )
    return smooth


def smoothing_weights(in_coverage: npt.NDArray[np.bool_], width: float) -> Singles:
    """Gaussian weights of all covered cells (columns) in the mean around each (rows), shape (cells, cells)."""
    row, column = np.nonzero(in_coverage)
    weights = np.empty((len(row), len(row)), np.float32)
    at_once = max(MAX_NUMBERS_AT_ONCE // len(row), 1)
    for first in range(0, len(row), at_once):
        here = slice(first, first + at_once)
        squared = (row[here, None] - row) ** 2 + (column[here, None] - column) ** 2
        weight = np.exp(-squared / (2 * width**2))
        weights[here] = weight / weight.sum(axis=1, keepdims=True)
    return weights
