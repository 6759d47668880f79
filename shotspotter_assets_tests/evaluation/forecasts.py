"""Made-up forecasts tables for the evaluation tests: a true process, forecasts of it, and outcomes."""

from datetime import date

import numpy as np
import pyarrow as pa
from scipy.special import expit, logit

from shotspotter_assets.evaluation import forecasts_table as tables
from shotspotter_assets.evaluation.scores import Scores, score_cell_days
from shotspotter_assets.storage.catalogue import FOLD_COUNTS


def days_from(first: date, observed: np.ndarray) -> np.ndarray:
    return np.datetime64(first) + np.arange(len(observed))


def forecasts_table(
    first: date, days: int, shape: tuple[int, int] = (6, 6), seed: int = 0, rate: float = 0.08, **more: float
) -> pa.Table:
    """One row per day and cell of a city with hot spots and loud days.

    Models: `truth`, which knows both; `historical_mean`, which knows the cells; `city_mean`, which knows neither; and
    for each of `more`, the forecast whose logit lies that share of the way from the historical mean to the truth.
    """
    random = np.random.default_rng(seed)
    cells = np.exp(np.random.default_rng(99).normal(0, 1.0, shape[0] * shape[1]))
    loud = np.exp(random.normal(0, 0.6, (days, 1)))
    mean = np.clip(rate * cells / cells.mean(), 1e-4, 0.9) * np.ones((days, 1))
    truth = np.clip(mean * loud / loud.mean(), 1e-4, 0.95)
    observed = random.random(truth.shape) < truth
    forecasts = {"truth": truth, "historical_mean": mean, "city_mean": np.full(mean.shape, mean.mean())}
    between = {name: expit(share * logit(truth) + (1 - share) * logit(mean)) for name, share in more.items()}
    places = tuple(np.indices(shape).reshape(2, -1))
    return tables.forecasts_table(days_from(first, observed), places, observed, forecasts | between)


def with_column(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return pa.table(columns | {name: pa.array(values)})


def random_table(first: date, days: int, cells: int, seed: int = 0, **more: np.ndarray) -> pa.Table:
    random = np.random.default_rng(seed)
    truth = np.clip(random.gamma(0.6, 0.15, (days, cells)), 1e-4, 0.9)
    observed = random.random((days, cells)) < truth
    forecasts = {"network": truth, "historical_mean": np.full(truth.shape, truth.mean()), **more}
    places = np.zeros(cells), np.arange(cells)
    return tables.forecasts_table(days_from(first, observed), places, observed, forecasts)


def score_days(probability: np.ndarray, observed: np.ndarray, reference: np.ndarray) -> Scores:
    day = np.repeat(np.arange(len(observed)), observed.shape[1])
    return score_cell_days(probability.ravel(), observed.ravel(), reference.ravel(), day)


def counts_table(first: date, days: int) -> pa.Table:
    """Return numbers of alerts in two cells with their forecasts (`catalogue.FOLD_COUNTS`)."""
    dates = np.repeat(np.datetime64(first) + np.arange(days), 2)
    alerts = np.random.default_rng(days).poisson(0.4, 2 * days)
    intervals = (0.0, 1.0, 0.0, 2.0)
    distribution = (0.3, 1.0, 0.1)
    year = (0.8, 5.0)
    same = [np.full(2 * days, value) for value in (*intervals, *distribution, *year)]
    columns = zip(
        FOLD_COUNTS.schema, [dates, np.zeros(2 * days, int), np.tile([0, 1], days), alerts, *same], strict=True
    )
    table = pa.table({field.name: pa.array(values).cast(field.type) for field, values in columns})
    return with_column(
        with_column(table, "served", np.full(len(table), 0.4)), "mean_of_counts", np.full(len(table), 0.8)
    )
