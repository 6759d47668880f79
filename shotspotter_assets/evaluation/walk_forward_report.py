"""Report of a city over all folds: scores with intervals, the gate's verdict, and the model card."""

from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.count_scores import COUNT_DEFINITIONS, COUNTS, YEAR, count_rows, count_tables
from shotspotter_assets.evaluation.fold_tables import EVENLY
from shotspotter_assets.evaluation.forecasts_table import (
    SERVED,
    cells_of,
    model_names,
    observed_of,
    pool_tables,
    without_firework_days,
)
from shotspotter_assets.evaluation.gate import PREDICTED_OVER_OBSERVED, Verdict, baselines_in, verdict_on
from shotspotter_assets.evaluation.score_rows import (
    ALL,
    TYPES,
    WITHOUT_FIREWORKS,
    Rows,
    ScoreTable,
    all_rows,
    beside_the_report,
    decision_rows,
    gain_rows,
    type_rows,
)
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT, SCORE_DEFINITIONS, Reliability, reliability
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.forecaster_registry import CLIMATOLOGY, HISTORICAL_MEAN
from shotspotter_assets.models.gunshot_types import TRAILING_MIX
from shotspotter_assets.models.trained_models import WITHOUT_FACTORS, FoldRecord
from shotspotter_assets.storage.catalogue import CITY_REPORT, FOLD_FORECASTS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable
from shotspotter_assets.storage.stored_record import StoredRecord
from shotspotter_assets.storage.wording import plain

Folds = Mapping[date, pa.Table]  # a table of each fold by its cutoff, in order

FOLD: Final = "fold"
HORIZON: Final = "horizon"  # facet of the next hours; its groups are the horizons in hours
MINUTES: Final = "minutes"  # facet of the next minutes; its groups are the horizons in minutes

GAIN_DEFINITION: Final = (
    "(sum of log loss of the other model - sum of log loss) / sum(o), with the interval that holds 90% of the draws of a "
    "bootstrap of whole weeks"
)
NOT_FOR: Final = """\
## What it must not be used for

- Not about persons: no stop, search, arrest, charge or evidence may rest on a flag or on a probability.
- Not to judge a neighbourhood, an officer, or the accuracy of the source.
- Not outside the covered cells, not for another city, and not for events other than those it forecasts.
- Not without a person who decides, writes down why, and can be asked; and not without a way to switch it off.
- Not when neither the forecast nor the best simple method is good enough: see the track record.
"""


class WalkForwardReport(StoredRecord):
    """Facts of a city's folds together; their scores are a table (`evaluation.score_rows`)."""

    stored_as = CITY_REPORT

    folds: list[date] = Field(description="Cutoffs.")
    first_forecast_date: date
    last_forecast_date: date
    days: int = Field(description="Number of forecast dates.")
    covered_cells: dict[date, int] = Field(description="Number of covered cells by fold.")
    coverage: str = Field(description="Origin of the coverage, in words.")
    grid: tuple[int, int] = Field(description="Numbers of rows and columns.")
    verdict: Verdict
    baselines: list[str]
    reliability: dict[str, Reliability] = Field(description="Blocks of served forecast, candidate and best baseline.")
    horizons: dict[int, Verdict] = Field(description="Verdicts by horizon in hours; empty if hours are not forecast.")
    types: str = Field(description="Forecaster of kinds of gunfire after the newest fold, or why none are shown.")
    score_definitions: dict[str, str] = Field(description="Formula of each score by name.")


def walk_forward_report(
    *,
    city: City,
    candidate: str,
    hourly_candidate: str,
    newest: FoldRecord,
    folds: Folds,
    hourly: Folds,
    minutes: Folds,
    types: Folds,
    counts: Folds,
) -> tuple[WalkForwardReport, ScoreTable]:
    """Return the report of a city and its scores from the tables of its folds, `catalogue.FOLD_FORECASTS` and others.

    `newest` is the last fold's record. Both candidates, of days and hours, are named before their scores are seen. Raises
    ValueError if there is no fold, one lacks a needed forecast (hours: `climatology`), or two forecast one day.
    """
    _require_forecasts(city, folds, candidate)
    forecasts = pool_tables(list(folds.values()))
    verdict = verdict_on(forecasts, candidate, city.gate)
    days = dates_of(forecasts)
    observed = observed_of(forecasts)
    verdicts_by_hours, horizon_rows = _horizons(hourly, hourly_candidate)
    rows = _rows_of_days(city, forecasts, folds, verdict.best_baseline) | _minute_rows(minutes) | horizon_rows
    rows |= count_rows(pool_tables(list(counts.values())))
    if types:
        rows |= type_rows(list(types.values()))
    is_published = bool(city.coverage and city.is_of_gunfire)
    report = WalkForwardReport(
        city=city.name,
        folds=list(folds),
        first_forecast_date=days.min().astype(date),
        last_forecast_date=days.max().astype(date),
        days=len(np.unique(days)),
        covered_cells={cutoff: np.unique(cells_of(table), axis=1).shape[1] for cutoff, table in folds.items()},
        coverage="published" if is_published else "estimated from the events before each cutoff",
        grid=city.shape,
        verdict=verdict,
        baselines=baselines_in(forecasts),
        reliability={
            name: reliability(forecasts[name].to_numpy(), observed)
            for name in dict.fromkeys((verdict.served, candidate, verdict.best_baseline))
        },
        horizons=verdicts_by_hours,
        types=newest.types_in_words,
        score_definitions={**SCORE_DEFINITIONS, **COUNT_DEFINITIONS, "gain_over": GAIN_DEFINITION},
    )
    return report, ScoreTable(rows)


