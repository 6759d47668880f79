"""Scores of the forecast number of alerts, by cell and day and for the city, beside the mean of each cell's counts."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import gammaln

from shotspotter_assets.arrays import Array
from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.evaluation.gains import weekly_sums
from shotspotter_assets.evaluation.score_rows import ALL, Rows, Score, loss_rows
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.models.forecaster_registry import BASELINES
from shotspotter_assets.models.history import History, firework_days
from shotspotter_assets.models.records import FoldRecord
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.storage.catalogue import FOLD_COUNTS

COUNTS: Final = "counts"  # facet of the scores of numbers
SERVED: Final = "served"  # number by the fold's served forecaster; columns of others are named by their model
MEAN_OF_COUNTS: Final = "mean_of_counts"  # mean number of the cell's earlier days
MIN_EXPECTED: Final = 1e-4
COUNT_DEFINITIONS: Final = {
    "counts: log_loss": "Poisson log loss, mean(m - n ln m + ln n!), m >= 1e-4 the expected and n the observed number of alerts",
    "counts: rmse": "square root of mean((m - n)^2)",
    "counts: mae": "mean(|m - n|)",
    "counts: expected_over_observed": "sum(m) / sum(n)",
    "counts: within_80_cells": "share of cell-days with n in the 80% interval; above 80%, as n is mostly 0",
    "counts: within_80_city": "share of days with the city's number in its 80% interval",
}
"""Formulas of the scores of the facet `counts`."""


def poisson_losses(expected: Array, number: npt.NDArray[np.number]) -> Array:
    """Return the Poisson log loss of each expected number in nats."""
    mean = np.maximum(expected, MIN_EXPECTED)
    return np.asarray(mean - number * np.log(mean) + gammaln(number + 1.0))


def number_scores(expected: Array, number: npt.NDArray[np.number]) -> dict[str, float | None]:
    """Return root mean squared error, mean absolute error and calibration of expected numbers."""
    error = expected - number
    return {
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "expected_over_observed": ratio(float(expected.sum()), float(number.sum())),
    }


def fold_counts(
    models: TrainedModels, record: FoldRecord, history: History, probability: Mapping[str, Array]
) -> pa.Table:
    """Return numbers of alerts on the known test days (`catalogue.FOLD_COUNTS`), by the served forecaster and baselines.

    `probability` is that of `fold_report.fold_forecasts`.
    """
    test, in_coverage, model = record.windows(history)[2], history.in_coverage, models.counts
    known, alerts = history.known_in(test), history.alerts[:, in_coverage]
    days, usual = history.days()[test.start :], model.usual(history, test)
    fireworks = firework_days(history.city, days)[:, None]
    names = {SERVED: record.served} | {name: name for name in BASELINES}
    forecasts = {column: model.distribution(probability[name], fireworks, usual) for column, name in names.items()}
    total_low, total_high = model.total_interval(forecasts[SERVED], fireworks)
    (low, high), (row, column) = forecasts[SERVED].interval(), np.nonzero(in_coverage)
    before = alerts[: test.start][history.known_in(range(test.start))]
    columns: dict[str, npt.NDArray[Any]] = {
        "date": days[:, None],
        "row": row,
        "column": column,
        "alerts": alerts[test.start :],
        "low": low,
        "high": high,
        "total_low": total_low[:, None],
        "total_high": total_high[:, None],
        MEAN_OF_COUNTS: before.mean(axis=0),
    } | {name: one.expected for name, one in forecasts.items()}
    types = {field.name: field.type for field in FOLD_COUNTS.schema}
    shape = len(days), len(row)
    return pa.table(
        {
            name: pa.array(np.broadcast_to(values, shape)[known].ravel()).cast(types.get(name, pa.float64()))
            for name, values in columns.items()
        }
    )


def count_rows(counts: pa.Table) -> Rows:
    """Return the scores of numbers of alerts (`COUNT_DEFINITIONS`), with gains over `MEAN_OF_COUNTS` in nats per cell-day."""
    number = counts["alerts"].to_numpy()
    names = [name for name in counts.column_names if name not in FOLD_COUNTS.schema.names]
    expected = {name: counts[name].to_numpy() for name in names}
    losses = {name: poisson_losses(mean, number) for name, mean in expected.items()}
    rows = loss_rows(
        weekly_sums(dates_of(counts), np.ones(len(number)), losses), len(number), [MEAN_OF_COUNTS], COUNTS, ALL
    )
    for name, mean in expected.items():
        rows |= {(COUNTS, ALL, name, score): Score(value) for score, value in number_scores(mean, number).items()}
    low, high, total_low, total_high = (counts[name].to_numpy() for name in ("low", "high", "total_low", "total_high"))
    _, first, day = np.unique(dates_of(counts), return_index=True, return_inverse=True)
    total = np.bincount(day, weights=number)
    within = (total >= total_low[first]) & (total <= total_high[first])
    rows[COUNTS, ALL, SERVED, "within_80_cells"] = Score(float(((number >= low) & (number <= high)).mean()))
    rows[COUNTS, ALL, SERVED, "within_80_city"] = Score(float(within.mean()))
    return rows


def number_rows(rows: Rows) -> list[dict[str, str | float | None]]:
    """Return a row of the scores of numbers for each method, the best one first."""
    shown = {"nats": "log_loss", "RMSE": "rmse", "MAE": "mae", "expected / observed": "expected_over_observed"}
    names = {key[2]: score.value or 0.0 for key, score in rows.items() if key[0] == COUNTS and key[3] == "log_loss"}
    return [
        {"numbers by": name} | {title: rows[COUNTS, ALL, name, score].value for title, score in shown.items()}
        for name in sorted(names, key=lambda name: names[name])
    ]
