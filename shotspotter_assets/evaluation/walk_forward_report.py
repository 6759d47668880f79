"""All folds of a city as one report: scores with intervals, and the gate's verdict."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.forecasts_table import (
    cells_of,
    days_of,
    model_names,
    observed_of,
    pool_tables,
    without_firework_days,
)
from shotspotter_assets.evaluation.gate import Verdict, baselines_in, judge
from shotspotter_assets.evaluation.score_rows import WITHOUT_FIREWORKS, Rows, ScoreTable, all_rows, gain_rows
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS, Reliability, reliability
from shotspotter_assets.evaluation.type_scores import type_rows
from shotspotter_assets.models.next_hours.climatology import Climatology
from shotspotter_assets.storage.catalogue import CITY_REPORT
from shotspotter_assets.storage.stored_record import StoredRecord

Folds = Mapping[date, pa.Table]
"""A table of each fold by its cutoff."""

FOLD: Final = "fold"
HORIZON: Final = "horizon"
"""Facet of the next hours; its groups are the horizons in hours."""

GAIN_DEFINITION: Final = (
    "(sum of log loss of the other model - sum of log loss) / sum(o), with the interval that holds 90% of the draws of a "
    "bootstrap of whole weeks"
)


class WalkForwardReport(StoredRecord):
    """The report of a city over its folds; its scores are a table (`evaluation.score_rows`)."""

    stored_as = CITY_REPORT

    folds: list[date]
    first_day: date
    last_day: date
    days: int
    cell_days: int
    positives: int  # cell-days with an alert
    base_rate: float
    covered_cells: dict[date, int]  # number by fold
    coverage: str  # its origin, in words
    grid: tuple[int, int]
    verdict: Verdict
    baselines: list[str]
    reliability: dict[str, Reliability]  # of the served forecast, the candidate and the best baseline
    horizons: dict[int, Verdict]  # by horizon in hours; empty where hours are not forecast
    score_definitions: dict[str, str]


def walk_forward_report(
    *, city: City, folds: Folds, candidate: str, hourly: Folds, hourly_candidate: str, types: Folds
) -> tuple[WalkForwardReport, ScoreTable]:
    """Return the report of a city and its scores, from tables as `forecasts_table` and `type_scores` describe.

    The candidates are the forecasts that are to be served, named before their scores were seen; `hourly` has
    `climatology`. Raises ValueError if there is no fold, one lacks a needed forecast, or two forecast one day.
    """
    _require_forecasts(city, folds, candidate)
    forecasts = pool_tables(list(folds.values()))
    verdict, baselines = judge(forecasts, candidate), baselines_in(forecasts)
    days, observed = days_of(forecasts), observed_of(forecasts)
    rows = all_rows(forecasts, baselines)
    rows |= all_rows(without_firework_days(forecasts), baselines, WITHOUT_FIREWORKS)
    for cutoff, table in folds.items():
        rows |= gain_rows(table.select(forecasts.column_names), [verdict.best_baseline], FOLD, str(cutoff))
    horizons, horizon_rows = _horizons(hourly, hourly_candidate)
    report = WalkForwardReport(
        city=city.name,
        folds=list(folds),
        first_day=days.min().astype(date),
        last_day=days.max().astype(date),
        days=len(np.unique(days)),
        cell_days=len(forecasts),
        positives=int(observed.sum()),
        base_rate=float(observed.mean()),
        covered_cells={
            cutoff: np.unique(np.stack(cells_of(table)), axis=1).shape[1] for cutoff, table in folds.items()
        },
        coverage="published" if city.coverage else "estimated from the alerts before each cutoff",
        grid=city.shape,
        verdict=verdict,
        baselines=baselines,
        reliability={
            name: reliability(forecasts[name].to_numpy(), observed)
            for name in dict.fromkeys((verdict.served, candidate, verdict.best_baseline))
        },
        horizons=horizons,
        score_definitions={**SCORE_DEFINITIONS, "gain_over": GAIN_DEFINITION},
    )
    return report, ScoreTable(rows | horizon_rows | (type_rows(list(types.values())) if types else {}))


def _horizons(folds: Folds, candidate: str) -> tuple[dict[int, Verdict], Rows]:
    """Return verdicts and scores by horizon.

    Periods of one horizon overlap where they are issued every hour; whole weeks are drawn, so the intervals hold.
    """
    verdicts: dict[int, Verdict] = {}
    rows: Rows = {}
    if not folds:
        return verdicts, rows
    pooled = pool_tables(list(folds.values()))
    for hours in np.unique(pooled["horizon"].to_numpy()).tolist():
        part = pooled.filter(pa.array(pooled["horizon"].to_numpy() == hours))
        verdicts[hours] = judge(part, candidate)
        rows |= all_rows(part, baselines_in(part), HORIZON, str(hours), Climatology.name)
    return verdicts, rows


def _require_forecasts(city: City, folds: Folds, candidate: str) -> None:
    needed = {candidate, *(name for table in folds.values() for name in baselines_in(table))}
    for cutoff, table in folds.items():
        names = set(model_names(table))
        if needed - names:
            raise ValueError(
                f"City {city.name}, fold {cutoff}: no forecast of {', '.join(sorted(needed - names))}, only of "
                f"{', '.join(sorted(names))}. Materialize evaluation_reports for {city.name} {cutoff} again, or name "
                f"another candidate in the run's configuration."
            )


def walk_forward_rows(report: WalkForwardReport, scores: ScoreTable) -> list[dict[str, Any]]:
    """Return each model's gain over the best baseline with the interval, the best model first."""
    gains = {name: scores.gain(report.verdict.best_baseline, name) for name in scores.models()}
    return [{"model": name, "gain": gain.gain, "low": gain.low, "high": gain.high} for name, gain in gains.items()]


def walk_forward_pictures(report: WalkForwardReport, scores: ScoreTable) -> dict[str, bytes]:
    """Draw reliability, and the gain over the best baseline by fold, of the served forecast and the candidate."""
    best, folds = report.verdict.best_baseline, scores.groups(FOLD)
    gains = {
        name: {fold: scores.gain(best, name, FOLD, fold) for fold in folds}
        for name in report.reliability
        if name != best
    }
    return {"reliability": plots.reliability_curve(report.reliability), "gain_by_fold": plots.gain_by_fold(gains, best)}
