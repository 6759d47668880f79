"""Evaluation of one fold: forecasts of its test days by its stored models, with scores."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pydantic import Field

from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.count_scores import COUNT_DEFINITIONS
from shotspotter_assets.evaluation.estimates import Estimate
from shotspotter_assets.evaluation.fold_tables import FoldWindow
from shotspotter_assets.evaluation.forecasts_table import forecasts_table, observed_of, without_firework_days
from shotspotter_assets.evaluation.score_rows import ALL, WITHOUT_FIREWORKS, ScoreTable, all_rows
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS, reliability
from shotspotter_assets.models.forecaster import clip_probability, log_losses
from shotspotter_assets.models.forecaster_registry import BASELINES, HISTORICAL_MEAN, NETWORK, NEXT_DAY, networks_among
from shotspotter_assets.models.history import History
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.models.trained_models import WITHOUT_FACTORS, FoldRecord, TrainedModels
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.catalogue import FOLD_LEADS, FOLD_REPORT
from shotspotter_assets.storage.progress import steps
from shotspotter_assets.storage.stored_record import StoredRecord

log = logging.getLogger(__name__)
LEADS: Final = (1, 14, 56)  # days; each costs the features of a whole history


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


def fold_forecasts(models: TrainedModels, window: FoldWindow) -> dict[str, Array]:
    """Return forecasts of all test days by model, `WITHOUT_FACTORS` last, each of shape (test days, covered cells).

    Raises ValueError if days before the cutoff have changed since the training.
    """
    history = window.history
    if history.data_sha256(window.test.start) != window.record.data_sha256:
        raise ValueError(
            f"The grid tensors or contributing factors before {window.record.cutoff} are not those that the models of "
            f"{window.key} were trained on; materialize fold_models for {window.key} again."
        )
    forecasts = {}
    names = [*(name for name in models.next_day if name not in BASELINES), *BASELINES]
    for name in steps("forecaster", names, "forecasting"):
        log.info("%s: forecasting %s days with %s", window.key, len(window.test), name)
        forecasts[name] = models.next_day[name].predict(history, window.test)
    if models.without_factors is not None:
        forecasts[WITHOUT_FACTORS] = models.without_factors.predict(history.without_factors(), window.test)
    return forecasts


def fold_leads(models: TrainedModels, window: FoldWindow, forecasts: Mapping[str, Array]) -> pa.Table:
    """Return log losses of the known test days, forecast as if the last days before them were not known, by lead.

    The models are those of the fold, fitted at lead 1 before the cutoff; to fit them anew costs a fold for each lead.
    `forecasts` are those of lead 1. Returns `catalogue.FOLD_LEADS`.
    """
    names = (window.record.served, HISTORICAL_MEAN)
    fitted = [models.next_day[name] for name in names]
    if isinstance(fitted[0], FittedStack) and NETWORK in fitted[0].members:
        # A network takes long for each lead. The first member stands for it, with which it shares the prior weight.
        fitted[0] = replace(fitted[0], members=fitted[0].members | {NETWORK: next(iter(fitted[0].members.values()))})
    tables = []
    for lead in LEADS:
        history = replace(window.history, lead=lead)
        of_lead = (
            [forecasts[name] for name in names] if lead == 1 else [m.predict(history, window.test) for m in fitted]
        )
        losses = [log_losses(probability[window.known], window.observed).sum(axis=1) for probability in of_lead]
        columns = (window.days, np.full(len(window.days), lead), window.observed.sum(axis=1), *losses)
        tables.append(pa.table(columns, FOLD_LEADS.schema.names).cast(FOLD_LEADS.schema))
    return pa.concat_tables(tables)


def own_models(record: FoldRecord) -> list[str]:
    """Return the forecasters that the fold was trained for: the candidate first, and no other baseline."""
    next_day = [name for name in record.models if name in NEXT_DAY]
    return next_day[:1] + [name for name in next_day[1:] if name not in BASELINES]


def fold_report(window: FoldWindow, probability: Mapping[str, Array]) -> tuple[FoldReport, ScoreTable, pa.Table]:
    """Return report, scores and forecasts of the known test days, given `fold_forecasts`."""
    in_coverage = window.history.in_coverage
    # Stored as they are scored, so that the scores can be computed from the table alone.
    probabilities = {name: clip_probability(values[window.known]) for name, values in probability.items()}
    forecasts = forecasts_table(window.days, np.nonzero(in_coverage), window.observed, probabilities)
    rows = all_rows(forecasts, [])
    if window.history.city.is_of_gunfire:
        rows |= all_rows(without_firework_days(forecasts), [], WITHOUT_FIREWORKS)
    for score in ("seconds_to_train", "cpu_seconds_to_train"):
        seconds = {name: getattr(trained, score) for name, trained in window.record.models.items()}
        rows |= {(ALL, ALL, name, score): Estimate(seconds.get(name)) for name in probability}
    report = FoldReport(
        city=window.record.city,
        cutoff=window.record.cutoff,
        train_days=len(window.train),
        validation_days=len(window.validation),
        test_days=len(window.days),
        covered_cells=int(in_coverage.sum()),
        alerts=int(window.alerts[:, in_coverage].sum()),
        base_rate=float(window.observed.mean()),
        score_definitions={**SCORE_DEFINITIONS, **COUNT_DEFINITIONS},
    )
    return report, ScoreTable(rows), forecasts


def fold_rows(scores: ScoreTable) -> list[dict[str, Any]]:
    """Return a row of scores for each model of a fold, the best one first."""
    columns = {"log loss": "log_loss", "gain": "gain_nats_per_positive", "p/o": "predicted_over_observed"}
    return [
        {"model": name} | {title: scores.value(score, name) for title, score in columns.items()}
        for name in scores.models()
    ]


def fold_pictures(window: FoldWindow, forecasts: pa.Table) -> dict[str, bytes]:
    """Draw the maps of a day, reliability of models, and alerts by type, as PNG bytes by name.

    The maps are those of the first trained model and of networks, beside the day's alerts. `forecasts` are those of
    `fold_report`.
    """
    trained = own_models(window.record)
    networks = networks_among(forecasts.column_names)
    observed = observed_of(forecasts)
    probability = {name: forecasts[name].to_numpy() for name in dict.fromkeys((*trained, *networks, HISTORICAL_MEAN))}
    # The median day is neither quiet nor a firework day.
    drawn_day = int(np.argsort(window.alerts.sum(axis=(1, 2)), kind="stable")[len(window.days) // 2])
    day_maps = {name: probability[name].reshape(len(window.days), -1)[drawn_day] for name in (trained[0], *networks)}
    history = window.history
    alerts_by_type = _alerts_by_type(history)
    return {
        "forecast": plots.forecasts_beside_observed(
            history.city,
            history.in_coverage,
            day_maps,
            window.alerts[drawn_day],
            f"Forecasts of {window.days[drawn_day]}",
        ),
        "reliability": plots.reliability_curve(
            {name: reliability(values, observed) for name, values in probability.items()}
        ),
        "alerts_by_type": plots.alerts_by_type(
            history.city, alerts_by_type, f"From {history.first_day} to {history.days()[-1]}"
        ),
    }


def _alerts_by_type(history: History) -> dict[str, Array]:
    """Return a history's alerts by the name of their type, each of shape (rows, columns), NaN in cells out of reach."""
    totals = history.counts.sum(axis=0, dtype=np.float64)
    totals[(totals == 0) & ~history.in_coverage] = np.nan
    names = history.city.type_names
    return {names[code]: totals[code] for code in history.city.forecast_codes if np.nansum(totals[code])}
