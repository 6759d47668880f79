"""Scores of forecast distributions: of any counts, and of a city's alerts, compared with a negative binomial of a year.

Formulas follow Czado, Gneiting and Held (2009) for counts and the non-randomised PIT, and Bracher et al. (2021) for the
weighted interval score. Of a forecast, F(n) is the probability of at most n alerts. All scores are better the smaller they
are.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation.estimates import Estimate, weekly_gain, weekly_sums
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.score_rows import ALL, Rows, gain_name
from shotspotter_assets.grid.dates import dates_of, weeks
from shotspotter_assets.models.alert_counts import CountDistribution, negative_binomial, total_of_sums
from shotspotter_assets.storage.arrays import Array, Days, Integers, Values
from shotspotter_assets.storage.catalogue import FOLD_COUNTS

COUNTS: Final = "counts"  # facet of the scores of numbers
YEAR: Final = "year_reference"  # negative binomial on the mean of the last 365 known days
DISTRIBUTION_DEFINITIONS: Final = {  # of the facet `counts`, with `_city` for the city's total and `_cells` for cell-days
    "counts: log_score": "mean of -ln P(n), nats, by the served distribution or year_reference",
    "counts: rps": "mean of sum over k of (P(N <= k) - 1[n <= k])^2, the CRPS of a count",
    "counts: wis": "weighted interval score: twice the mean pinball loss of the 2.5, 10, 25, 50, 75, 90, 97.5% quantiles",
    "counts: gain_over_year_reference": "mean over days of (score of year_reference - score), with its 90% interval",
    "counts: coverage": "share of the PIT in the central 50, 80 or 95%; these are exact for calibrated forecasts",
    "counts: pit": "share of the non-randomised PIT of the city's total in each tenth; 10% if calibrated",
    "counts: pit_slope": "b of the PIT's density 1 + b (u - 1/2)",
    "counts: pit_p": "p value of b = 0: t test of weekly sums of the score",
}
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
    for reached, at_most in enumerate(cumulative):
        score += (at_most - (number <= reached)) ** 2
        # Undefined probabilities (NaN) must end the sum, too.
        if reached >= most and not (at_most <= 1 - NEGLIGIBLE).any():
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


class CityTotals(NamedTuple):
    """The city's number on each day, and its forecast distributions."""

    days: Days
    number: Integers  # shape (days,)
    forecasts: Mapping[str, Any]  # `scipy.stats.nbinom` of all days by method, `SERVED` and `YEAR`


def stored_distributions(counts: pa.Table) -> tuple[pa.Table, CountDistribution]:
    """Return the rows whose served distribution is stored, and this distribution."""
    stored = counts.select([*FOLD_COUNTS.schema.names, SERVED]).drop_null()
    return stored, CountDistribution.of_forecast(stored.rename_columns({SERVED: "expected"}))


def city_totals(stored: pa.Table, cells: CountDistribution) -> CityTotals:
    """Return the totals of all days of `stored_distributions`."""
    days, first, day = np.unique(dates_of(stored), return_index=True, return_inverse=True)
    sums = [np.bincount(day, values).astype(np.float64) for values in (cells.expected, cells.variance)]
    of_day = {name: stored[name].to_numpy()[first] for name in ("factor_variance", "year_mean", "year_size")}
    forecasts = {
        SERVED: total_of_sums(sums[0], sums[1], of_day["factor_variance"]),
        YEAR: negative_binomial(of_day["year_mean"], of_day["year_size"]),
    }
    return CityTotals(days, np.bincount(day, stored["alerts"]).astype(int), forecasts)


def city_losses(forecast: Any, number: Integers) -> dict[str, Array]:
    """Return the losses of a distribution of the city's number by score, each of shape (days,)."""
    quantiles = np.stack([forecast.ppf(level) for level in LEVELS])
    cumulative = (forecast.cdf(at_most) for at_most in count())
    return {
        "log_score": log_scores(forecast.pmf(number)),
        "rps": ranked_probability_scores(cumulative, number),
        "wis": weighted_interval_scores(quantiles, number),
    }


def _calibration(forecast: Any, totals: CityTotals) -> dict[str, float | None]:
    """Return coverage, PIT and its slope with the p value, of a distribution of the city's number."""
    below = forecast.cdf(totals.number - 1)
    at_most = forecast.cdf(totals.number)
    tenths = pit_histogram(below, at_most)
    slope, p = pit_slope(below, at_most, weeks(totals.days))
    return {
        **{f"coverage_{share}": central_coverage(below, at_most, share) for share in SHARES},
        **{f"pit_{tenth}": share for tenth, share in enumerate(tenths, 1)},
        "pit_slope": slope,
        "pit_p": p,
    }


def distribution_rows(counts: pa.Table) -> Rows:
    """Return the scores (`DISTRIBUTION_DEFINITIONS`) by method, with gains a day over `YEAR`; none if no distribution is stored."""
    stored, cells = stored_distributions(counts)
    if not len(stored):
        return {}
    totals = city_totals(stored, cells)
    losses = {name: city_losses(forecast, totals.number) for name, forecast in totals.forecasts.items()}
    number = stored["alerts"].to_numpy()
    ranked = ranked_probability_scores(cells.cumulative(), number)
    rows = {
        (COUNTS, ALL, SERVED, "log_score_cells"): Estimate(float(log_scores(cells.pmf(number)).mean())),
        (COUNTS, ALL, SERVED, "rps_cells"): Estimate(float(ranked.mean())),
    }
    for name, forecast in totals.forecasts.items():
        means = {score: float(loss.mean()) for score, loss in losses[name].items()}
        for score, value in (means | _calibration(forecast, totals)).items():
            rows[COUNTS, ALL, name, f"{score}_city"] = Estimate(value)
    for score in ("log_score", "rps"):
        by_name = {name: losses[name][score] for name in losses}
        gain = weekly_gain(weekly_sums(totals.days, np.ones(len(totals.days)), by_name), SERVED, YEAR)
        rows[COUNTS, ALL, SERVED, f"{score}_city_{gain_name(YEAR)}"] = gain
    return rows
