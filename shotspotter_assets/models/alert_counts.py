"""Number of alerts given the probability of at least one: a hurdle with a zero-truncated negative binomial.

Alerts come in bursts, so a Poisson distribution with the same probability of none has far too few cells with many.
P(N = 0) = 1 - p, and for k >= 1 P(N = k) = p f(k) / (1 - f(0)), with f the negative binomial of mean m and size r
(variance m + m^2 / r). log m = a + b log(-log(1 - p)), as a place of many alerts has more bursts; m and r have values of their
own on firework days where the training window has enough of them (Cameron and Trivedi 2013, Regression Analysis of
Count Data, 4.4 and 4.5).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import nbinom

from shotspotter_assets.arrays import Array, Booleans
from shotspotter_assets.models.model_files import StoredModel

MIN_POSITIVES: Final = 20  # occupied cells on firework days, and on others, for separate values of firework days
INTERVAL: Final = (0.1, 0.9)  # quantiles at the ends of the 80% interval of totals
FIREWORK_VARIANCE: Final = 0.7
"""Variance of a factor of mean 1 shared by all cells on firework days: likeliest in Washington DC in 2016 and 2017."""


@dataclass(frozen=True)
class AlertCounts(StoredModel):
    """The fitted distribution of the number of alerts given the probability p of at least one.

    `probability` and `fireworks` (True for periods of fireworks) of all methods have any shapes that broadcast.
    """

    intercept: tuple[float, float]  # a, and what firework days add to it
    growth: float  # b
    size: tuple[float, float]  # log r, and what firework days add to it
    city_variance: float  # of a factor of mean 1 that all cells of a period share

    @classmethod
    def fit(cls, counts: npt.NDArray[np.integer], probability: Array, fireworks: Booleans) -> "AlertCounts":
        """Return the distribution of maximum likelihood. Raises ValueError if no cell has an alert.

        Counts and probability, best of days that its model was not fitted on, are (periods, cells), fireworks (periods,).
        """
        some = counts > 0
        if not some.any():
            raise ValueError(
                f"None of {counts.size} cells and periods has an alert; fit the counts on a longer window."
            )
        number, log_expected = counts[some].astype(np.float64), np.log(-np.log1p(-probability[some]))
        night = np.broadcast_to(fireworks[:, None], counts.shape)[some]
        has_enough_fireworks = min(night.sum(), (~night).sum()) >= MIN_POSITIVES
        more = night * has_enough_fireworks

        def loss(values: Array) -> float:
            intercept, growth, size, intercept_more, size_more = values
            mean = np.exp(intercept + intercept_more * more + growth * log_expected)
            # Penalties keep the numbers finite where every count is one; they weigh as little as one alert.
            return float((0.01 * values**2).sum() - _log_truncated(number, mean, np.exp(size + size_more * more)).sum())

        bounds = [(-12, 6), (0, 2), (-6, 5), (-6, 6), (-6, 6)]
        start = np.array([0.0, 0.2, 0.0, 0.0, 0.0])
        intercept, growth, size, intercept_more, size_more = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
        fitted = cls(
            (intercept, intercept_more * has_enough_fireworks), growth, (size, size_more * has_enough_fireworks), 0.0
        )
        return replace(fitted, city_variance=_shared_variance(fitted, counts, probability, fireworks))

    def expected(self, probability: Array, fireworks: Booleans) -> Array:
        mean, size = self._parameters(probability, fireworks)
        return probability * mean / _more_than_none(mean, size)

    def variance(self, probability: Array, fireworks: Booleans) -> Array:
        """Return the variance of the number of alerts of one cell."""
        mean, size = self._parameters(probability, fireworks)
        square = (mean + mean**2 / size + mean**2) / _more_than_none(mean, size)
        return probability * square - self.expected(probability, fireworks) ** 2

    def total_interval(self, probability: Array, fireworks: Booleans) -> tuple[Array, Array]:
        """Return (low, high) of the 80% interval of the alerts of all cells together, summed over the last axis.

        Their number is negative binomial with the total's mean and variance; the factor shared by all cells widens it.
        """
        mean = self.expected(probability, fireworks).sum(axis=-1)
        own = self.variance(probability, fireworks).sum(axis=-1)
        shared = self.city_variance + FIREWORK_VARIANCE * np.broadcast_to(fireworks, probability.shape)[..., 0]
        variance = np.maximum(own + shared * mean**2, 1.001 * mean)
        size = mean**2 / (variance - mean)
        low, high = (nbinom.ppf(share, size, size / (size + mean)) for share in INTERVAL)
        return low, high

    def _parameters(self, probability: Array, fireworks: Booleans) -> tuple[Array, Array]:
        intercept = self.intercept[0] + self.intercept[1] * fireworks
        mean = np.exp(intercept + self.growth * np.log(-np.log1p(-probability)))
        return mean, np.exp(self.size[0] + self.size[1] * fireworks)


def _shared_variance(
    fitted: AlertCounts, counts: npt.NDArray[np.integer], probability: Array, fireworks: Booleans
) -> float:
    """Return the variance, by moments, of the totals of ordinary periods beyond that of independent cells."""
    ordinary = ~fireworks if (~fireworks).any() else np.ones_like(fireworks)
    night = fireworks[ordinary, None]
    mean = fitted.expected(probability[ordinary], night).sum(axis=1)
    own = fitted.variance(probability[ordinary], night).sum(axis=1)
    beyond = (counts[ordinary].sum(axis=1) - mean) ** 2 - own
    return float(max(beyond.sum() / (mean**2).sum(), 0.0))


def _more_than_none(mean: Array, size: Array) -> Array:
    return -np.expm1(-size * np.log1p(mean / size))


def _log_truncated(number: npt.NDArray[np.number], mean: Array, size: Array) -> Array:
    log_all = (
        gammaln(number + size)
        - gammaln(size)
        - gammaln(number + 1)
        - size * np.log1p(mean / size)
        + number * (np.log(mean) - np.log(mean + size))
    )
    return log_all - np.log(_more_than_none(mean, size))
