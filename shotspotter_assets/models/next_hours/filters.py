"""Exponentially weighted rates of the hours before, by recursive filters in single precision, and means over space.

An hour is named by its index on the hour axis; a mean at hour t is of hours before t only.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.sparse import csr_array

Singles = npt.NDArray[np.float32]


def span(hours: npt.NDArray[np.int64]) -> range:
    """All hours from the first to the last of ascending ones."""
    return range(int(hours[0]), int(hours[-1]) + 1)


def recursive_mean(values: Singles, hours: range, half_life: float) -> Singles:
    """Exponentially weighted mean of the hours before each of `hours`, shape (len(hours), ...).

    m_t = sum over s < t of a^(t-1-s) x_s / sum over s < t of a^(t-1-s), a = 2^(-1 / half_life); an infinite half-life
    gives the mean of all hours before. The state at the first hour is one weighted sum, so that a forecast from one
    hour costs one pass and no filter over all hours.
    """
    state = decayed_sum(values[: hours.start], half_life)
    return _filtered(state, values[hours.start : hours.stop - 1], hours, half_life)


def decayed_sum(before: Singles, half_life: float) -> Singles:
    """Sum over the hours before of a^(hours gone by) x, shape (...)."""
    # What is forty half-lives old weighs less than single precision can tell.
    before = before[-int(min(len(before), 40 * half_life)) or None :]
    weights = (2.0 ** (-1.0 / half_life)) ** np.arange(len(before) - 1, -1, -1, dtype=np.float64)
    return (weights.astype(np.float32) @ before).astype(np.float32)


def _filtered(state: Singles, during: Singles, hours: range, half_life: float) -> Singles:
    decay = 2.0 ** (-1.0 / half_life)
    coefficients = np.array([1.0], np.float32), np.array([1.0, -decay], np.float32)
    sums = np.empty((len(hours), *during.shape[1:]), np.float32)
    sums[0] = state
    sums[1:] = lfilter(*coefficients, during, axis=0, zi=np.float32(decay) * state[None])[0]
    steps = np.arange(hours.start, hours.stop)
    weight = steps if np.isinf(half_life) else (1 - decay**steps) / (1 - decay)
    sums /= np.maximum(weight, 1).astype(np.float32).reshape(-1, *[1] * (during.ndim - 1))
    return sums


def smoothing_weights(covered: npt.NDArray[np.bool_], width: float) -> Singles:
    """Gaussian weights of all covered cells (columns) in the mean around each (rows), shape (cells, cells)."""
    row, column = np.nonzero(covered)
    squared = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    weight = np.exp(-squared / (2 * width**2))
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


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
