"""Logistic regression that is shrunk towards given weights, as those of a city towards those of all cities."""

from typing import Final

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from shotspotter_assets.storage.arrays import Array, Booleans

BLOCK_ROWS: Final = 2**14  # rows weighted at a time, so that a history of a million rows is never copied whole
MIN_SCALE: Final = 1e-6  # standard deviation below which an input is constant


def fit_shrunk_regression(
    inputs: Array,
    labels: Booleans,
    prior_weights: Array,
    inverse_penalty: float | Array,
    sample_weight: Array | None = None,
    start: Array | None = None,
) -> tuple[Array, float]:
    """Return (weights, intercept) of least summed log loss + sum (weights - prior_weights)^2 / (2 `inverse_penalty`).

    `inputs` are standardised, shape (rows, inputs). `inverse_penalty` is the variance of all weights around the prior
    ones, or of each, shape (inputs,). `sample_weight` counts the rows, once by default. The search starts at `start`,
    weights and, last, the intercept; at the prior weights by default.
    """
    counted = np.ones(len(labels)) if sample_weight is None else sample_weight
    prior_logit = inputs @ prior_weights
    # The intercept, the last one, is not penalised.
    penalty = np.append(np.broadcast_to(1 / np.asarray(inverse_penalty), inputs.shape[1]), 0.0)

    def loss(difference: Array) -> tuple[float, Array]:
        logit = prior_logit + inputs @ difference[:-1] + difference[-1]
        value = counted @ (np.logaddexp(0, logit) - logit * labels) + (penalty * difference**2).sum() / 2
        error = counted * (expit(logit) - labels)
        return float(value), np.append(error @ inputs, error.sum()) + penalty * difference

    def curvature(difference: Array) -> Array:
        p = expit(prior_logit + inputs @ difference[:-1] + difference[-1])
        weight = counted * p * (1 - p)
        hessian = np.diag(penalty)
        for first in range(0, len(inputs), BLOCK_ROWS):
            block = inputs[first : first + BLOCK_ROWS]
            hessian[:-1, :-1] += block.T @ (block * weight[first : first + BLOCK_ROWS, None])
        hessian[:-1, -1] = hessian[-1, :-1] = weight @ inputs
        hessian[-1, -1] = weight.sum()
        return hessian

    if start is None:
        rate = np.average(labels, weights=counted)
        level = np.log(rate / (1 - rate)) - np.average(prior_logit, weights=counted)
        first_guess = np.append(np.zeros(inputs.shape[1]), level)
    else:
        first_guess = start - np.append(prior_weights, 0.0)
    # BLAS threads wait for each other by spinning: on a machine in use two take many times as long as one.
    with threadpool_limits(1):
        best = minimize(loss, first_guess, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-5}).x
    return prior_weights + best[:-1], float(best[-1])


def standardise(rows: Array, sample_weight: Array | None) -> tuple[Array, Array]:
    """Standardise inputs in place, because a long history has a million rows; return each one's (mean, standard deviation)."""
    weight = np.ones(len(rows)) if sample_weight is None else sample_weight
    mean = weight @ rows / weight.sum()
    rows -= mean
    scale = np.sqrt(np.einsum("r,ri,ri->i", weight, rows, rows) / weight.sum())
    # Such as the flag of firework days.
    constant = scale < MIN_SCALE
    scale[constant] = 1.0
    rows /= scale
    rows[:, constant] = 0.0
    return mean, scale
