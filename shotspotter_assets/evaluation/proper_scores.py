"""Scores of whole distributions of counts, and the reliability of probabilities by isotonic regression.

Formulas follow Czado, Gneiting and Held (2009) for counts and the non-randomised PIT, Bracher et al. (2021) for the weighted
interval score, and Dimitriadis, Gneiting and Jordan (2021) for CORP. Of a forecast, F(n) is the probability of at most n
alerts. All scores are better the smaller they are.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from shotspotter_assets.storage.arrays import Array, Booleans, Values

LEVELS: Final = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # median, and ends of central 50, 80 and 95% intervals
SHARES: Final = (50, 80, 95)  # coverage of these intervals, percent
PIT_BINS: Final = 10
NEGLIGIBLE: Final = 1e-5  # probability beyond the counts that a ranked probability score sums over


def log_scores(chance: Array) -> Array:
    """Return -ln of the forecast probability of each observed number, in nats; finite for one that underflows to 0."""
    return np.asarray(-np.log(np.maximum(chance, np.finfo(float).tiny)))


def ranked_probability_scores(cumulative: Iterable[Array], number: Values) -> Array:
    """Return sum over k of (F(k) - 1[n <= k])^2 for each observed number n; `cumulative` yields F(0), F(1), ... of all."""
    score = np.zeros(number.shape)
    most = number.max(initial=0)
    for count, at_most in enumerate(cumulative):
        score += (at_most - (number <= count)) ** 2
        # Undefined probabilities (NaN) must end the sum, too.
        if count >= most and not (at_most <= 1 - NEGLIGIBLE).any():
            break
    return score


def weighted_interval_scores(quantiles: Array, number: Values, levels: Sequence[float] = LEVELS) -> Array:
    """Return twice the mean pinball loss of `quantiles`, shape (levels, ...), for each number, shape (...).

    With the median and the ends of central intervals it is their weighted interval score.
    """
    level_of = np.reshape(levels, (-1, *np.ones(number.ndim, int)))
    excess = number - quantiles
    return np.asarray(2 * np.maximum(level_of * excess, (level_of - 1) * excess).mean(axis=0))


def pit_cdf(below: Array, at_most: Array, share: float) -> float:
    """Return the mean non-randomised PIT at `share`, given F(n - 1) and F(n) of each observed number n."""
    width = np.maximum(at_most - below, np.finfo(float).tiny)
    return float(np.where(at_most <= share, 1.0, np.clip((share - below) / width, 0, 1)).mean())


def pit_histogram(below: Array, at_most: Array) -> list[float]:
    """Return the share of the PIT in each of `PIT_BINS` equal bins; all are alike if forecasts are calibrated."""
    edges = [pit_cdf(below, at_most, edge / PIT_BINS) for edge in range(PIT_BINS + 1)]
    return np.diff(edges).tolist()


def central_coverage(below: Array, at_most: Array, percent: int) -> float:
    """Return the share of the PIT in the central interval; of calibrated forecasts it equals `percent`, if numbers are few, too.

    It is the coverage of central intervals whose ends are randomised, so that they hold exactly `percent`.
    """
    ends = ((100 + percent) / 200, (100 - percent) / 200)
    upper, lower = (pit_cdf(below, at_most, share) for share in ends)
    return upper - lower


def pit_slope(below: Array, at_most: Array, week: Values) -> tuple[float, float | None]:
    """Return the slope b of the PIT's density 1 + b (u - 1/2), and the p value of b = 0.

    p is None for a single week, and without any alert, because weeks then vary too little for a test.

    The score at b = 0 is the excess of the PIT over 1/2. Its sums by `week` (any labels) are the values of a two-sided t test,
    as neighbouring days depend on each other.
    """
    from scipy.stats import ttest_1samp

    excess = (below + at_most) / 2 - 0.5
    sums = np.bincount(np.unique(week, return_inverse=True)[1], weights=excess)
    is_testable = len(sums) > 1 and below.any()
    return 12 * float(excess.mean()), float(ttest_1samp(sums, 0).pvalue) if is_testable else None


def recalibrated(probability: Values, observed: Booleans) -> Array:
    """Return forecasts recalibrated by isotonic regression (CORP), all of shape (forecasts,)."""
    from sklearn.isotonic import IsotonicRegression

    return np.asarray(IsotonicRegression(y_min=0, y_max=1).fit_transform(probability, observed), np.float64)


def corp(probability: Values, observed: Booleans) -> dict[str, float]:
    """Return the decomposition of the mean Brier score: miscalibration - discrimination + uncertainty."""
    best = np.mean((recalibrated(probability, observed) - observed) ** 2)
    uncertainty = observed.mean() * (1 - observed.mean())
    return {
        "miscalibration": float(np.mean((probability - observed) ** 2) - best),
        "discrimination": float(uncertainty - best),
        "uncertainty": float(uncertainty),
    }
