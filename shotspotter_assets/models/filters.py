"""Exponentially weighted rates of the days or hours before a time, and Gaussian means over neighbouring covered cells.

A mean at a time uses earlier times only. Values in single precision (hours) stay so; all others are filtered in double.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Singles, Values

MIN_WEIGHT: Final = 1e-12  # weight of earlier times below which a mean is 0
MAX_HALF_LIVES: Final = 40  # older values weigh less than single precision resolves
MAX_DISTANCE: Final = 6.5  # standard deviations; beyond them weights are below a billionth of the nearest one's
MAX_NUMBERS_AT_ONCE: Final = 8_000_000  # numbers of maps that are smoothed together: 64 MB


def decay_of(half_life: float) -> float:
    """Return the factor by which a weight shrinks in one step of time; 1 for an infinite half-life."""
    return float(2.0 ** (-1.0 / half_life))


def exponential_mean(
    values: Values, half_life: float, is_counted: Booleans | None = None, before: Integers | range | None = None
) -> Values:
    """Return the exponentially weighted mean before each of `before`, shape (before, ...); 0 where none counts.

    m_t = sum over s < t of a^(t-1-s) x_s / sum over s < t of a^(t-1-s), a = `decay_of(half_life)`, over the times that
    count: `is_counted` (times,); all by default. The denominator removes the bias of the first times towards zero. An infinite
    half-life gives the mean of all history. `before` is ascending, by default all times and the one after the last.
    """
    total, weight = decayed_sums(values, half_life, is_counted, before)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > MIN_WEIGHT, casting="same_kind")


def decayed_sums(
    values: Values, half_life: float, is_counted: Booleans | None = None, before: Integers | range | None = None
) -> tuple[Values, Array]:
    """Return numerator, shape (before, ...), and denominator, shape (before, 1, ...), of `exponential_mean`."""
    wanted = np.arange(len(values) + 1) if before is None else np.asarray(before, dtype=np.int64)
    first, last = (int(wanted[0]), int(wanted[-1])) if len(wanted) else (0, 0)
    ones = (1,) * (values.ndim - 1)
    counted = np.ones(len(values)) if is_counted is None else is_counted.astype(np.float64)
    weights = running_sums(np.zeros(()), counted[:last], half_life)[wanted]
    state = decayed_sum(values[:first], half_life, counted[:first])
    during = (
        values[first:last] if is_counted is None else values[first:last] * is_counted[first:last].reshape((-1, *ones))
    )
    return running_sums(state, during, half_life)[wanted - first], weights.reshape((-1, *ones))


def decayed_sum(values: Values, half_life: float, counted: Array | None = None) -> Values:
    """Return the sum over all times of a^(steps gone by since) x, shape (...), each time counted so often."""
    recent = int(min(len(values), MAX_HALF_LIVES * half_life))
    values = values[len(values) - recent :]
    weights = decay_of(half_life) ** np.arange(recent - 1, -1, -1, dtype=np.float64)
    if counted is not None:
        weights = weights * counted[len(counted) - recent :]
    kind = np.float32 if values.dtype == np.float32 else np.float64
    return np.asarray(weights.astype(kind) @ values, dtype=kind)


def running_sums(state: Values, during: Values, half_life: float) -> Values:
    """Return `decayed_sum` before each time of `during` and after the last, shape (during + 1, ...), from `state` on."""
    decay = state.dtype.type(decay_of(half_life))
    sums = np.empty((len(during) + 1, *state.shape), state.dtype)
    sums[0] = state
    # SciPy's filter returns the same bits no sooner, and takes a second to load.
    for at, value in enumerate(during.astype(state.dtype, copy=False)):
        sums[at + 1] = value + decay * sums[at]
    return sums


def full_weight(before: Integers | range, half_life: float, is_counted: Booleans | None = None) -> Singles:
    """Return the denominator of `exponential_mean`, shape (before,); at least 1."""
    steps = np.asarray(before)
    decay = decay_of(half_life)
    if is_counted is not None:
        weight = running_sums(np.zeros(()), is_counted.astype(np.float64), half_life)[steps]
    else:
        weight = steps if np.isinf(half_life) else (1 - decay**steps) / (1 - decay)
    return np.maximum(weight, 1).astype(np.float32)


def span(hours: Integers) -> range:
    """Return all hours from the first to the last of ascending ones."""
    return range(int(hours[0]), int(hours[-1]) + 1)


def smooth_cells(values: Values, in_coverage: Booleans, width: float) -> Values:
    """Return the Gaussian mean of values (days, cells) over covered cells, in row-major order, shape (days, cells).

    `width` is the standard deviation in cells; 0 leaves the values as they are. Division by the smoothed coverage keeps
    cells at its edge from losing rate to cells without sensors.
    """
    if width == 0:
        return values
    share = gaussian_filter(in_coverage.astype(np.float64), width, mode="constant")[in_coverage]
    smooth = np.empty(values.shape)
    at_once = max(MAX_NUMBERS_AT_ONCE // in_coverage.size, 1)
    for first in range(0, len(values), at_once):
        part = values[first : first + at_once]
        maps = np.zeros((len(part), *in_coverage.shape))
        maps[:, in_coverage] = part
        blurred = gaussian_filter(maps, (0, width, width), mode="constant")
        smooth[first : first + at_once] = blurred[:, in_coverage] / share
    return smooth


def smoothing_weights(in_coverage: Booleans, width: float) -> csr_array:
    """Return Gaussian weights of all covered cells (columns) in the mean around each (rows), shape (cells, cells)."""
    cells = cKDTree(np.argwhere(in_coverage))
    near = cells.sparse_distance_matrix(cells, MAX_DISTANCE * width, output_type="ndarray")
    weight = np.exp(-(near["v"] ** 2) / (2 * width**2))
    weights = csr_array((weight, (near["i"], near["j"])), shape=(cells.n, cells.n))
    weights.data /= np.repeat(weights.sum(axis=1), np.diff(weights.indptr))
    return weights.astype(np.float32)


def weighted_cells(values: npt.NDArray[np.floating], weights: csr_array) -> Singles:
    """Return means around each cell by `smoothing_weights` of mostly empty maps, shape (hours, cells)."""
    return np.asarray((csr_array(values) @ weights.T).toarray())
