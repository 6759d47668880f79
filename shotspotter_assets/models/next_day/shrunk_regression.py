"""Logistic regression of a thin city, shrunk towards the weights of another city instead of towards zero."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import t

Array = npt.NDArray[np.float64]

INVERSE_PENALTY: Final = 1e-4
"""Of the distance from the prior weights; stronger than what a year of data chooses well by itself."""
CHANCE: Final = 0.01
"""How often chance alone may keep a city from starting at another one."""
WEEK: Final = 7
BLOCK_ROWS: Final = 2**14
"""Rows that are weighted at a time: a long history has a million rows, which are not to be copied as a whole."""


def fit_shrunk_regression(inputs: Array, labels: npt.NDArray[np.bool_], prior_weights: Array) -> tuple[Array, float]:
    """(weights, intercept) that minimise the summed log loss + sum (weights - prior_weights)^2 / (2 `INVERSE_PENALTY`).

    Args:
        inputs: standardised, shape (rows, inputs).
        labels: shape (rows,).
        prior_weights: the other city's weights of these inputs, shape (inputs,).
    """
    prior_logit = inputs @ prior_weights
    # The intercept, the last one, is the city's own and is not penalised.
    penalty = np.append(np.full(inputs.shape[1], 1 / INVERSE_PENALTY), 0.0)

    def loss(difference: Array) -> tuple[float, Array]:
        logit = prior_logit + inputs @ difference[:-1] + difference[-1]
        value = np.logaddexp(0, logit).sum() - logit[labels].sum() + (penalty * difference**2).sum() / 2
        error = expit(logit) - labels
        return float(value), np.append(error @ inputs, error.sum()) + penalty * difference

    def curvature(difference: Array) -> Array:
        p = expit(prior_logit + inputs @ difference[:-1] + difference[-1])
        weight = p * (1 - p)
        hessian = np.diag(penalty)
        for first in range(0, len(inputs), BLOCK_ROWS):
            block = inputs[first : first + BLOCK_ROWS]
            hessian[:-1, :-1] += block.T @ (block * weight[first : first + BLOCK_ROWS, None])
        hessian[:-1, -1] = hessian[-1, :-1] = weight @ inputs
        hessian[-1, -1] = weight.sum()
        return hessian

    start = np.append(np.zeros(inputs.shape[1]), np.log(labels.mean() / (1 - labels.mean())) - prior_logit.mean())
    found = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-5}).x
    return prior_weights + found[:-1], float(found[-1])


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
