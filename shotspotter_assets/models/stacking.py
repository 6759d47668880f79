"""Bayesian stacking weights, updated weekly from forecasts and outcomes.

The log odds of a stack are c + a + sum_k w_k (l_k - c): l_k the log odds of member k, c a fixed centre (log odds of the city's
rate), a the offset that keeps the level right. Weights and offset have a Gaussian prior around the weights that other cities
learned. Each week of forecasts moves it by one step of Laplace's approximation (Bishop 2006, section 4.5.2, made recursive), so
that all past weeks are held by a mean and a precision. The offset drifts from week to week.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import expit, logit

from shotspotter_assets.models.forecaster import Numbers, clip_probability
from shotspotter_assets.storage.arrays import Array, Booleans, Integers

WEIGHT_PRECISION: Final = 300.0  # precision of the prior of a weight
NEW_MEMBER_SHARE: Final = 0.1  # maximum share of the prior weights of a member without one from other cities
OFFSET_PRECISION: Final = 50.0
OFFSET_DRIFT: Final = 1e-3  # variance that the offset gains in a week: the level of a city changes with time
TOLERANCE: Final = 1e-9
MAX_STEPS: Final = 50


@dataclass(frozen=True)
class WeightPosterior:
    """A Gaussian over the members' weights and, last, the offset."""

    members: tuple[str, ...]  # names
    centre: float  # log odds, see the module
    mean: Numbers  # shape (members + 1,)
    precision: Numbers  # shape (members + 1, members + 1)

    @classmethod
    def prior(cls, members: Sequence[str], centre: float, weights: Mapping[str, float]) -> "WeightPosterior":
        """Return the Gaussian around other cities' `weights`; absent members leave theirs, new ones take `NEW_MEMBER_SHARE`."""
        mean = np.array([*(weights.get(name, 0.0) for name in members), 0.0])
        if mean.any():
            new = [name not in weights for name in members]
            total = sum(weights.values())
            share = min(NEW_MEMBER_SHARE, 1 / len(members))
            mean *= total * (1 - share * sum(new)) / mean.sum()
            mean[:-1][new] = total * share
        else:
            mean[:-1] = 1 / len(members)
        return cls(tuple(members), centre, mean, np.diag([*[WEIGHT_PRECISION] * len(members), OFFSET_PRECISION]))

    @property
    def weights(self) -> dict[str, float]:
        """Mean weight by member."""
        return dict(zip(self.members, self.mean[:-1].tolist(), strict=True))

    @property
    def in_words(self) -> str:
        """Shares of the weights, as "residual_boosting 60%, ew_kde 40%"."""
        weights = sorted(self.weights.items(), key=lambda item: -abs(item[1]))
        total = sum(abs(weight) for _, weight in weights)
        return ", ".join(f"{name} {weight / total:.0%}" for name, weight in weights)

    @property
    def summary(self) -> dict[str, object]:
        """Weights and offset in numbers and in words, as records and reports show them."""
        weights = {name: round(weight, 4) for name, weight in self.weights.items()}
        return {"weights": weights, "offset": round(float(self.mean[-1]), 4), "in_words": self.in_words}

    def log_odds(self, logits: Array) -> Array:
        """Return log odds of the stack, shape (...), from those of the members, shape (..., members)."""
        return np.asarray(self.centre + self.mean[-1] + (logits - self.centre) @ self.mean[:-1])

    def after(self, logits: Array, observed: Booleans) -> "WeightPosterior":
        """Return the posterior given outcomes (rows,) of forecasts, log odds of shape (rows, members)."""
        rows = np.column_stack([logits - self.centre, np.ones(len(logits))])
        weights = self.mean
        for _ in range(MAX_STEPS):
            p = expit(self.centre + rows @ weights)
            precision = self.precision + (rows * (p * (1 - p))[:, None]).T @ rows
            step = np.linalg.solve(precision, rows.T @ (p - observed) + self.precision @ (weights - self.mean))
            weights = weights - step
            if np.abs(step).max() < TOLERANCE:
                break
        # A step of a random walk of the offset, by the Sherman-Morrison formula.
        column = precision[:, -1]
        drifted = precision - OFFSET_DRIFT * np.outer(column, column) / (1 + OFFSET_DRIFT * column[-1])
        return replace(self, mean=weights, precision=drifted)

    def by_week(
        self, logits: Array, observed: Booleans, week: Integers, weeks: int, ordinary: Booleans
    ) -> list["WeightPosterior"]:
        """Return the posterior before the first of `weeks` weeks and after each; one without periods changes nothing.

        `logits` of the members have the shape (periods, cells, members), `observed` (periods, cells). `week`, from 0
        on, and `ordinary`, whether to learn from it, are of each period, shape (periods,).
        """
        posteriors = [self]
        for number in range(weeks):
            rows = ordinary & (week == number)
            last = posteriors[-1]
            if rows.any():
                last = last.after(logits[rows].reshape(-1, logits.shape[-1]), observed[rows].ravel())
            posteriors.append(last)
        return posteriors


def logits_of(probabilities: Mapping[str, Array]) -> Array:
    """Return log odds of the members' forecasts, shape (..., members)."""
    return np.stack([logit(clip_probability(probability)) for probability in probabilities.values()], axis=-1)


def combine(
    by_week: Sequence[WeightPosterior], weeks: Integers, logits: Array, fireworks: Booleans, regimes: Sequence[str]
) -> Array:
    """Return the probability by the stack, shape (periods, cells), each period with the weights after its number of `weeks`.

    In periods of fireworks it is the mean of that and of the probability by the first of `regimes`, members with a regime
    for them, in the stack: such days are too few to learn weights from, and where they are rare the regime may be far off.
    `logits` have the shape (periods, cells, members), `weeks` and `fireworks` (periods,).
    """
    log_odds = [by_week[week].log_odds(of_period) for week, of_period in zip(weeks, logits, strict=True)]
    probability = expit(np.array(log_odds))
    members = by_week[0].members
    regime = next((members.index(name) for name in regimes if name in members), None)
    if regime is not None:
        probability[fireworks] = (probability[fireworks] + expit(logits[fireworks, :, regime])) / 2
    return clip_probability(probability)
