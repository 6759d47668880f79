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


def pulled_regression(rows: Array, labels: npt.NDArray[np.bool_], towards: Array) -> tuple[Array, float]:
    """(weights, intercept) that minimise the summed log loss + |weights - towards|^2 / (2 `INVERSE_PENALTY`).

    Args:
        rows: standardised inputs, shape (rows, inputs).
        labels: shape (rows,).
        towards: the other city's weights for these inputs, shape (inputs,).
    """
    offset = rows @ towards
    design = np.column_stack([rows, np.ones(len(rows))])
    # The intercept is the city's own level and is not penalised.
    penalty = np.append(np.full(rows.shape[1], 1 / INVERSE_PENALTY), 0.0)

    def loss(off: Array) -> tuple[float, Array]:
        logit = offset + design @ off
        value = np.logaddexp(0, logit).sum() - logit[labels].sum() + (penalty * off**2).sum() / 2
        return float(value), design.T @ (expit(logit) - labels) + penalty * off

    def curvature(off: Array) -> Array:
        p = expit(offset + design @ off)
        return design.T @ (design * (p * (1 - p))[:, None]) + np.diag(penalty)

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
