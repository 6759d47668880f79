"""Evaluation of one fold: forecasts of its test days by its stored models, with scores."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from shotspotter_assets.arrays import Array
from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.count_scores import COUNT_DEFINITIONS
from shotspotter_assets.evaluation.forecasts_table import forecasts_table, observed_of, without_firework_days
from shotspotter_assets.evaluation.score_rows import ALL, WITHOUT_FIREWORKS, Score, ScoreTable, all_rows
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS, reliability
from shotspotter_assets.models.forecaster_registry import BASELINES, HISTORICAL_MEAN, NEXT_DAY, networks_among
from shotspotter_assets.models.history import History
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.records import WITHOUT_FACTORS, FoldRecord
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.storage.catalogue import FOLD_REPORT
from shotspotter_assets.storage.stored_record import StoredRecord


class FoldReport(StoredRecord):
    """Facts of one fold's evaluation; its scores are a table (`evaluation.score_rows`)."""

    stored_as = FOLD_REPORT

    cutoff: date = Field(description="First test day; the fold's models used earlier days only.")
    train_days: int
    validation_days: int
    test_days: int = Field(description="Number of known days of the test window.")
    covered_cells: int
    alerts: int = Field(description="Alerts in covered cells on the test days.")
    base_rate: float = Field(description="Share of the test cell-days with an alert.")
    score_definitions: dict[str, str] = Field(description="Formula of each score by name.")


def fold_forecasts(
    models: TrainedModels, record: FoldRecord, history: History, log: Callable[[str], None]
) -> dict[str, Array]:
    """Return test forecasts by model, `WITHOUT_FACTORS` last; raise ValueError if days before the cutoff have changed."""
    test, key = record.windows(history)[2], f"{record.city} {record.cutoff}"
    if history.data_sha256(test.start) != record.data_sha256:
        raise ValueError(
            f"The grid tensors or contributing factors before {record.cutoff} are not those that the models of {key} were "
            f"trained on; materialize fold_models for {key} again."
        )
    forecasts = {}
    for name in (*(name for name in models.next_day if name not in BASELINES), *BASELINES):
        log(f"{key}: forecasting {len(test)} days with {name}")
        forecasts[name] = models.next_day[name].predict(history, test)
    if models.without_factors is not None:
        forecasts[WITHOUT_FACTORS] = models.without_factors.predict(history.without_factors(), test)
    return forecasts


def own_models(record: FoldRecord) -> list[str]:
    """Return the forecasters that the fold was trained for: the candidate first, and no other baseline."""
    next_day = [name for name in record.models if name in NEXT_DAY]
    return next_day[:1] + [name for name in next_day[1:] if name not in BASELINES]


def fold_report(
    record: FoldRecord, history: History, probability: Mapping[str, Array]
) -> tuple[FoldReport, ScoreTable, pa.Table]:
    """Return report, scores and forecasts of the known test days, given forecasts by model (test days, covered cells)."""
    train, validation, test = record.windows(history)
    known, in_coverage = history.known_in(test), history.in_coverage
    days, observed = history.days()[test.start :][known], history.observed[test.start :][known]
    # Stored as they are scored, so that the scores can be computed from the table alone.
    probabilities = {name: clip_probability(values[known]) for name, values in probability.items()}
    forecasts = forecasts_table(days, np.nonzero(in_coverage), observed, probabilities)
    rows = all_rows(forecasts, [])
    if history.city.is_of_gunfire:
        rows |= all_rows(without_firework_days(forecasts), [], WITHOUT_FIREWORKS)
    seconds = {name: trained.seconds_to_train for name, trained in record.models.items()}
    rows |= {(ALL, ALL, name, "seconds_to_train"): Score(seconds.get(name)) for name in probability}
    report = FoldReport(
        city=record.city,
        cutoff=record.cutoff,
        train_days=len(train),
        validation_days=len(validation),
        test_days=len(days),
        covered_cells=int(in_coverage.sum()),
        alerts=int(history.alerts[test.start :, in_coverage].sum()),
        base_rate=float(observed.mean()),
        score_definitions={**SCORE_DEFINITIONS, **COUNT_DEFINITIONS},
    )
    return report, ScoreTable(rows), forecasts


def fold_rows(scores: ScoreTable) -> list[dict[str, Any]]:
    """Return a row of scores for each model of a fold, the best one first."""
    columns = {"log loss": "log_loss", "gain": "gain_nats_per_positive", "p/o": "predicted_over_observed"}
    models = scores.models()
    return [{"model": one} | {title: scores.value(score, one) for title, score in columns.items()} for one in models]


def fold_pictures(record: FoldRecord, history: History, forecasts: pa.Table) -> dict[str, bytes]:
    """Draw a day's forecasts by the first trained model and networks beside its alerts, reliability, and alerts by type."""
    test, own = record.windows(history)[2], own_models(record)
    known, networks = history.known_in(test), networks_among(forecasts.column_names)
    days, alerts = history.days()[test.start :][known], history.alerts[test.start :][known]
    # The median day is neither quiet nor a firework day.
    shown = int(np.argsort(alerts.sum(axis=(1, 2)), kind="stable")[len(alerts) // 2])
    probability = {name: forecasts[name].to_numpy() for name in dict.fromkeys((*own, *networks, HISTORICAL_MEAN))}
    maps = {name: probability[name].reshape(len(days), -1)[shown] for name in (own[0], *networks)}
    curves = {name: reliability(values, observed_of(forecasts)) for name, values in probability.items()}
    city, in_coverage, totals = history.city, history.in_coverage, history.counts.sum(axis=0, dtype=np.float64)
    totals[(totals == 0) & ~in_coverage] = np.nan
    by_type = {city.type_names[code]: totals[code] for code in city.forecast_codes if np.nansum(totals[code])}
    title, of_types = f"Forecasts of {days[shown]}", f"From {history.first_day} to {history.days()[-1]}"
    return {
        "forecast": plots.forecasts_beside_observed(city, in_coverage, maps, alerts[shown], title),
        "reliability": plots.reliability_curve(curves),
        "alerts_by_type": plots.alerts_by_type(city, by_type, of_types),
    }
