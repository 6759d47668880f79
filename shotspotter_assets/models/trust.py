"""Whom a stack trusts: a Gaussian over the weights of its members, moved by what they forecast and what came.

The stack's log odds are c + a + sum_k w_k (l_k - c): l_k the log odds of member k, c a fixed centre (log odds of the city's
rate), a the offset that keeps the level right. Weights and offset have a Gaussian prior around the weights that other cities
learned; each week of forecasts moves it by one step of Laplace's approximation (Bishop 2006, section 4.5.2, made recursive),
so that what was learned is a mean and a precision, however long the past. The offset drifts from week to week. With w_k = 1
for one member and a = 0 the stack is that member.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from shotspotter_assets.models.probability import clip_probability

Array = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

WEIGHT_PRECISION: Final = 300.0
"""Of each prior weight: how strongly it holds against what the city's own forecasts say."""
STRANGER_PRECISION: Final = 3000.0
"""The same of a member that other cities did not have: it starts at no weight, and has to show more to get some."""
OFFSET_PRECISION: Final = 50.0
OFFSET_DRIFT: Final = 1e-3
"""Variance that the offset gains in a week: the level that a city's forecasts are off by changes with time."""
TOLERANCE: Final = 1e-9
MAX_STEPS: Final = 50
SHARES: Final = (
    (0.9, "nearly all"),
    (0.55, "mostly"),
    (0.45, "half"),
    (0.36, "two fifths"),
    (0.29, "a third"),
    (0.225, "a quarter"),
    (0.15, "a fifth"),
    (0.075, "a tenth"),
)
"""Words for shares of the weights from these on."""


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


def prior_trust(
    members: Sequence[str], weights: Mapping[str, float], offset_precision: float = OFFSET_PRECISION
) -> Trust:
    """What is believed of these members before any of their forecasts, given the `weights` that other cities learned."""
    mean = np.array([*(weights.get(name, 0.0) for name in members), 0.0])
    # Members that are left out leave their weight to the others.
    if mean.any():
        mean *= sum(weights.values()) / mean.sum()
    else:
        mean[:-1] = 1 / len(members)
    precision = [WEIGHT_PRECISION if name in weights else STRANGER_PRECISION for name in members]
    return Trust(mean, np.diag([*precision, offset_precision]))


def logits_of(probabilities: Mapping[str, Array]) -> Array:
    """Log odds of the members' forecasts, shape (..., members)."""
    return np.stack([logit(clip_probability(probability)) for probability in probabilities.values()], axis=-1)


def learn(
    trust: Trust, logits: Array, observed: Booleans, week: npt.NDArray[np.int64], weeks: int, centre: float
) -> list[Trust]:
    """The trust before the first of `weeks` weeks and after each of them; a week that teaches nothing changes nothing.

    Args:
        trust: before the first week.
        logits: of the members in the periods that teach, shape (periods, cells, members).
        observed: shape (periods, cells).
        week: of each period, from 0 on, shape (periods,).
        weeks: how many there are.
        centre: see the module.
    """
    by_week = [trust]
    for number in range(weeks):
        rows = week == number
        if rows.any():
            trust = trust.after(logits[rows].reshape(-1, logits.shape[-1]), observed[rows].ravel(), centre)
        by_week.append(trust)
    return by_week


def combine(
    by_week: Sequence[Trust],
    weeks: npt.NDArray[np.int64],
    logits: Array,
    centre: float,
    fireworks: Booleans,
    regime: int | None,
) -> Array:
    """Probability by the stack, shape (periods, cells), each period with what is believed after so many `weeks`.

    In periods of fireworks it is the mean of that and of the probability by a member that has a regime for them, if there is
    one: such days are too few to learn weights from, and the regime of a city that has seen few of them may be far off.

    Args:
        by_week: see `learn`.
        weeks: known before each period, shape (periods,).
        logits: of the members, shape (periods, cells, members).
        centre: see the module.
        fireworks: shape (periods,).
        regime: the member's number.
    """
    log_odds = [by_week[week].log_odds(one, centre) for week, one in zip(weeks, logits, strict=True)]
    probability = expit(np.array(log_odds))
    if regime is not None:
        probability[fireworks] = (probability[fireworks] + expit(logits[fireworks, :, regime])) / 2
    return clip_probability(probability)


def in_words(weights: Mapping[str, float]) -> str:
    """Weights as people say them, as "mostly residual_boosting, a fifth ewma"."""
    total = sum(abs(weight) for weight in weights.values())
    shares = {name: weight / total for name, weight in sorted(weights.items(), key=lambda item: -abs(item[1]))}
    parts = []
    for name, share in shares.items():
        words = next((words for least, words in SHARES if abs(share) >= least), "")
        if words:
            parts.append(f"{'less ' if share < 0 else ''}{words} {name}")
    return ", ".join(parts) or "a little of every member"


def files_within(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a member as a stack stores them: each starts with the member's name."""
    return {f"{name}.{file}": data for file, data in files.items()}


def files_of(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A member's own files among those of its stack; undoes `files_within`."""
    start = f"{name}."
    return {file.removeprefix(start): data for file, data in files.items() if file.startswith(start)}
