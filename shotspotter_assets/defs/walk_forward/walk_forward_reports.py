"""Walk-forward report of a city: all of its folds together, with the verdict and the model card."""

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Check, Product, for_each_target
from shotspotter_assets.defs.resources import Log, Store, StoreResource
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.catalogue import Asset

if TYPE_CHECKING:
    from shotspotter_assets.evaluation.score_rows import ScoreTable
    from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport


@Product(Asset.WALK_FORWARD_REPORTS, kinds={"json", "markdown"}, code_version="1")
@for_each_target
def walk_forward_reports(log: Log, store: Store, city: City, _: None) -> panel.Metadata:
    """All reported folds of the city pooled: gains over every baseline with intervals, the verdict, and the model card.

    The headline scores of each full month are made with them.
    """
    from shotspotter_assets.evaluation import walk_forward_report as pooled
    from shotspotter_assets.forecasts.approval import Approvals
    from shotspotter_assets.forecasts.headline_scores import headline_scores
    from shotspotter_assets.forecasts.serving_record import ServingRecord
    from shotspotter_assets.models.forecaster_registry import candidate_of
    from shotspotter_assets.models.trained_models import HOURLY_STACK, FoldRecord

    headlines = headline_scores(store, city)
    by_month = [row | {"last": str(row["last"])} for row in headlines.to_pylist()[::-1]]
    folds = pooled.read_folds(store, city.name, catalogue.FOLD_FORECASTS)
    if not folds:
        note = f"No fold has an evaluation report of {city.target}. Materialize evaluation_reports of the city's folds."
        log.warning(f"City {city.name}: {note}")
        store.clear(catalogue.MODEL_CARD, city.name)
        store.write_table(catalogue.HEADLINES, headlines, city.name)
        return {"note": note, "headline_scores": panel.table(by_month)}
    log.info(f"{city.name}: pooling folds {', '.join(map(str, folds))}")
    report, scores = pooled.walk_forward_report(
        city=city,
        candidate=candidate_of(city),
        hourly_candidate=HOURLY_STACK,
        newest=FoldRecord.load(store, city.name, max(folds)),
        folds=folds,
        hourly=pooled.read_folds(store, city.name, catalogue.FOLD_HOURS),
        minutes=pooled.read_folds(store, city.name, catalogue.FOLD_MINUTES),
        types=pooled.read_folds(store, city.name, catalogue.FOLD_TYPES),
        counts=pooled.read_folds(store, city.name, catalogue.FOLD_COUNTS),
    )
    live = ServingRecord.latest_before(store, city.name, date.max)
    approval = "" if live is None else Approvals.read(store, city.name).text(live.version)
    card = pooled.model_card(report, scores, city, approval)
    pictures = pooled.walk_forward_pictures(store, report, scores, folds)
    files = {
        catalogue.MODEL_CARD: card.encode(),
        catalogue.CITY_SCORES: scores.to_arrow(),
        catalogue.HEADLINES: headlines,
    }
    files |= {catalogue.CITY_PICTURE.named(plot=name): png for name, png in pictures.items()}
    path = report.write_after(store, files)
    return {
        **_scores_shown(report, scores),
        "headline_scores": panel.table(by_month),
        "model_card": dg.MetadataValue.md(card),
        "path": dg.MetadataValue.path(path),
        **{name: panel.picture(name, png) for name, png in pictures.items()},
    }


@Check(Asset.WALK_FORWARD_REPORTS)
def forecast_beats_best_baseline(store: StoreResource, city: City) -> dg.AssetCheckResult:
    """The candidate forecast is shown to be better than the best baseline, by one rule for all candidates.

    Better: the lower end of the 90% interval of its gain is above zero, predicted / observed lies within 0.8 to 1.25,
    and at least 12 weeks and 100 cell-days with an alert were tested. Worse: the upper end is below zero. Anything
    else is not worse, and not shown to be better. A combination of simple methods is served unless it is worse.
    """
    from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport

    reports = [(view, WalkForwardReport.find(of_target, city.name)) for of_target, view in city.by_target(store.open())]
    verdicts = [(view, report.verdict) for view, report in reports if report is not None]
    numbers = [
        (
            view,
            {"verdict": verdict.outcome, "served": verdict.served, "best_baseline": verdict.best_baseline}
            | verdict.gain.ends("gain"),
        )
        for view, verdict in verdicts
    ]
    why = [
        (view, f"Verdict: {verdict.outcome}. {verdict.served} is served. {' '.join(verdict.reasons)}")
        for view, verdict in verdicts
    ]
    return dg.AssetCheckResult(
        passed=bool(verdicts) and all(verdict.outcome == "better" for _, verdict in verdicts),
        severity=dg.AssetCheckSeverity.WARN,
        description=panel.sentences(why),
        metadata=panel.of_targets(numbers),
    )


def _scores_shown(report: "WalkForwardReport", scores: "ScoreTable") -> panel.Metadata:
    """Return panel entries with the verdict, the gain by which it is decided, and the tables of scores."""
    from shotspotter_assets.evaluation import walk_forward_report as pooled
    from shotspotter_assets.evaluation.count_scores import count_tables

    verdict = report.verdict
    sizes = {"days": report.days, "positives": verdict.positives, "base_rate": scores.value("base_rate")}
    return {
        "served": verdict.served,
        "verdict": verdict.outcome,
        "why": panel.bullets(verdict.reasons),
        "scores": panel.table(pooled.walk_forward_rows(report, scores)),
        **{name: panel.table(rows) for name, rows in count_tables(scores).items()},
        "accuracy": panel.table(pooled.walk_forward_decisions(report, scores)),
        "best_baseline": verdict.best_baseline,
        **panel.rounded(verdict.gain.ends("gain") | sizes),
    }
