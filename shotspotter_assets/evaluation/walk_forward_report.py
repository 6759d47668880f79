"""All folds of a city as one report: scores, intervals, groups, burdens and the gate's verdict, as JSON values."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.weekdays import WEEKDAYS, weekdays
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.areas import CellAreas
from shotspotter_assets.evaluation.burden import burden
from shotspotter_assets.evaluation.forecasts_table import (
    cells_of,
    days_of,
    model_names,
    observed_of,
    pool_tables,
    without_firework_days,
)
from shotspotter_assets.evaluation.gains import gain_interval, weekly_losses
from shotspotter_assets.evaluation.gate import BASELINES, judge
from shotspotter_assets.evaluation.plots import reliability_bins
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS
from shotspotter_assets.evaluation.table_scores import grouped_scores, score_table
from shotspotter_assets.evaluation.type_scores import type_scores
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.next_hours.baselines import CLIMATOLOGY

Folds = Mapping[date, pa.Table]
"""A table of each fold by its cutoff."""

GAIN_DEFINITION: Final = (
    "(sum of log loss of the other model - sum of log loss) / sum(o), with the interval that holds 90% of the draws of a "
    "bootstrap of whole weeks"
)


class MissingForecastsError(ValueError):
    """Folds of a city cannot be compared, as some lack a forecast that others have."""


def walk_forward_report(
    *,
    city: City,
    folds: Folds,
    candidate: str,
    areas: CellAreas,
    hourly: Folds | None = None,
    hourly_candidate: str = "next_hours",
    types: Folds | None = None,
    pretrained: Mapping[date, str] | None = None,
) -> dict[str, Any]:
    """The report of a city.

    Args:
        city: whose folds they are.
        folds: next-day forecasts tables (see `evaluation.forecasts_table`).
        candidate: the forecast that is to be served, named before anyone saw the scores.
        areas: of the city's cells.
        hourly: forecasts of shorter horizons: `date`, `hour` (local, of issue), `horizon` (hours), `row`, `column`,
            `observed` and one column per model, `climatology` (the cell's rate at any hour) among them. A model that
            does not forecast a horizon has nulls there.
        hourly_candidate: as `candidate`, for the shorter horizons.
        types: type forecasts (see `evaluation.type_scores`).
        pretrained: of folds whose candidate starts at another city's model, that city and its cutoff.

    Returns:
        What was tested (`folds`, `first_day`, `last_day`, `days`, `cell_days`, `positives`, `base_rate`,
        `covered_cells` and `pretrained` by fold), `verdict` (see `evaluation.gate.Verdict`), `baselines`, `models` and
        `without_firework_days` (scores, with `gain_over` each baseline), `reliability`, `by_fold`, `by_day_kind`,
        `by_weekday`, `by_area`, `burden` of the served and the candidate forecast, `horizons` and `gunshot_types` where
        there are such forecasts, `models_left_out` that only some folds have, and the definitions of the scores.

    Raises:
        MissingForecastsError: a fold lacks the candidate or a baseline that other folds have.
        ValueError: there is no fold, or two of them forecast the same day.
    """
    forecasts = pool_tables(list(folds.values()))
    left_out = _require_forecasts(city, folds, candidate)
    verdict = judge(forecasts, candidate)
    best = verdict.best_baseline
    days, observed = days_of(forecasts), observed_of(forecasts)
    baselines = [name for name in model_names(forecasts) if name in BASELINES]
    fold_names = np.repeat([cutoff.isoformat() for cutoff in folds], [len(table) for table in folds.values()])
    return {
        "city": city.name,
        "folds": [cutoff.isoformat() for cutoff in folds],
        "first_day": str(days.min()),
        "last_day": str(days.max()),
        "days": len(np.unique(days)),
        "cell_days": len(forecasts),
        "positives": int(observed.sum()),
        "base_rate": float(observed.mean()),
        "covered_cells": {cutoff.isoformat(): _cells(table) for cutoff, table in folds.items()},
        "coverage": "published" if city.coverage else "estimated from the alerts before each cutoff",
        "grid": list(city.shape),
        "pretrained": {cutoff.isoformat(): origin for cutoff, origin in (pretrained or {}).items()},
        "verdict": asdict(verdict),
        "baselines": baselines,
        "models": _scores(forecasts, baselines),
        "without_firework_days": _scores(without_firework_days(forecasts), baselines),
        "reliability": {name: _reliability(forecasts[name].to_numpy(), observed) for name in model_names(forecasts)},
        "by_fold": grouped_scores(forecasts, fold_names, best),
        "by_day_kind": grouped_scores(
            forecasts, np.where(is_holiday_fireworks(days), "firework day", "ordinary"), best
        ),
        "by_weekday": _by_weekday(forecasts, days, best),
        "by_area": {"kind": areas.kind, "areas": grouped_scores(forecasts, areas.names[cells_of(forecasts)], best)},
        "burden": {name: burden(forecasts, name, areas) for name in dict.fromkeys((verdict.served, candidate))},
        "horizons": horizon_scores(pool_tables(list(hourly.values())), hourly_candidate) if hourly else {},
        "gunshot_types": type_scores(list(types.values())) if types else {},
        "models_left_out": left_out,
        "score_definitions": {**SCORE_DEFINITIONS, "gain_over": GAIN_DEFINITION},
    }


def horizon_scores(forecasts: pa.Table, candidate: str) -> dict[str, Any]:
    """Scores of shorter horizons: each horizon apart, and within it by local hour of issue.

    Periods of one horizon overlap where they are issued every hour; whole weeks are drawn, so the intervals hold.

    Args:
        forecasts: pooled over the folds (see `walk_forward_report`).
        candidate: the forecast that is to be served.

    Returns:
        Hours as text to `cell_periods`, `positives`, `base_rate`, `verdict` (see `evaluation.gate.Verdict`), `models`
        (scores with `gain_over` each baseline) and `by_hour` (see `evaluation.table_scores.grouped_scores`).
    """
    horizon = forecasts["horizon"].to_numpy()
    found = {}
    for hours in np.unique(horizon):
        of_horizon = forecasts.filter(pa.array(horizon == hours))
        rows = of_horizon.select(
            [name for name in of_horizon.column_names if of_horizon[name].null_count < len(of_horizon)]
        )
        observed, verdict = observed_of(rows), judge(rows, candidate)
        baselines = [name for name in model_names(rows) if name in BASELINES]
        found[str(hours)] = {
            "cell_periods": len(rows),
            "positives": int(observed.sum()),
            "base_rate": float(observed.mean()),
            "verdict": asdict(verdict),
            "models": _scores(rows, baselines, CLIMATOLOGY),
            "by_hour": grouped_scores(rows, rows["hour"].to_numpy(), verdict.best_baseline, CLIMATOLOGY),
        }
    return found


def _require_forecasts(city: City, folds: Folds, candidate: str) -> list[str]:
    """The models that only some folds have, none of which may be the candidate or a baseline."""
    of_fold = {cutoff: set(model_names(table)) for cutoff, table in folds.items()}
    everywhere, anywhere = set.intersection(*of_fold.values()), set.union(*of_fold.values())
    needed = {candidate, *(anywhere & set(BASELINES))}
    for cutoff, names in of_fold.items():
        if needed - names:
            raise MissingForecastsError(
                f"City {city.name}, fold {cutoff}: no forecast of {', '.join(sorted(needed - names))}, only of "
                f"{', '.join(sorted(names))}. Materialise evaluation_reports for {city.name}|{cutoff} again, or name "
                f"another candidate in the run's configuration."
            )
    return sorted(anywhere - everywhere)


def _scores(forecasts: pa.Table, baselines: list[str], reference: str = HISTORICAL_MEAN) -> dict[str, Any]:
    """Scores by model, the best first, each with its gain over each baseline."""
    scores = score_table(forecasts, reference)
    if not scores:
        return {}
    weekly = weekly_losses(forecasts, scores)
    return {
        name: of_model | {"gain_over": {over: gain_interval([weekly], [(name, over)]) for over in baselines}}
        for name, of_model in sorted(scores.items(), key=lambda item: item[1]["log_loss"])
    }


def _reliability(probability: npt.NDArray[np.float64], observed: npt.NDArray[np.bool_]) -> dict[str, list[float]]:
    names = ("mean_forecast", "observed_frequency", "low", "high")
    return {name: values.tolist() for name, values in zip(names, reliability_bins(probability, observed), strict=True)}


def _by_weekday(forecasts: pa.Table, days: npt.NDArray[np.datetime64], best: str) -> dict[str, Any]:
    by_number = grouped_scores(forecasts, weekdays(days), best)
    return {WEEKDAYS[int(number)]: scores for number, scores in by_number.items()}


def _cells(table: pa.Table) -> int:
    return np.unique(np.stack(cells_of(table)), axis=1).shape[1]
