"""Walk-forward reports, by city: all of its folds together, with the verdict and the model card."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from shotspotter_assets.cities.registry import Cities, find_city
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.models.stored_models import read_record
from shotspotter_assets.partitions import ALL_OF_CITY, Partitions
from shotspotter_assets.storage.file_names import (
    CARD_FILE,
    FOLD_FORECASTS_FILE,
    FOLD_HOURS_FILE,
    FOLD_TYPES_FILE,
    RECORD_FILE,
    REPORT_FILE,
    picture_file,
)
from shotspotter_assets.storage.store import Partition, Store

if TYPE_CHECKING:
    from shotspotter_assets.evaluation.walk_forward_report import ComparedScores, WalkForwardReport

SHOWN = ("log_loss", "brier_skill", "average_precision", "predicted_over_observed", "calibration_slope")
"""Scores in the UI's table; the report has all of them."""
PLOTTED_BASELINES = 2
"""Beside the candidates, so many of the best baselines are drawn."""


class NoFoldsError(ValueError):
    """No fold of a city has an evaluation report."""


class WalkForwardConfig(dg.Config):
    """What a walk-forward report judges."""

    candidate: str = Field(
        "residual_boosting",
        description="The next-day forecast to serve if it passes the gate. Choose it before its scores are seen.",
    )
    hourly_candidate: str = Field("next_hours", description="The same for the shorter horizons.")


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset and its check."""
    asset = dg.asset(
        partitions_def=partitions.cities,
        group_name="reports",
        kinds={"json", "markdown"},
        code_version="1",
        deps=[dg.AssetDep("evaluation_reports", partition_mapping=ALL_OF_CITY)],
    )
    check = dg.asset_check(asset="walk_forward_reports", partitions_def=partitions.cities)
    return dg.Definitions(assets=[asset(walk_forward_reports)], asset_checks=[check(forecast_beats_best_baseline)])


def walk_forward_reports(
    context: dg.AssetExecutionContext, config: WalkForwardConfig, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """All reported folds of the city as one: gains over every baseline with intervals, the verdict, and the model card.

    The gains are also given by fold, area, weekday and kind of day, and with them who carries the flags.
    """
    from shotspotter_assets.evaluation.areas import cell_areas
    from shotspotter_assets.evaluation.model_card import model_card
    from shotspotter_assets.evaluation.walk_forward_report import walk_forward_report

    city, opened = find_city(cities, context.partition_key), store.open()
    folds = _tables(opened, city.name, FOLD_FORECASTS_FILE)
    if not folds:
        raise NoFoldsError(
            f"City {city.name}: no fold has an evaluation report. Materialise evaluation_reports for some of its folds."
        )
    context.log.info(f"{city.name}: pooling folds {', '.join(map(str, folds))}")
    report = walk_forward_report(
        city=city,
        folds=folds,
        candidate=config.candidate,
        areas=cell_areas(city),
        hourly=_tables(opened, city.name, FOLD_HOURS_FILE),
        hourly_candidate=config.hourly_candidate,
        types=_tables(opened, city.name, FOLD_TYPES_FILE),
        pretrained=_pretrained(opened, city.name, folds, config.candidate),
    )
    card = model_card(report)
    pictures = _plots(report, folds)
    partition = walk_forward_partition(city.name)
    for name, png in pictures.items():
        opened.write_bytes(partition, picture_file(name), png)
    opened.write_bytes(partition, CARD_FILE, card.encode())
    opened.write_bytes(partition, REPORT_FILE, report.content())
    return dg.MaterializeResult(metadata=_metadata(report, card, pictures, opened.uri(partition, REPORT_FILE)))


def forecast_beats_best_baseline(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """The candidate forecast was shown to be better than the best baseline; where not, that baseline is served.

    The lower end of the 90% interval of its gain is above zero, and predicted / observed lies within 0.8 to 1.25.
    """
    from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport

    content = store.open().read_bytes(walk_forward_partition(context.partition_key), REPORT_FILE)
    report = WalkForwardReport.model_validate_json(content)
    verdict = report.verdict
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{context.partition_key}: {verdict.served} is served. {' '.join(verdict.reasons)}",
        metadata={
            "served": verdict.served,
            "candidate": verdict.candidate,
            "best_baseline": verdict.best_baseline,
            **verdict.gain.ends(),
            "days": report.days,
            "positives": verdict.positives,
        },
    )


def walk_forward_partition(city: str) -> Partition:
    """Where a city's walk-forward report is."""
    return Partition("walk_forward_reports", city)


