"""Evaluation reports of a city by fold whose test window is over."""

from datetime import date
from typing import TYPE_CHECKING, Final

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.launchpad import with_windows
from shotspotter_assets.defs.materialize import Product, for_each_target
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.storage.catalogue import (
    FOLD_COUNTS,
    FOLD_FORECASTS,
    FOLD_LEADS,
    FOLD_MODEL,
    FOLD_PICTURE,
    FOLD_RECORD,
    FOLD_SCORES,
    Asset,
)

if TYPE_CHECKING:
    from shotspotter_assets.evaluation.fold_report import FoldReport
    from shotspotter_assets.evaluation.score_rows import ScoreTable
    from shotspotter_assets.models.trained_models import FoldRecord

REPORT_FACTS: Final = {"train_days", "validation_days", "test_days", "covered_cells", "alerts", "base_rate"}
HOURS_APART: Final = 4  # between the scored forecasts of a horizon, so that short ones need no larger tables


class TestedWindow(dg.Config):
    """Window after the cutoff for this run."""

    test: str = Field(
        default="", description="Days to test on: next, to the next cutoff, or years. By default as in the city's file."
    )


class ReportConfig(dg.Config):
    """The test window, and forecasts that a report scores in addition to the next day."""

    folds: TestedWindow = Field(default_factory=TestedWindow, description="Days to test on.")
    horizons: list[int] = Field(
        [1, 2, 4],
        description="Next hours that are forecast and scored too, of cities whose times are exact enough. Forecasts of 1 and 2 "
        "hours start every fourth hour, each day a block later. With them, the next minutes are scored.",
    )
    types: bool = Field(True, description="Score the forecast gunshot types of cities that give them.")


@Product(
    Asset.EVALUATION_REPORTS, kinds={"json", "parquet"}, code_version="1", table=FOLD_FORECASTS, launchpad=ReportConfig
)
@for_each_target
def evaluation_reports(log: Log, store: Store, city: City, cutoff: date, config: ReportConfig) -> panel.Metadata:
    """Scores and forecasts of the fold's models and every baseline on the test window, on covered cells only."""
    from shotspotter_assets.evaluation.count_scores import count_rows
    from shotspotter_assets.evaluation.fold_report import fold_forecasts, fold_leads, fold_pictures, fold_report
    from shotspotter_assets.evaluation.fold_tables import FoldWindow, fold_counts, fold_tables
    from shotspotter_assets.evaluation.score_rows import ScoreTable
    from shotspotter_assets.models.city_history import CityHistory
    from shotspotter_assets.models.next_hours.incident_points import stored_incidents
    from shotspotter_assets.models.trained_models import FoldRecord, read_models
    from shotspotter_assets.storage.fingerprints import table_fingerprints

    if _has_no_models(store, city, cutoff):
        store.clear(FOLD_FORECASTS, city.name, cutoff)
        return {"note": f"Fold {cutoff} has no models of {city.target}; see the note of fold_models."}
    record = FoldRecord.load(store, city.name, cutoff)
    stored = CityHistory.load(
        store, city, with_windows(city, config.folds).last_test_day(cutoff), first=record.train[0]
    ).complete()
    models = read_models(store, FOLD_MODEL, record, cutoff)
    with_hours = bool(config.horizons and models.hourly) or bool(config.types and models.types)
    window = FoldWindow.of_stored(record, stored, with_hours=with_hours)
    forecasts = fold_forecasts(models, window)
    report, next_day_scores, table = fold_report(window, forecasts)
    counts = fold_counts(models.counts, window, forecasts)
    scores = ScoreTable(next_day_scores.rows | count_rows(counts))
    log.info(
        f"{city.name} {cutoff}: forecasting longer leads, the next hours, minutes and the types, where the city has them"
    )
    files = fold_tables(
        window, models, config.horizons, config.types, HOURS_APART, stored_incidents(store, stored, cutoff)
    )
    files |= {
        FOLD_FORECASTS: table,
        FOLD_COUNTS: counts,
        FOLD_LEADS: fold_leads(models, window, forecasts),
        FOLD_SCORES: scores.to_arrow(),
    }
    pictures = fold_pictures(window, table)
    path = report.write_after(store, files | {FOLD_PICTURE.named(plot=name): png for name, png in pictures.items()})
    return {
        "data_version": table_fingerprints({cutoff: table.drop_columns(["date"])})[cutoff],
        **_scores_shown(record, report, scores),
        **{name: panel.picture(name, png) for name, png in pictures.items()},
        "path": dg.MetadataValue.path(path),
    }


def _has_no_models(store: Store, city: City, cutoff: date) -> bool:
    """Return True for a fold that was trained for other targets, and has too few events of this one."""
    from shotspotter_assets.storage.lineage import NOT_MADE, key_name, read_lineage

    if store.exists(FOLD_RECORD, city.name, cutoff):
        return False
    return bool(read_lineage(store, Asset.FOLD_MODELS, city.name).get(key_name(cutoff), NOT_MADE).version)


def _scores_shown(record: "FoldRecord", report: "FoldReport", scores: "ScoreTable") -> panel.Metadata:
    """Return panel entries of a fold's scores: tables with a row for each model, and the numbers of its own models."""
    from shotspotter_assets.evaluation.count_scores import count_tables
    from shotspotter_assets.evaluation.fold_report import fold_rows, own_models
    from shotspotter_assets.evaluation.score_rows import decision_rows

    rows = fold_rows(scores)
    trained = own_models(record)
    numbers = report.model_dump(include=REPORT_FACTS)
    for name in trained:
        numbers[f"{name}: log loss"] = scores.value("log_loss", name)
        numbers[f"{name}: gain"] = scores.value("gain_nats_per_positive", name)
    return {
        "best_model": rows[0]["model"],
        "scores": panel.table(rows),
        **{name: panel.table(rows) for name, rows in count_tables(scores).items()},
        "accuracy": panel.table(decision_rows(scores, trained)),
        **panel.rounded(numbers),
    }
