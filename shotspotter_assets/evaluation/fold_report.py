"""The evaluation report of one fold, and the forecasts that its scores were computed from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import forecasts_table, without_firework_days
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS, Scores
from shotspotter_assets.evaluation.stored_report import StoredReport
from shotspotter_assets.evaluation.table_scores import score_table
from shotspotter_assets.models.history import History
from shotspotter_assets.models.probability import clip_probability


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
    config: dict[str, Any]
    """Of the run that trained the models."""
    models: dict[str, TrainedScores]
    without_firework_days: dict[str, Scores]
    """Empty where every day is a firework day."""
    model_settings: dict[str, dict[str, Any]]
    """What was chosen for each model."""
    score_definitions: dict[str, str]


def fold_report(
    *,
    history: History,
    fold: date,
    train: range,
    validation: range,
    test: range,
    probabilities: Mapping[str, npt.NDArray[np.floating]],
    seconds: Mapping[str, float],
    settings: Mapping[str, Mapping[str, Any]],
    config: Mapping[str, Any],
) -> tuple[FoldReport, pa.Table]:
    """Report and forecasts table (see `evaluation.forecasts_table`) of one fold.

    Args:
        history: of the city to the last test day.
        fold: cutoff date.
        train: indexes of the day axis; so are `validation` and `test`.
        validation: see `train`.
        test: see `train`.
        probabilities: of at least one alert by model, `historical_mean` among them, shape (test days, covered cells),
            cells in row-major order.
        seconds: wall-clock time of each model's training; a model that nobody fitted is left out.
        settings: what was chosen for each model, as JSON values.
        config: the configuration of the run that trained the models, as JSON values.

    Raises:
        ForecastShapeError: a forecast has another shape than (test days, covered cells).
    """
    tested = slice(test.start, test.stop)
    observed = history.observed[tested]
    for name, probability in probabilities.items():
        if probability.shape != observed.shape:
            raise ForecastShapeError(
                f"City {history.city.name}, fold {fold}: the forecast of {name} has shape {probability.shape}, not "
                f"{observed.shape} (test days, covered cells)."
            )
    forecasts = forecasts_table(
        history.days()[tested],
        np.nonzero(history.in_coverage),
        observed,
        # Kept as they are scored, so that the scores can be computed from the table alone.
        {name: clip_probability(probability) for name, probability in probabilities.items()},
    )
    report = FoldReport(
        city=history.city.name,
        fold=fold,
        train_days=len(train),
        validation_days=len(validation),
        test_days=len(test),
        train_first=_day(history, train[0]),
        train_last=_day(history, train[-1]),
        validation_first=_day(history, validation[0]),
        validation_last=_day(history, validation[-1]),
        test_first=_day(history, test[0]),
        test_last=_day(history, test[-1]),
        covered_cells=int(history.in_coverage.sum()),
        alerts=int(history.alerts[tested][:, history.in_coverage].sum()),
        base_rate=float(observed.mean()),
        config=dict(config),
        models={
            name: TrainedScores(**vars(scores), seconds_to_train=seconds.get(name))
            for name, scores in score_table(forecasts).items()
        },
        without_firework_days=score_table(without_firework_days(forecasts)),
        model_settings={name: dict(chosen) for name, chosen in settings.items()},
        score_definitions=dict(SCORE_DEFINITIONS),
    )
    return report, forecasts


def _day(history: History, at: int) -> date:
    return history.first_day + timedelta(days=at)
