"""Made-up forecasts tables for the evaluation tests: a true process, forecasts of it, and what came."""

from datetime import date

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation.scores import Scores, score_cell_days


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
    logit = {name: np.log(p) - np.log1p(-p) for name, p in (("mean", mean), ("truth", truth))}
    row, column = (axis.ravel() for axis in np.indices(shape))
    forecasts = {
        "truth": truth,
        "historical_mean": mean,
        "city_mean": np.full(mean.shape, mean.mean()),
        **{
            name: 1 / (1 + np.exp(-(share * logit["truth"] + (1 - share) * logit["mean"])))
            for name, share in more.items()
        },
    }
    return pa.table(
        {
            "date": pa.array(np.repeat(np.datetime64(first) + np.arange(days), len(row)), pa.date32()),
            "row": pa.array(np.tile(row, days), pa.int16()),
            "column": pa.array(np.tile(column, days), pa.int16()),
            "observed": pa.array(observed.ravel().astype(np.int8)),
            **{name: p.ravel() for name, p in forecasts.items()},
        }
    )


def with_column(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, pa.array(values))
    return table.append_column(name, pa.array(values))


def random_table(first: date, days: int, cells: int, seed: int = 0, skill: float = 1.0, **more: np.ndarray) -> pa.Table:
    random = np.random.default_rng(seed)
    truth = np.clip(random.gamma(0.6, 0.15, (days, cells)), 1e-4, 0.9)
    observed = random.random((days, cells)) < truth
    return pa.table(
        {
            "date": pa.array(np.repeat(np.datetime64(first) + np.arange(days), cells), pa.date32()),
            "row": pa.array(np.zeros(days * cells, dtype=np.int16)),
            "column": pa.array(np.tile(np.arange(cells, dtype=np.int16), days)),
            "observed": pa.array(observed.ravel().astype(np.int8)),
            "network": (skill * truth + (1 - skill) * truth.mean()).ravel(),
            "historical_mean": np.full(days * cells, truth.mean()),
            **more,
        }
    )


def score_days(probability: np.ndarray, observed: np.ndarray, reference: np.ndarray) -> Scores:
    day = np.repeat(np.arange(len(observed)), observed.shape[1])
    return score_cell_days(probability.ravel(), observed.ravel(), reference.ravel(), day)
