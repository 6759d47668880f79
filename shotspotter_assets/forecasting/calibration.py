"""Blends log odds of several forecasts into one, calibrated on a validation window and drawn towards doing nothing.

One forecast alone makes this Platt's scaling (Platt 1999): slope and shift of its log odds.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from shotspotter_assets.forecasting.probability import clip_probability

Array = npt.NDArray[np.float64]

WEIGHT_DEVIATION: Final = 0.3
"""Prior standard deviation of each weight around the equal share."""
SLOPE_DEVIATION: Final = 0.05
"""Of the weights' sum around one."""
SHIFT_DEVIATION: Final = 0.01
"""Of the shift around zero. Levels drift from one quarter to the next by far more than a validation window errs."""


@dataclass(frozen=True)
class Blend:
    """p = 1 / (1 + exp(-(centre + shift + sum over members of weight x (log odds - centre)))).

    The centre is the mean log odds of the validation window, each weighing p (1 - p): a slope around it leaves the
    expected number of alerts as it is, so that slope and shift do not correct each other.
    """

    weights: tuple[float, ...]
    shift: float
    centre: float

    def probability(self, members: list[Array]) -> Array:
        """Blended probabilities of the members' probabilities, all of one shape."""
        logits = sum(
            (weight * (_logit(of) - self.centre) for weight, of in zip(self.weights, members, strict=True)),
            start=np.zeros(members[0].shape),
        )
        return clip_probability(expit(logits + self.centre + self.shift))


def fit_blend(members: list[Array], observed: npt.NDArray[np.bool_]) -> Blend:
    """The blend of least log loss on a validation window, shrunk to equal weights that sum to one, and no shift.

    Args:
        members: probabilities of each member, fitted without these days; each of the shape of `observed`.
        observed: what happened.
    """
    logits = np.stack([_logit(of).ravel() for of in members])
    mean = clip_probability(expit(logits.mean(axis=0)))
    centre = float(np.average(logits.mean(axis=0), weights=mean * (1 - mean)))
    logits -= centre
    signs = np.where(observed.ravel(), -1.0, 1.0)
    equal = 1 / len(members)

    def objective(parameters: Array) -> tuple[float, Array]:
        weights, shift = parameters[:-1], parameters[-1]
        blended = centre + shift + weights @ logits
        wrong = expit(signs * blended) * signs
        off = weights - equal
        slope_off = weights.sum() - 1
        penalty = (off @ off) / WEIGHT_DEVIATION**2 + slope_off**2 / SLOPE_DEVIATION**2 + shift**2 / SHIFT_DEVIATION**2
        gradient = np.append(
            logits @ wrong + off / WEIGHT_DEVIATION**2 + slope_off / SLOPE_DEVIATION**2,
            wrong.sum() + shift / SHIFT_DEVIATION**2,
        )
        return float(np.logaddexp(0, signs * blended).sum() + penalty / 2), gradient

    start = np.append(np.full(len(members), equal), 0.0)
    bounds = [(0.0, None)] * len(members) + [(None, None)]
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Blend(tuple(float(weight) for weight in found[:-1]), float(found[-1]), centre)


def _logit(probability: npt.NDArray[np.floating]) -> Array:
    kept = clip_probability(probability)
    return np.log(kept) - np.log1p(-kept)
