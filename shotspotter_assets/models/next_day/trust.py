"""Whom a stack trusts: a Gaussian over the weights of its members, moved by what they forecast and what came.

The stack's log odds are c + a + sum_k w_k (l_k - c): l_k the log odds of member k, c a fixed centre (log odds of the city's
rate), a the offset that keeps the level right. Weights and offset have a Gaussian prior around the weights that other cities
learned; each week of forecasts moves it by one step of Laplace's approximation (Bishop 2006, section 4.5.2, made recursive),
so that what was learned is a mean and a precision, however long the past. The offset drifts from week to week. With w_k = 1
for one member and a = 0 the stack is that member.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Array = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

WEEK: Final = 7
OFFSET_DRIFT: Final = 1e-3
"""Variance that the offset gains in a week: the level that a city's forecasts are off by changes with time."""
TOLERANCE: Final = 1e-9
MAX_STEPS: Final = 50


@dataclass(frozen=True)
class Trust:
    """A Gaussian over the members' weights and, last, the offset.

    Attributes:
        mean: shape (members + 1,).
        precision: shape (members + 1, members + 1).
    """

    mean: Array
    precision: Array

    def log_odds(self, logits: Array, centre: float) -> Array:
        """Of the stack, shape (...), from those of the members, shape (..., members)."""
        return np.asarray(centre + self.mean[-1] + (logits - centre) @ self.mean[:-1])

    def after(self, logits: Array, observed: Booleans, centre: float) -> "Trust":
        """What is believed once these forecasts are known to have come true or not.

        Args:
            logits: of the members, shape (rows, members).
            observed: shape (rows,).
            centre: see the module.
        """
        rows = np.column_stack([logits - centre, np.ones(len(logits))])
        weights = self.mean
        for _ in range(MAX_STEPS):
            p = expit(centre + rows @ weights)
            precision = self.precision + (rows * (p * (1 - p))[:, None]).T @ rows
            step = np.linalg.solve(precision, rows.T @ (p - observed) + self.precision @ (weights - self.mean))
            weights = weights - step
            if np.abs(step).max() < TOLERANCE:
                break
        # A step of a random walk of the offset, by the Sherman-Morrison formula.
        column = precision[:, -1]
        return Trust(weights, precision - OFFSET_DRIFT * np.outer(column, column) / (1 + OFFSET_DRIFT * column[-1]))
