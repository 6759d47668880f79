"""Several folds scored as one, with and without firework days, and intervals for the gain of one model over another.

Works on forecasts tables alone (see `evaluation.report`), so anyone who has them can repeat it.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cleaning.fireworks import is_holiday_fireworks
from shotspotter_assets.evaluation.baselines import HISTORICAL_MEAN
from shotspotter_assets.evaluation.scores import Scores, log_losses, score_cell_days

KEY_COLUMNS: Final = ("date", "row", "column", "observed")
"""The columns of a forecasts table that are not forecasts."""


def pool_forecasts(tables: Sequence[pa.Table]) -> pa.Table:
    """The forecasts tables of several folds as one, with the models that all of them have.

    Raises:
        ValueError: there is no table, or two of them forecast the same day.
    """
    if not tables:
        raise ValueError("No forecasts to pool: materialise the evaluation reports of at least one fold.")
    shared = [name for name in tables[0].column_names if all(name in table.column_names for table in tables)]
    days = np.concatenate([np.unique(_days(table)) for table in tables])
    distinct, count = np.unique(days, return_counts=True)
    if (count > 1).any():
        raise ValueError(
            f"Day {distinct[count > 1][0]} is forecast by two of the folds; pool folds that follow each other."
        )
    return pa.concat_tables([table.select(shared) for table in tables])


def model_names(forecasts: pa.Table) -> list[str]:
    """The models of a forecasts table, in its order."""
    return [name for name in forecasts.column_names if name not in KEY_COLUMNS]


def pooled_scores(forecasts: pa.Table) -> dict[str, dict[str, Scores]]:
    """Scores of each model on all days of a forecasts table and on all but firework days.

    Returns:
        {"all_days": {model: scores}, "without_firework_days": {model: scores}}; the latter is empty where every day
        is a firework day.
    """
    return {"all_days": score_table(forecasts), "without_firework_days": score_table(without_firework_days(forecasts))}


def without_firework_days(forecasts: pa.Table) -> pa.Table:
    """The rows of a forecasts table whose day is not a firework day."""
    return forecasts.filter(pa.array(~is_holiday_fireworks(_days(forecasts))))


def score_table(forecasts: pa.Table) -> dict[str, Scores]:
    """Scores by model over all rows of a forecasts table, measured against its `historical_mean` column."""
    if not len(forecasts):
        return {}
    observed, day = _observed(forecasts), _days(forecasts)
    reference = forecasts[HISTORICAL_MEAN].to_numpy()
    return {
        name: score_cell_days(forecasts[name].to_numpy(), observed, reference, day) for name in model_names(forecasts)
    }


def bootstrap_gain(
    forecasts: pa.Table, model: str, over: str, *, draws: int = 1_000, level: float = 0.9, seed: int = 0
) -> dict[str, Any]:
    """Gain in nats per positive of `model` over `over` with a percentile interval from a weekly block bootstrap.

    Whole weeks (Monday to Sunday) are drawn with replacement, since neighbouring days and cells are not independent;
    a draw without any positive has no gain and is left out.

    Returns:
        {"gain", "low", "high": float or None, "level", "weeks", "draws"}.
    """
    observed = _observed(forecasts)
    difference = log_losses(forecasts[over].to_numpy(), observed) - log_losses(forecasts[model].to_numpy(), observed)
    # Day 0 of the calendar, 1 January 1970, was a Thursday.
    _, week = np.unique((_days(forecasts).astype(np.int64) + 3) // 7, return_inverse=True)
    gains, positives = np.bincount(week, weights=difference), np.bincount(week, weights=observed)
    weeks = len(gains)
    times_drawn = np.random.default_rng(seed).multinomial(weeks, np.full(weeks, 1 / weeks), size=draws)
    drawn_positives = times_drawn @ positives
    drawn = (times_drawn @ gains)[drawn_positives > 0] / drawn_positives[drawn_positives > 0]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) if len(drawn) else (None, None)
    return {
        "gain": float(gains.sum() / positives.sum()) if positives.any() else None,
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
        "level": level,
        "weeks": weeks,
        "draws": draws,
    }


def _days(forecasts: pa.Table) -> npt.NDArray[np.datetime64]:
    return forecasts["date"].to_numpy().astype("datetime64[D]")


def _observed(forecasts: pa.Table) -> npt.NDArray[np.bool_]:
    return forecasts["observed"].to_numpy().astype(bool)
