"""All folds of a city as one report: scores, intervals, groups, burdens and the gate's verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AliasChoices, Field, field_serializer, field_validator

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.weekdays import WEEKDAYS, weekdays
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.areas import CellAreas
from shotspotter_assets.evaluation.burden import Burden, burden
from shotspotter_assets.evaluation.forecasts_table import (
    cells_of,
    days_of,
    model_names,
    observed_of,
    pool_tables,
    without_firework_days,
)
from shotspotter_assets.evaluation.gains import Gain, weekly_gain, weekly_losses
from shotspotter_assets.evaluation.gate import Verdict, baselines_in, judge
from shotspotter_assets.evaluation.reliability import Reliability, reliability
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS, Scores
from shotspotter_assets.evaluation.stored_report import StoredReport
from shotspotter_assets.evaluation.table_scores import GroupScores, grouped_scores, score_table
from shotspotter_assets.evaluation.type_scores import TypeScores, type_scores
from shotspotter_assets.models.fold_training import NOTHING_TUNED
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.next_hours.climatology import Climatology
from shotspotter_assets.models.records import TunedUse

Folds = Mapping[date, pa.Table]
"""A table of each fold by its cutoff."""

GAIN_DEFINITION: Final = (
    "(sum of log loss of the other model - sum of log loss) / sum(o), with the interval that holds 90% of the draws of a "
    "bootstrap of whole weeks"
)


class MissingForecastsError(ValueError):
    """Folds of a city cannot be compared, as some lack a forecast that others have."""


@dataclass(frozen=True)
class ComparedScores(Scores):
    """The scores of a model, with its gain over each baseline."""

    gain_over: dict[str, Gain]


@dataclass(frozen=True)
class ScoresByArea:
    """Scores by area, and what the areas are."""

    kind: str
    areas: dict[str, GroupScores]


@dataclass(frozen=True)
class HorizonReport:
    """The scores of one horizon of hours: by model, the best first, and by local hour of issue."""

    cell_periods: int
    positives: int
    base_rate: float
    verdict: Verdict
    models: dict[str, ComparedScores]
    by_hour: dict[str, GroupScores]


class WalkForwardReport(StoredReport):
    """The report of a city over its folds."""

    city: str
    folds: list[date]
    first_day: date
    last_day: date
    days: int
    cell_days: int
    positives: int
    """Cell-days with an alert."""
    base_rate: float
    covered_cells: dict[date, int]
    """Number by fold."""
    coverage: str
    """Where the coverage is from, in words."""
    grid: tuple[int, int]
    """Rows and columns."""
    shared: dict[date, str] = Field(validation_alias=AliasChoices("shared", "pretrained"))
    """Of folds whose candidate starts at a model of all cities, that model and its cutoff; `pretrained` in earlier versions."""
    trust: dict[date, str] = Field(default_factory=dict)
    """Of folds whose candidate combines other forecasts, whom it trusts, in words; empty in reports of earlier versions."""
    tuned: dict[str, TunedUse] = Field(default_factory=dict)
    """What all folds say of tuned settings, by forecaster; empty in reports of earlier versions."""
    verdict: Verdict
    baselines: list[str]
    models: dict[str, ComparedScores]
    """The best first."""
    without_firework_days: dict[str, ComparedScores]
    reliability: dict[str, Reliability]
    by_fold: dict[str, GroupScores]
    by_day_kind: dict[str, GroupScores]
    by_weekday: dict[str, GroupScores]
    by_area: ScoresByArea
    burden: dict[str, Burden]
    """Of the forecast that the verdict serves, and of the candidate."""
    horizons: dict[int, HorizonReport]
    """By horizon in hours; empty where hours are not forecast."""
    gunshot_types: TypeScores | None
    """None (stored as an empty object) where types are not forecast."""
    models_left_out: list[str]
    """Those that only some folds have."""
    score_definitions: dict[str, str]

    @field_serializer("gunshot_types")
    def _empty_without_types(self, types: TypeScores | None) -> TypeScores | dict[str, Any]:
        return types or {}

    @field_validator("gunshot_types", mode="before")
    @classmethod
    def _none_without_types(cls, types: Any) -> Any:
        return types or None


def walk_forward_report(
    *,
    city: City,
    folds: Folds,
    candidate: str,
    areas: CellAreas,
    hourly: Folds,
    hourly_candidate: str,
    types: Folds,
    shared: Mapping[date, str],
    trust: Mapping[date, str],
    tuned: Mapping[str, TunedUse] = NOTHING_TUNED,
) -> WalkForwardReport:
    """The report of a city.

    Args:
        city: whose folds they are.
        folds: next-day forecasts tables (see `evaluation.forecasts_table`).
        candidate: the forecast that is to be served, named before its scores were seen.
        areas: of the city's cells.
        hourly: forecasts tables of shorter horizons, with `climatology` (the cell's rate at any hour) among the models. A
            model that does not forecast a horizon has nulls there.
        hourly_candidate: as `candidate`, for the shorter horizons.
        types: type forecasts (see `evaluation.type_scores`).
        shared: see `WalkForwardReport.shared`.
        trust: see `WalkForwardReport.trust`.
        tuned: see `WalkForwardReport.tuned`.

    Raises:
        MissingForecastsError: a fold lacks the candidate or a baseline that other folds have.
        ValueError: there is no fold, or two of them forecast the same day.
    """
    forecasts = pool_tables(list(folds.values()))
    left_out = _require_forecasts(city, folds, candidate)
    verdict = judge(forecasts, candidate)
    best = verdict.best_baseline
    days, observed = days_of(forecasts), observed_of(forecasts)
    baselines = baselines_in(forecasts)
    fold_names = np.repeat([cutoff.isoformat() for cutoff in folds], [len(table) for table in folds.values()])
    day_kinds = np.where(is_holiday_fireworks(days), "firework day", "ordinary")
    return WalkForwardReport(
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
        shared=dict(shared),
        trust=dict(trust),
        tuned=dict(tuned),
        verdict=verdict,
        baselines=baselines,
        models=_compared_scores(forecasts, baselines),
        without_firework_days=_compared_scores(without_firework_days(forecasts), baselines),
        reliability={name: reliability(forecasts[name].to_numpy(), observed) for name in model_names(forecasts)},
        by_fold=grouped_scores(forecasts, fold_names, best),
        by_day_kind=grouped_scores(forecasts, day_kinds, best),
        by_weekday=_by_weekday(forecasts, days, best),
        by_area=ScoresByArea(areas.kind, grouped_scores(forecasts, areas.names[cells_of(forecasts)], best)),
        burden={name: burden(forecasts, name, areas) for name in dict.fromkeys((verdict.served, candidate))},
        horizons=horizon_reports(pool_tables(list(hourly.values())), hourly_candidate) if hourly else {},
        gunshot_types=type_scores(list(types.values())) if types else None,
        models_left_out=left_out,
        score_definitions={**SCORE_DEFINITIONS, "gain_over": GAIN_DEFINITION},
    )


def horizon_reports(forecasts: pa.Table, candidate: str) -> dict[int, HorizonReport]:
    """Reports of shorter horizons by their hours.

    Periods of one horizon overlap where they are issued every hour; whole weeks are drawn, so the intervals hold.

    Args:
        forecasts: pooled over the folds (see `walk_forward_report`).
        candidate: the forecast that is to be served.
    """
    horizon = forecasts["horizon"].to_numpy()
    return {
        int(hours): _horizon_report(forecasts.filter(pa.array(horizon == hours)), candidate)
        for hours in np.unique(horizon)
    }


def _horizon_report(forecasts: pa.Table, candidate: str) -> HorizonReport:
    rows = forecasts.select([name for name in forecasts.column_names if forecasts[name].null_count < len(forecasts)])
    observed, verdict = observed_of(rows), judge(rows, candidate)
    baselines = baselines_in(rows)
    return HorizonReport(
        cell_periods=len(rows),
        positives=int(observed.sum()),
        base_rate=float(observed.mean()),
        verdict=verdict,
        models=_compared_scores(rows, baselines, Climatology.name),
        by_hour=grouped_scores(rows, rows["hour"].to_numpy(), verdict.best_baseline, Climatology.name),
    )


def _require_forecasts(city: City, folds: Folds, candidate: str) -> list[str]:
    """The models that only some folds have, none of which may be the candidate or a baseline."""
    names_by_fold = {cutoff: set(model_names(table)) for cutoff, table in folds.items()}
    everywhere, anywhere = set.intersection(*names_by_fold.values()), set.union(*names_by_fold.values())
    needed = {candidate, *(name for table in folds.values() for name in baselines_in(table))}
    for cutoff, names in names_by_fold.items():
        if needed - names:
            raise MissingForecastsError(
                f"City {city.name}, fold {cutoff}: no forecast of {', '.join(sorted(needed - names))}, only of "
                f"{', '.join(sorted(names))}. Materialise evaluation_reports for {city.name}|{cutoff} again, or name "
                f"another candidate in the run's configuration."
            )
    return sorted(anywhere - everywhere)


def _compared_scores(
    forecasts: pa.Table, baselines: list[str], reference: str = HISTORICAL_MEAN
) -> dict[str, ComparedScores]:
    """Scores by model, the best first; {} where there is no row."""
    scores = score_table(forecasts, reference)
    if not scores:
        return {}
    weekly = weekly_losses(forecasts, scores)
    return {
        name: ComparedScores(**vars(own), gain_over={over: weekly_gain(weekly, name, over) for over in baselines})
        for name, own in sorted(scores.items(), key=lambda item: item[1].log_loss)
    }


def _by_weekday(forecasts: pa.Table, days: npt.NDArray[np.datetime64], best: str) -> dict[str, GroupScores]:
    by_number = grouped_scores(forecasts, weekdays(days), best)
    return {WEEKDAYS[int(number)]: scores for number, scores in by_number.items()}
