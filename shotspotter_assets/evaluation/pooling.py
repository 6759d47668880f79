"""Several folds scored as one, with and without firework days, by group, and intervals for the gain of one model over another.

Works on forecasts tables alone (see `evaluation.report`), so anyone who has them can repeat it. Tables of shorter
horizons have an `hour` (the local hour of issue) and a `horizon` beside the date; each hour is then a period of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.evaluation.scores import Scores, score_cell_days
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.probability import clip_probability, log_losses

Array = npt.NDArray[np.float64]

KEY_COLUMNS: Final = ("date", "hour", "horizon", "row", "column", "observed")
"""The columns of a forecasts table that are not forecasts."""
DRAWS: Final = 1_000
LEVEL: Final = 0.9


@dataclass(frozen=True)
class WeeklySums:
    """What a weekly block bootstrap draws from.

    Attributes:
        positives: number of each week, shape (weeks,).
        losses: model to its summed losses of each week, shape (weeks,).
    """

    positives: Array
    losses: dict[str, Array]


def pool_forecasts(tables: Sequence[pa.Table]) -> pa.Table:
    """The forecasts tables of several folds as one, with the models that all of them have.

    Raises:
        ValueError: there is no table, or two of them forecast the same day.
    """
    if not tables:
        raise ValueError("No forecasts to pool: materialise the evaluation reports of at least one fold.")
    shared = [name for name in tables[0].column_names if all(name in table.column_names for table in tables)]
    days = np.concatenate([np.unique(days_of(table)) for table in tables])
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
    return forecasts.filter(pa.array(~is_holiday_fireworks(days_of(forecasts))))


def score_table(forecasts: pa.Table, reference: str = HISTORICAL_MEAN) -> dict[str, Scores]:
    """Scores by model over all rows of a forecasts table, measured against the column of the reference model."""
    if not len(forecasts):
        return {}
    observed, period = observed_of(forecasts), _periods(forecasts)
    of_reference = forecasts[reference].to_numpy()
    return {
        name: score_cell_days(forecasts[name].to_numpy(), observed, of_reference, period)
        for name in model_names(forecasts)
    }


def grouped_scores(
    forecasts: pa.Table, groups: npt.NDArray[Any], over: str, reference: str = HISTORICAL_MEAN
) -> dict[str, dict[str, Any]]:
    """The scores that stay meaningful on a part of the cell-days, by group and model.

    Args:
        forecasts: a forecasts table.
        groups: label of each row; groups come back in the order of the labels, as text.
        over: model that the gain with an interval is over.
        reference: model that the Brier skill is measured against.

    Returns:
        Group to `cell_days`, `positives`, `base_rate` and `models`, which maps each model to `log_loss`,
        `brier_skill`, `predicted_over_observed`, `gain_over_reference` (in nats per positive) and
        `gain_over_best_baseline` (over `over`; see `gain_interval`).
    """
    found = {}
    for group in np.unique(groups):
        rows = forecasts.filter(pa.array(groups == group))
        observed = observed_of(rows)
        positives = int(observed.sum())
        brier = np.mean((clip_probability(rows[reference].to_numpy()) - observed) ** 2)
        weekly = weekly_losses(rows, model_names(rows))
        models = {}
        for name in model_names(rows):
            p = clip_probability(rows[name].to_numpy())
            models[name] = {
                "log_loss": float(weekly.losses[name].sum() / len(rows)),
                "brier_skill": float(1 - np.mean((p - observed) ** 2) / brier),
                "predicted_over_observed": float(p.sum() / positives) if positives else None,
                "gain_over_reference": gain_interval([weekly], [(name, reference)])["gain"],
                "gain_over_best_baseline": gain_interval([weekly], [(name, over)]),
            }
        found[str(group)] = {
            "cell_days": len(rows),
            "positives": positives,
            "base_rate": positives / len(rows),
            "models": models,
        }
    return found


def bootstrap_gain(
    forecasts: pa.Table, model: str, over: str, *, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> dict[str, Any]:
    """Gain in nats per positive of `model` over `over`; see `gain_interval`."""
    weekly = weekly_losses(forecasts, (model, over))
    return gain_interval([weekly], [(model, over)], draws=draws, level=level, seed=seed)


def weekly_losses(forecasts: pa.Table, models: Iterable[str]) -> WeeklySums:
    """Positives and log losses (nats) of a forecasts table by calendar week, Monday to Sunday."""
    observed = observed_of(forecasts)
    losses = {name: log_losses(forecasts[name].to_numpy(), observed) for name in dict.fromkeys(models)}
    return weekly_sums(days_of(forecasts), observed, losses)


def weekly_sums(days: npt.NDArray[np.datetime64], positive: npt.NDArray[Any], losses: dict[str, Array]) -> WeeklySums:
    """Sums by calendar week of what is given for each row, all of shape (rows,)."""
    # Day 0 of the calendar, 1 January 1970, was a Thursday.
    _, week = np.unique((days.astype(np.int64) + 3) // 7, return_inverse=True)

    def summed(values: npt.NDArray[Any]) -> Array:
        return np.bincount(week, weights=values).astype(np.float64)

    return WeeklySums(summed(positive), {name: summed(of_model) for name, of_model in losses.items()})


def gain_interval(
    cities: Sequence[WeeklySums],
    compared: Sequence[tuple[str, str]],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Any]:
    """Gain in nats per positive, with a percentile interval from a weekly block bootstrap, pooled over cities.

    Whole weeks (Monday to Sunday) are drawn with replacement, since neighbouring days and cells are not independent;
    in each city as many as it has. A draw without any positive has no gain and is left out.

    Args:
        cities: the weeks of each city.
        compared: of each city, the model and what it is compared with.
        draws: of the bootstrap.
        level: share of the draws that the interval holds.
        seed: of the bootstrap.

    Returns:
        {"gain", "low", "high": float or None, "level", "weeks", "draws"}.
    """
    random = np.random.default_rng(seed)
    gained, positives, weeks = 0.0, 0.0, 0
    drawn_gains, drawn_positives = np.zeros(draws), np.zeros(draws)
    for city, (model, over) in zip(cities, compared, strict=True):
        difference, of_city = city.losses[over] - city.losses[model], len(city.positives)
        if not of_city:
            continue
        times_drawn = random.multinomial(of_city, np.full(of_city, 1 / of_city), size=draws)
        drawn_gains += times_drawn @ difference
        drawn_positives += times_drawn @ city.positives
        gained, positives, weeks = gained + difference.sum(), positives + city.positives.sum(), weeks + of_city
    some = drawn_positives > 0
    low, high = (
        np.quantile(drawn_gains[some] / drawn_positives[some], [(1 - level) / 2, (1 + level) / 2])
        if some.any()
        else (None, None)
    )
    return {
        "gain": float(gained / positives) if positives else None,
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
        "level": level,
        "weeks": weeks,
        "draws": draws,
    }


def days_of(forecasts: pa.Table) -> npt.NDArray[np.datetime64]:
    """The local day of each row of a forecasts table."""
    return forecasts["date"].to_numpy().astype("datetime64[D]")


def observed_of(forecasts: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether each row of a forecasts table had an alert."""
    return forecasts["observed"].to_numpy().astype(bool)


def _periods(forecasts: pa.Table) -> npt.NDArray[np.datetime64]:
    """A label of the period of each row: cells are ranked among those of the same one."""
    hours = days_of(forecasts).astype("datetime64[h]")
    return hours + forecasts["hour"].to_numpy().astype(np.int64) if "hour" in forecasts.column_names else hours
