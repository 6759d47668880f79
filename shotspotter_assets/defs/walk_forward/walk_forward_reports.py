"""Walk-forward report of a city: all of its folds together, with the verdict and the model card."""

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import asset_key
from shotspotter_assets.storage.file_names import (
    CARD_FILE,
    FOLD_FORECASTS_FILE,
    FOLD_HOURS_FILE,
    FOLD_TYPES_FILE,
    REPORT_FILE,
    picture_file,
)


class WalkForwardConfig(dg.Config):
    """The candidates of a walk-forward report."""

    candidate: str = Field(
        "",
        description="The next-day forecast to serve if it passes the gate, by default the one that the city's file names. "
        "Choose it before its scores are seen.",
    )
    hourly_candidate: str = Field("hourly_stack", description="The same for the shorter horizons.")


def definitions(city: City) -> dg.Definitions:
    """The asset and its check."""
    key = asset_key(city, "walk_forward_reports")

    @dg.asset(
        key=key,
        group_name=city.name,
        kinds={"json", "markdown"},
        code_version="1",
        deps=[asset_key(city, "evaluation_reports")],
    )
    def walk_forward_reports(
        context: dg.AssetExecutionContext, config: WalkForwardConfig, store: StoreResource
    ) -> dg.MaterializeResult:
        """All reported folds of the city pooled: gains over every baseline with intervals, the verdict, and the model card."""
        from shotspotter_assets.automation.stored import Stored
        from shotspotter_assets.evaluation.model_card import model_card
        from shotspotter_assets.evaluation.report_files import (
            read_fold_tables,
            walk_forward_partition,
            write_report,
        )
        from shotspotter_assets.evaluation.walk_forward_report import (
            walk_forward_pictures,
            walk_forward_report,
            walk_forward_rows,
        )
        from shotspotter_assets.models.forecaster_registry import candidate_of

        opened = store.open()
        stored = Stored.read(opened, city)
        made_from = stored.begin("walk_forward_reports")
        candidate = config.candidate or candidate_of(city)
        folds = read_fold_tables(opened, city.name, FOLD_FORECASTS_FILE)
        if not folds:
            raise ValueError(
                f"City {city.name}: no fold has an evaluation report. Materialize evaluation_reports for some of its folds."
            )
        context.log.info(f"{city.name}: pooling folds {', '.join(map(str, folds))}")
        report, scores = walk_forward_report(
            city=city,
            folds=folds,
            candidate=candidate,
            hourly=read_fold_tables(opened, city.name, FOLD_HOURS_FILE),
            hourly_candidate=config.hourly_candidate,
            types=read_fold_tables(opened, city.name, FOLD_TYPES_FILE),
        )
        card = model_card(report, scores)
        pictures = walk_forward_pictures(report, scores)
        partition = walk_forward_partition(city.name)
        with opened.alone(partition.asset, partition.city):
            for name, png in pictures.items():
                opened.write_bytes(partition, picture_file(name), png)
            opened.write_bytes(partition, CARD_FILE, card.encode())
            write_report(opened, partition, report, scores)
        stored.record("walk_forward_reports", None, made_from, made_from)
        verdict = report.verdict
        gain = {name if name == "gain" else f"gain_{name}": value for name, value in verdict.gain.ends().items()}
        return dg.MaterializeResult(
            metadata={
                "served": verdict.served,
                "verdict": verdict.outcome,
                "why": panel.bullets(verdict.reasons),
                "model_card": dg.MetadataValue.md(card),
                "scores": panel.table(walk_forward_rows(report, scores)),
                "best_baseline": verdict.best_baseline,
                **panel.rounded(
                    gain | {"days": report.days, "positives": report.positives, "base_rate": report.base_rate}
                ),
                "path": panel.stored(opened.uri(partition, REPORT_FILE)),
                **{name: panel.picture(name, png) for name, png in pictures.items()},
            }
        )

    @dg.asset_check(asset=key)
    def forecast_beats_best_baseline(store: StoreResource) -> dg.AssetCheckResult:
        """The candidate forecast is shown to be better than the best baseline, by one rule for all candidates.

        Better: the lower end of the 90% interval of its gain is above zero, predicted / observed lies within 0.8 to 1.25,
        and at least 12 weeks and 100 cell-days with an alert were tested. Worse: the upper end is below zero. Anything
        else is not worse, and not shown to be better. A combination of simple methods is served unless it is worse.
        """
        from shotspotter_assets.evaluation.report_files import read_walk_forward_report

        report, _ = read_walk_forward_report(store.open(), city.name)
        verdict = report.verdict
        return dg.AssetCheckResult(
            passed=verdict.outcome == "better",
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{verdict.served} is served. {' '.join(verdict.reasons)}",
            metadata={"served": verdict.served, "best_baseline": verdict.best_baseline, **verdict.gain.ends()},
        )

    return dg.Definitions(assets=[walk_forward_reports], asset_checks=[forecast_beats_best_baseline])
