"""The evaluation report of one fold, and the forecasts that its scores were computed from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from pydantic import Field, JsonValue

from shotspotter_assets.evaluation.evaluated_fold import EvaluatedFold
from shotspotter_assets.evaluation.forecasts_table import forecasts_table, without_firework_days
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS, Scores
from shotspotter_assets.evaluation.stored_report import StoredReport
from shotspotter_assets.evaluation.table_scores import score_table
from shotspotter_assets.models.forecaster import ModelForecast
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.records import FoldRecord, TunedUse


class ForecastShapeError(ValueError):
    """A forecast does not have one probability per test day and covered cell."""


@dataclass(frozen=True)
class TrainedScores(Scores):
    """The scores of a model, with the seconds that its training took; None where nothing is fitted."""

    seconds_to_train: float | None


class FoldReport(StoredReport):
    """The scores of all models in one fold."""

    city: str
    fold: date
    train_days: int
    validation_days: int
    test_days: int
    train_first: date
    train_last: date
    validation_first: date
    validation_last: date
    test_first: date
    test_last: date
    covered_cells: int
    alerts: int
    """In covered cells on the test days."""
    base_rate: float
    """Share of the test cell-days with an alert."""
    config: dict[str, JsonValue]
    """Of the run that trained the models."""
    models: dict[str, TrainedScores]
    without_firework_days: dict[str, Scores]
    """Empty where every day is a firework day."""
    model_settings: dict[str, dict[str, JsonValue]]
    """What was chosen for each model."""
    tuned: dict[str, TunedUse] = Field(default_factory=dict)
    """What is known of tuned settings, by forecaster; empty in reports of earlier versions."""
    score_definitions: dict[str, str]


def fold_report(fold: EvaluatedFold, models: Mapping[str, ModelForecast]) -> tuple[FoldReport, pa.Table]:
    """Report and forecasts table (see `evaluation.forecasts_table`) of one fold.

    Args:
        models: forecasts of the test days by model, `historical_mean` among them.

    Raises:
        ForecastShapeError: a forecast has another shape than (test days, covered cells).
    """
    record, in_coverage, observed = fold.record, fold.history.in_coverage, fold.observed
    for name, model in models.items():
        if model.probability.shape != observed.shape:
            raise ForecastShapeError(
                f"City {record.city}, fold {record.fold}: the forecast of {name} has shape {model.probability.shape}, not "
                f"{observed.shape} (test days, covered cells)."
            )
    forecasts = forecasts_table(
        fold.test_days,
        np.nonzero(in_coverage),
        observed,
        # Kept as they are scored, so that the scores can be computed from the table alone.
        {name: clip_probability(model.probability) for name, model in models.items()},
    )
    report = FoldReport(
        **record.model_dump(include=(FoldRecord.model_fields.keys() & FoldReport.model_fields) - {"models"}),
        test_days=len(fold.test_days),
        test_first=record.fold,
        test_last=fold.test_days[-1].item(),
        covered_cells=int(in_coverage.sum()),
        alerts=int(fold.alerts[:, in_coverage].sum()),
        base_rate=float(observed.mean()),
        models={
            name: TrainedScores(**vars(scores), seconds_to_train=models[name].seconds)
            for name, scores in score_table(forecasts).items()
        },
        without_firework_days=score_table(without_firework_days(forecasts)),
        model_settings={name: model.settings for name, model in models.items() if model.settings is not None},
        score_definitions=dict(SCORE_DEFINITIONS),
    )
    return report, forecasts
