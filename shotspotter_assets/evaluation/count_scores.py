"""Scores of forecast numbers of alerts: of whole distributions, and of means, by cell and for the city.

They are compared with a negative binomial of a year, and with the mean of each cell's counts. Formulas follow Czado,
Gneiting and Held (2009) for counts and the non-randomised PIT, and Bracher et al. (2021) for the weighted interval score.
Of a forecast, F(n) is the probability of at most n alerts. All scores are better the smaller they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import gammaln

from shotspotter_assets.evaluation.estimates import Estimate, weekly_gain, weekly_sums
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.score_rows import ALL, NO_MODEL, Rows, ScoreTable, gain_name, loss_rows
from shotspotter_assets.evaluation.scores import ratio
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
NumberScores = dict[str, dict[str, float | None]]  # by method and score (`COUNT_DEFINITIONS`)
MEAN_OF_COUNTS: Final = "mean_of_counts"  # mean number of the cell's earlier days
MIN_EXPECTED: Final = 1e-4
COUNT_DEFINITIONS: Final = {  # formulas of the scores of the facet `counts`
    "counts: log_loss": "Poisson log loss, mean(m - n ln m + ln n!), m >= 1e-4 the expected and n the observed number of alerts",
    "counts: rmse": "square root of mean((m - n)^2)",
    "counts: mae": "mean(|m - n|)",
    "counts: expected_over_observed": "sum(m) / sum(n)",
    "counts: within_80_cells": "share of cell-days with n in the 80% interval; above 80%, because n is mostly 0",
    "counts: within_80_city": "share of days with the city's number in its 80% interval",
    **DISTRIBUTION_DEFINITIONS,
}


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


def poisson_losses(expected: Array, number: npt.NDArray[np.number]) -> Array:
    """Return the Poisson log loss of each expected number in nats."""
    mean = np.maximum(expected, MIN_EXPECTED)
    return np.asarray(mean - number * np.log(mean) + gammaln(number + 1.0))


def counts_table(served: CountDistribution, columns: Mapping[str, Any]) -> pa.Table:
    """Return numbers of alerts and their forecasts (`catalogue.FOLD_COUNTS`); the shapes of all columns broadcast.

    An absent column that may be null is null, and so is an undefined value (NaN), as that of a first day without a year.
    """
    low, high = served.interval()
    of_served = {
        "low": low,
        "high": high,
        SERVED: served.expected,
        "probability": served.probability,
        "size": served.size,
    }
    columns = {**columns, **of_served}
    types = {field.name: field.type for field in FOLD_COUNTS.schema}
    in_order: dict[str, Any] = {name: columns.get(name) for name in dict.fromkeys([*types, *columns])}
    flat = {name: np.broadcast_to(values, served.expected.shape).ravel() for name, values in in_order.items()}
    arrays = {name: pa.array(values, from_pandas=True) for name, values in flat.items()}
    return pa.table({name: values.cast(types.get(name, pa.float64())) for name, values in arrays.items()})


def number_scores(counts: pa.Table) -> NumberScores:
    """Return the scores and gains of `count_rows` by method."""
    scores: NumberScores = {}
    for (_, _, name, score), row in count_rows(counts).items():
        scores.setdefault(name, {})[score] = row.value
    del scores[NO_MODEL]
    return scores


def _scores_of_means(counts: pa.Table) -> NumberScores:
    """Return the scores of each method of `counts_table`; coverage is that of the served one."""
    number = counts["alerts"].to_numpy()
    scores: NumberScores = {}
    for method in (name for name in counts.column_names if name not in FOLD_COUNTS.schema.names):
        expected = counts[method].to_numpy()
        error = expected - number
        scores[method] = {
            "log_loss": float(poisson_losses(expected, number).mean()),
            "expected_over_observed": ratio(float(expected.sum()), float(number.sum())),
            "rmse": float(np.sqrt((error**2).mean())),
            "mae": float(np.abs(error).mean()),
        }
    low, high, total_low, total_high = (counts[name].to_numpy() for name in ("low", "high", "total_low", "total_high"))
    _, first, day = np.unique(dates_of(counts), return_index=True, return_inverse=True)
    total = np.bincount(day, weights=number)
    in_city = (total >= total_low[first]) & (total <= total_high[first])
    in_cells = (number >= low) & (number <= high)
    scores[SERVED] |= {"within_80_cells": float(in_cells.mean()), "within_80_city": float(in_city.mean())}
    return scores


def count_rows(counts: pa.Table) -> Rows:
    """Return the scores of numbers of alerts (`COUNT_DEFINITIONS`), with gains over `MEAN_OF_COUNTS` in nats per cell-day."""
    number = counts["alerts"].to_numpy()
    scores = _scores_of_means(counts)
    losses = {name: poisson_losses(counts[name].to_numpy(), number) for name in scores}
    weekly = weekly_sums(dates_of(counts), np.ones(len(number)), losses)
    return (
        loss_rows(weekly, len(number), [MEAN_OF_COUNTS], COUNTS, ALL)
        | distribution_rows(counts)
        | {
            (COUNTS, ALL, name, score): Estimate(value)
            for name, scores_of_name in scores.items()
            for score, value in scores_of_name.items()
        }
    )


def count_tables(scores: ScoreTable) -> dict[str, list[dict[str, str | float | None]]]:
    """Return a row of scores for each method: `numbers` of alerts, the best one first, and `totals`, the city's number.

    There are no totals if no distribution of the city's number is stored.
    """
    of_numbers = {"nats": "log_loss", "RMSE": "rmse", "MAE": "mae", "expected / observed": "expected_over_observed"}
    of_totals = {
        "log score": "log_score_city",
        "RPS": "rps_city",
        "WIS": "wis_city",
        **{f"in {share}%": f"coverage_{share}_city" for share in SHARES},
        "PIT slope": "pit_slope_city",
        "p": "pit_p_city",
    }
    with_totals = [key[2] for key in scores.rows if key[0] == COUNTS and key[3] == "log_score_city"]
    return {
        "numbers": [_row("numbers by", name, scores, of_numbers) for name in scores.models(COUNTS)],
        "totals": [_row("city's number by", name, scores, of_totals) for name in with_totals],
    }


def _row(title: str, name: str, scores: ScoreTable, columns: Mapping[str, str]) -> dict[str, str | float | None]:
    """Return the name and the scores of a method by the titles of columns."""
    return {title: name} | {column: scores.value(score, name, COUNTS) for column, score in columns.items()}
