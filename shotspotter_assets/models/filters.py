"""Exponentially weighted rates of the time before, by recursive filters, and means over neighbouring covered cells.

By day in double precision, for all days; by hour in single precision, for some hours. A mean at a time is of times before it
only.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter
from scipy.sparse import csr_array, issparse

Array = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Days = npt.NDArray[Any]
"""Values of days, of any type of numbers or truth: rates are of double precision, and counts need not be."""

MIN_WEIGHT: Final = 1e-12
"""Of the days before, below which none counts."""
MAX_DENSE_CELLS: Final = 2_000
"""Covered cells up to which the weights of all pairs are a dense matrix (16 MB)."""
MAX_DISTANCE: Final = 6.5
"""In standard deviations; a weight beyond is less than a billionth of the nearest one's."""
MAX_NUMBERS_AT_ONCE: Final = 8_000_000
"""Of maps that are smoothed together: 64 MB in double precision, whatever the grid and the days."""


def decay_of(half_life: float) -> float:
    """The factor by which a weight shrinks in one step of time; 1 for an infinite half-life."""
    return float(2.0 ** (-1.0 / half_life))


def exponential_mean(
    daily: Days, half_life: float, kept: Booleans | None = None, before: Integers | None = None
) -> Array:
    """Exponentially weighted mean of the days before each day and before the day after the last.

    m_t = sum over s < t of a^(t-1-s) x_s / sum over s < t of a^(t-1-s) with a = `decay_of(half_life)`, over the days that
    are kept. The denominator removes the bias towards zero of the first days. An infinite half-life gives the mean of all
    history.

    Args:
        daily: shape (days, ...).
        half_life: in days.
        kept: days that count, shape (days,); all of them by default.
        before: days before which means are wanted, ascending; all, and the day after the last, by default.

    Returns:
        Shape (before, ...); 0 where no day before counts.
    """
    return weighted_mean(*decayed_sums(daily, half_life, kept, before))


def weighted_mean(total: Array, weight: Array) -> Array:
    """Numerator over denominator of `exponential_mean`."""
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > MIN_WEIGHT)


def decayed_sums(
    daily: Days, half_life: float, kept: Booleans | None = None, before: Integers | None = None
) -> tuple[Array, Array]:
    """Numerator, shape (before, ...), and denominator, shape (before, 1, ...), of `exponential_mean`."""
    wanted = np.arange(len(daily) + 1) if before is None else np.unique(before)
    sums = np.empty((len(wanted), *daily.shape[1:]))
    weights = np.empty((len(wanted), *[1] * (daily.ndim - 1)))
    at = 0
    for day, (total, weight) in enumerate(running_sums(daily, half_life, kept)):
        if at < len(wanted) and day == wanted[at]:
            sums[at], weights[at] = total, weight
            at += 1
    if before is None or len(wanted) == len(before):
        return sums, weights
    repeated = np.searchsorted(wanted, before)
    return sums[repeated], weights[repeated]


def running_sums(daily: Days, half_life: float, kept: Booleans | None = None) -> Iterator[tuple[Array, float]]:
    """(numerator, denominator) of `exponential_mean` before each day, and before the day after the last.

    The numerator, shape (...), is the same array each time: whoever wants to keep it copies it.
    """
    total, weight, decay = np.zeros(daily.shape[1:]), 0.0, decay_of(half_life)
    for day, values in enumerate(daily):
        yield total, weight
        total *= decay
        weight *= decay
        if kept is None or kept[day]:
            total += values
            weight += 1.0
    yield total, weight


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
    values: Singles, hours: range, before: Mapping[float, Singles], weights: "Singles | csr_array | None" = None
) -> Iterator[Singles]:
    """`recursive_mean` for each half-life of `before`, which holds its `decayed_sum`, smoothed in space by `weights`.

    Smoothing and filtering commute: the few alerts are smoothed, not the many rates.
    """
    during: Singles = values[hours.start : hours.stop - 1]
    if weights is not None:
        during = weighted_cells(during, weights)
    for half_life, state in before.items():
        yield _filtered(state if weights is None else weights @ state, during, hours, half_life)


def smooth_cells(values: Days, in_coverage: Booleans, width: float) -> Days:
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


def smoothing_weights(in_coverage: npt.NDArray[np.bool_], width: float) -> "Singles | csr_array":
    """Gaussian weights of all covered cells (columns) in the mean around each (rows), shape (cells, cells).

    Of more than `MAX_DENSE_CELLS` cells a sparse matrix, without weights that single precision cannot tell from none.
    """
    row, column = np.nonzero(in_coverage)
    if len(row) > MAX_DENSE_CELLS:
        return _sparse_weights(in_coverage.tobytes(), in_coverage.shape, width)
    weights = np.empty((len(row), len(row)), np.float32)
    at_once = max(MAX_NUMBERS_AT_ONCE // len(row), 1)
    for first in range(0, len(row), at_once):
        here = slice(first, first + at_once)
        squared = (row[here, None] - row) ** 2 + (column[here, None] - column) ** 2
        weight = np.exp(-squared / (2 * width**2))
        weights[here] = weight / weight.sum(axis=1, keepdims=True)
    return weights


@lru_cache(maxsize=4)
def _sparse_weights(in_coverage: bytes, shape: tuple[int, int], width: float) -> csr_array:
    row, column = np.nonzero(np.frombuffer(in_coverage, dtype=bool).reshape(shape))
    reach = int(MAX_DISTANCE * width)
    cell_at = np.full((shape[0] + 2 * reach, shape[1] + 2 * reach), -1)
    cell_at[row + reach, column + reach] = np.arange(len(row))
    parts = []
    for north, east in product(range(-reach, reach + 1), repeat=2):
        if north**2 + east**2 <= reach**2:
            neighbour = cell_at[row + reach + north, column + reach + east]
            here = np.flatnonzero(neighbour >= 0)
            weight = np.exp(-(north**2 + east**2) / (2 * width**2))
            parts.append((here, neighbour[here], np.full(len(here), weight, np.float32)))
    cells, neighbours, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    weights = csr_array((values, (cells, neighbours)), shape=(len(row), len(row)))
    weights.data /= np.repeat(weights.sum(axis=1), np.diff(weights.indptr))
    return weights


def weighted_cells(values: npt.NDArray[np.floating], weights: "Singles | csr_array") -> Singles:
    """Means around each cell by `smoothing_weights` of mostly empty maps, shape (hours, cells)."""
    means = csr_array(values) @ weights.T
    return means.toarray() if issparse(means) else np.asarray(means)