def _tables(store: Store, city: str, file: str) -> dict[date, pa.Table]:
    """The file of every fold that has it, in the order of the folds."""
    cutoffs = sorted(store.days_present("evaluation_reports", city, file, "fold"))
    return {cutoff: store.read_table(Partition("evaluation_reports", city, "fold", cutoff), file) for cutoff in cutoffs}


def _pretrained(store: Store, city: str, folds: Mapping[date, pa.Table], candidate: str) -> dict[date, str]:
    """By cutoff, the other city's model that the candidate starts at."""
    cutoffs = sorted(store.days_present("fold_models", city, RECORD_FILE, "fold") & set(folds))
    models = {cutoff: read_record(store, city, cutoff).models for cutoff in cutoffs}
    said = {cutoff: of[candidate].settings.get("pretrained") for cutoff, of in models.items() if candidate in of}
    return {cutoff: origin["from"] for cutoff, origin in said.items() if origin and origin["used"]}


def _plots(report: "WalkForwardReport", folds: Mapping[date, pa.Table]) -> dict[str, bytes]:
    """PNG by name: reliability, and the gain over the best baseline by fold."""
    from shotspotter_assets.evaluation import plots
    from shotspotter_assets.evaluation.forecasts_table import observed_of, pool_tables

    forecasts = pool_tables(list(folds.values()))
    names, best = _plotted(report), report.verdict.best_baseline
    gains = {
        name: {fold: scores.models[name].gain_over_best_baseline for fold, scores in report.by_fold.items()}
        for name in names
        if name != best
    }
    return {
        "reliability": plots.reliability_curve(
            {name: forecasts[name].to_numpy() for name in names}, observed_of(forecasts)
        ),
        "gain_by_fold": plots.gain_by_fold(gains, best),
    }


def _plotted(report: "WalkForwardReport") -> list[str]:
    """The candidates, the best baselines and the reference, the best first."""
    ranked = list(report.models)
    baselines = [name for name in ranked if name in report.baselines]
    kept = {*baselines[:PLOTTED_BASELINES], report.verdict.best_baseline, "historical_mean"}
    return [name for name in ranked if name not in baselines or name in kept]


def _metadata(report: "WalkForwardReport", card: str, pictures: Mapping[str, bytes], path: str) -> dict[str, Any]:
    """The verdict, the card, the table of models, numbers, and the pictures."""
    verdict = report.verdict
    best, flags = verdict.best_baseline, report.burden[verdict.served]
    records = [_record(name, scores, best) for name, scores in report.models.items()]
    gain = {name if name == "gain" else f"gain_{name}": value for name, value in verdict.gain.ends().items()}
    return {
        "served": verdict.served,
        "passed": verdict.passed,
        "why": panel.bullets(verdict.reasons),
        "model_card": dg.MetadataValue.md(card),
        "scores": panel.table(records),
        "best_baseline": best,
        **panel.rounded(gain),
        "empty_of_ten_flagged_cells": flags.empty_of_ten,
        **panel.rounded({"days": report.days, "positives": report.positives, "base_rate": report.base_rate}),
        "folds": dg.MetadataValue.json([str(fold) for fold in report.folds]),
        "path": path,
        **{name: panel.picture(name, png) for name, png in pictures.items()},
    }


def _record(name: str, scores: "ComparedScores", best: str) -> dict[str, Any]:
    over_best = scores.gain_over[best]
    return {
        "model": name,
        **{score: getattr(scores, score) for score in SHOWN},
        "hit_rate_5": scores.hit_rate[5],
        "gain_over_historical_mean": scores.gain_over["historical_mean"].gain,
        "gain_over_best_baseline": over_best.gain,
        "low": over_best.low,
        "high": over_best.high,
    }