def _rows_of_days(city: City, forecasts: pa.Table, folds: Folds, best_baseline: str) -> Rows:
    """Return the scores of the next-day forecasts of all folds, without firework days, and the gains of each fold."""
    compared = [*baselines_in(forecasts), *({WITHOUT_FACTORS} & {*forecasts.column_names})]
    rows = all_rows(forecasts, compared)
    if city.is_of_gunfire:
        ordinary = without_firework_days(forecasts)
        rows |= all_rows(ordinary, compared, WITHOUT_FIREWORKS)
    for cutoff, table in folds.items():
        rows |= gain_rows(table.select(forecasts.column_names), [best_baseline], FOLD, str(cutoff))
    return rows


def _horizons(folds: Folds, candidate: str) -> tuple[dict[int, Verdict], Rows]:
    """Return verdicts and scores by horizon; overlapping periods do not narrow intervals, because whole weeks are drawn."""
    verdicts: dict[int, Verdict] = {}
    rows: Rows = {}
    for hours, forecasts in _by_horizon(folds):
        verdicts[hours] = verdict_on(forecasts, candidate)
        rows |= all_rows(forecasts, baselines_in(forecasts), HORIZON, str(hours), CLIMATOLOGY)
    return verdicts, rows


def _minute_rows(folds: Folds) -> Rows:
    """Return scores by minutes ahead, with the gain over the hour's forecast spread evenly."""
    rows: Rows = {}
    for minutes, forecasts in _by_horizon(folds):
        rows |= all_rows(forecasts, [EVENLY], MINUTES, str(minutes), EVENLY)
    return rows


def _by_horizon(folds: Folds) -> Iterator[tuple[int, pa.Table]]:
    """Yield each horizon with its forecasts in all folds; nothing without folds."""
    if folds:
        pooled = pool_tables(list(folds.values()))
        for horizon in np.unique(pooled["horizon"].to_numpy()).tolist():
            yield horizon, pooled.filter(pc.equal(pooled["horizon"], horizon))


def _require_forecasts(city: City, folds: Folds, candidate: str) -> None:
    """Raise ValueError with the fold if one lacks a forecast of the candidate or of a baseline that another fold has."""
    needed = {candidate, *(name for table in folds.values() for name in baselines_in(table))}
    for cutoff, table in folds.items():
        names = set(model_names(table))
        if needed - names:
            raise ValueError(
                f"City {city.name}, fold {cutoff}: no forecast of {', '.join(sorted(needed - names))}, only of "
                f"{', '.join(sorted(names))}. Materialize fold_models and evaluation_reports for {city.name} {cutoff}, or name "
                f"another candidate in the run's configuration."
            )


def read_folds(store: Store, city: str, file: StoredTable) -> Folds:
    """Read a table of each fold that has it, to the next one's cutoff: the newest fold forecasts a day."""
    cutoffs = sorted(store.days_present(file, city))
    tables = {cutoff: store.read_table(file, city, cutoff) for cutoff in cutoffs}
    for cutoff, following in pairwise(cutoffs):
        tables[cutoff] = tables[cutoff].filter(pc.less(tables[cutoff]["date"], pa.scalar(following)))
    return tables


