"""A thin city starts at another city's regression: the penalty pulls towards its weights instead of towards zero."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import t

Array = npt.NDArray[np.float64]

INVERSE_PENALTY: Final = 1e-4
"""Of the distance from the other city's weights; stronger than what a year of data chooses well by itself."""
CHANCE: Final = 0.01
"""How often chance alone may keep a city from starting at another one."""
WEEK: Final = 7
ROWS_AT_ONCE: Final = 2**14
"""Weighted at a time: a long history has a million rows, which are not to be copied as a whole."""


def pulled_regression(rows: Array, labels: npt.NDArray[np.bool_], towards: Array) -> tuple[Array, float]:
    """(weights, intercept) that minimise the summed log loss + |weights - towards|^2 / (2 `INVERSE_PENALTY`).

    Args:
        rows: standardised inputs, shape (rows, inputs).
        labels: shape (rows,).
        towards: the other city's weights for these inputs, shape (inputs,).
    """
    offset = rows @ towards
    # The intercept, the last one, is the city's own level and is not penalised.
    penalty = np.append(np.full(rows.shape[1], 1 / INVERSE_PENALTY), 0.0)

    def loss(off: Array) -> tuple[float, Array]:
        logit = offset + rows @ off[:-1] + off[-1]
        value = np.logaddexp(0, logit).sum() - logit[labels].sum() + (penalty * off**2).sum() / 2
        error = expit(logit) - labels
        return float(value), np.append(error @ rows, error.sum()) + penalty * off

    def curvature(off: Array) -> Array:
        p = expit(offset + rows @ off[:-1] + off[-1])
        weight = p * (1 - p)
        second = np.diag(penalty)
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[first : first + ROWS_AT_ONCE]
            second[:-1, :-1] += part.T @ (part * weight[first : first + ROWS_AT_ONCE, None])
        second[:-1, -1] = second[-1, :-1] = weight @ rows
        second[-1, -1] = weight.sum()
        return second

    start = np.append(np.zeros(rows.shape[1]), np.log(labels.mean() / (1 - labels.mean())) - offset.mean())
    off = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-5}).x
    return towards + off[:-1], float(off[-1])


def is_beyond_chance(daily_gain: Array) -> bool:
    """Whether gains (nats) of the days of a validation window sum to more than the chance of their weeks explains.

    Student's t of the weeks' sums. The two months on which a thin city validates are noise for the most part: chosen by
    the smaller loss there, a start at another city would be given up as often as not.
    """
    weeks = len(daily_gain) // WEEK
    if weeks < 2:
        return False
    weekly = daily_gain[-WEEK * weeks :].reshape(weeks, WEEK).sum(axis=1)
    return bool(weekly.sum() > t.ppf(1 - CHANCE, weeks - 1) * weekly.std(ddof=1) * np.sqrt(weeks))
