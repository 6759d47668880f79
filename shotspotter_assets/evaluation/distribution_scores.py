"""Scores of the served distribution of numbers, by cell and of the city's total, compared with a negative binomial of a year."""

from collections.abc import Mapping
from itertools import count
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation import proper_scores
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.evaluation.score_rows import ALL, Rows, Score, gain_name
from shotspotter_assets.grid.dates import dates_of, weeks
from shotspotter_assets.models.alert_counts import CountDistribution, total_of_sums
from shotspotter_assets.models.year_reference import negative_binomial
from shotspotter_assets.storage.arrays import Array, Days, Integers
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
    quantiles = np.stack([forecast.ppf(level) for level in proper_scores.LEVELS])
    cumulative = (forecast.cdf(at_most) for at_most in count())
    return {
        "log_score": proper_scores.log_scores(forecast.pmf(number)),
        "rps": proper_scores.ranked_probability_scores(cumulative, number),
        "wis": proper_scores.weighted_interval_scores(quantiles, number),
    }


def _calibration(forecast: Any, totals: CityTotals) -> dict[str, float | None]:
    """Return coverage, PIT and its slope with the p value, of a distribution of the city's number."""
    below = forecast.cdf(totals.number - 1)
    at_most = forecast.cdf(totals.number)
    tenths = proper_scores.pit_histogram(below, at_most)
    slope, p = proper_scores.pit_slope(below, at_most, weeks(totals.days))
    return {
        **{
            f"coverage_{share}": proper_scores.central_coverage(below, at_most, share) for share in proper_scores.SHARES
        },
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
    ranked = proper_scores.ranked_probability_scores(cells.cumulative(), number)
    rows = {
        (COUNTS, ALL, SERVED, "log_score_cells"): Score(float(proper_scores.log_scores(cells.pmf(number)).mean())),
        (COUNTS, ALL, SERVED, "rps_cells"): Score(float(ranked.mean())),
    }
    for name, forecast in totals.forecasts.items():
        means = {score: float(loss.mean()) for score, loss in losses[name].items()}
        for score, value in (means | _calibration(forecast, totals)).items():
            rows[COUNTS, ALL, name, f"{score}_city"] = Score(value)
    for score in ("log_score", "rps"):
        by_name = {name: losses[name][score] for name in losses}
        gain = weekly_gain(weekly_sums(totals.days, np.ones(len(totals.days)), by_name), SERVED, YEAR)
        rows[COUNTS, ALL, SERVED, f"{score}_city_{gain_name(YEAR)}"] = Score(gain.gain, gain.low, gain.high)
    return rows