def tested_days(store: Store, city: str, first: date, last: date) -> Iterator[tuple[FoldRecord, pa.Table]]:
    """Yield the record of each fold with its forecasts of the days from `first` to `last` and before the next cutoff."""
    cutoffs = sorted(store.days_present(FOLD_FORECASTS, city))
    for cutoff, following in pairwise([*cutoffs, date.max]):
        record = FoldRecord.find_sound(store, city, cutoff) if following > first else None
        if record is not None:
            day = pc.field("date")
            table = store.read_table(FOLD_FORECASTS, city, cutoff)
            yield record, table.filter((day >= first) & (day <= last) & (day < following))


def walk_forward_rows(report: WalkForwardReport, scores: ScoreTable) -> list[dict[str, Any]]:
    """Return each model's gain over the best baseline with its interval, the best model first."""
    gains = {name: scores.gain(report.verdict.best_baseline, name) for name in scores.models()}
    return [{"model": name, "gain": gain.value, "low": gain.low, "high": gain.high} for name, gain in gains.items()]


def walk_forward_decisions(report: WalkForwardReport, scores: ScoreTable) -> list[dict[str, Any]]:
    """Return `decision_rows` of the served forecast and of every model that is no baseline."""
    others = [name for name in scores.models() if name not in report.baselines]
    return decision_rows(scores, [report.verdict.served, *others])


def walk_forward_pictures(
    store: Store, report: WalkForwardReport, scores: ScoreTable, tables: Folds
) -> dict[str, bytes]:
    """Draw the timeline of folds by their records, and reliability and gains of served forecast and candidate."""
    edges = {}
    for cutoff, table in tables.items():
        record = FoldRecord.load(store, report.city, cutoff)
        last = dates_of(table).max().astype(date)
        edges[str(cutoff)] = [record.train[0], record.validation[0], cutoff, last]
    best = report.verdict.best_baseline
    gains = {
        name: {fold: scores.gain(best, name, FOLD, fold) for fold in scores.groups(FOLD)}
        for name in report.reliability
        if name != best
    }
    return {
        "timeline": plots.fold_timeline(edges),
        "reliability": plots.reliability_curve(report.reliability),
        "gain_by_fold": plots.gain_by_fold(gains, best),
    }


def model_card(report: WalkForwardReport, scores: ScoreTable, city: City, approval: str = "") -> str:
    """Return the model card for people who decide on the use of the forecast that the report's verdict serves.

    `approval` is a sentence on who approved the live models, for a city where a person does.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("shotspotter_assets.evaluation"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  Markdown, not HTML; texts from outside pass the filter `plain`
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": lambda share: "-" if share is None else f"{share:.1%}",
        "number": lambda number: "-" if number is None else f"{number:.3f}",
        "plain": plain,
    }
    served = report.verdict.served
    least = min(report.covered_cells.values())
    most = max(report.covered_cells.values())
    covered = f"{least}" if least == most else f"{least} to {most}"
    return environment.get_template("model_card.md.jinja").render(
        city=city,
        report=report,
        scores=scores,
        within=[scores.value(f"within_80_{part}", SERVED, COUNTS) for part in ("city", "cells")],
        **count_tables(scores),
        counts=COUNTS,
        year=YEAR,
        decisions=walk_forward_decisions(report, scores),
        verdict=report.verdict,
        approval=approval,
        served=served,
        best=report.verdict.best_baseline,
        reference=HISTORICAL_MEAN,
        # Share of flagged cell-days with an alert: PAI times the base rate.
        precision=(scores.value("base_rate") or 0.0) * (scores.value(f"pai_{FLAGGED_PERCENT}", served) or 0.0),
        flagged_percent=FLAGGED_PERCENT,
        covered=covered,
        beside_the_report=beside_the_report(scores, served, report.days, covered),
        has_ordinary_days=bool(scores.groups(WITHOUT_FIREWORKS)),
        without_factors=WITHOUT_FACTORS if WITHOUT_FACTORS in scores.models() else "",
        gains_of_hours={
            hours: _gains(scores, HORIZON, str(hours), verdict.best_baseline)
            for hours, verdict in report.horizons.items()
        },
        gains_of_minutes={minutes: _gains(scores, MINUTES, minutes, EVENLY) for minutes in scores.groups(MINUTES)},
        gains_of_types=_gains(scores, TYPES, ALL, TRAILING_MIX) if scores.groups(TYPES) else None,
        trailing_mix=TRAILING_MIX,
        allowed=PREDICTED_OVER_OBSERVED,
        not_for=NOT_FOR,
    )


def _gains(scores: ScoreTable, facet: str, group: str, over: str) -> list[str]:
    """Return the gain over a model, with its interval, of each other model of a group, in words."""
    names = scores.models(facet, group)
    return [f"{name} {scores.gain(over, name, facet, group).text()}" for name in names if name != over]
