"""Scores of the forecast number of alerts, by cell and day and for the city, compared with the mean of each cell's counts."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import gammaln

from shotspotter_assets.evaluation.distribution_scores import (
    COUNTS,
    DISTRIBUTION_DEFINITIONS,
    SHARES,
    distribution_rows,
)
from shotspotter_assets.evaluation.estimates import Estimate, weekly_sums
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.score_rows import ALL, NO_MODEL, Rows, ScoreTable, loss_rows
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.alert_counts import CountDistribution
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.catalogue import FOLD_COUNTS

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
    methods = [name for name in counts.column_names if name not in FOLD_COUNTS.schema.names]
    scores = {name: _scores_of_method(counts[name].to_numpy(), number) for name in methods}
    low, high, total_low, total_high = (counts[name].to_numpy() for name in ("low", "high", "total_low", "total_high"))
    _, first, day = np.unique(dates_of(counts), return_index=True, return_inverse=True)
    total = np.bincount(day, weights=number)
    in_city = (total >= total_low[first]) & (total <= total_high[first])
    in_cells = (number >= low) & (number <= high)
    scores[SERVED] |= {"within_80_cells": float(in_cells.mean()), "within_80_city": float(in_city.mean())}
    return scores


def _scores_of_method(expected: Array, number: npt.NDArray[np.number]) -> dict[str, float | None]:
    """Return the scores of one method's expected numbers, both of shape (cell-days,)."""
    error = expected - number
    return {
        "log_loss": float(poisson_losses(expected, number).mean()),
        "expected_over_observed": ratio(float(expected.sum()), float(number.sum())),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
    }


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
