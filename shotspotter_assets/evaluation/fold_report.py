"""The evaluation report of one fold: its scores as plain JSON values, and the forecasts they were computed from."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import forecasts_table, without_firework_days
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS
from shotspotter_assets.evaluation.table_scores import score_table
from shotspotter_assets.models.next_day.lag_features import day_axis, occupied_cells
from shotspotter_assets.models.probability import clip_probability


class ForecastShapeError(ValueError):
    """A forecast does not have one probability per test day and covered cell."""


def build_report(
    *,
    city: str,
    fold: date,
    first_day: date,
    train: range,
    validation: range,
    test: range,
    counts: npt.NDArray[np.integer],
    covered: npt.NDArray[np.bool_],
    probabilities: Mapping[str, npt.NDArray[np.floating]],
    seconds: Mapping[str, float],
    settings: Mapping[str, Mapping[str, Any]],
    config: Mapping[str, Any],
) -> tuple[dict[str, Any], pa.Table]:
    """Report and forecasts table of one fold.

    Args:
        city: name of the city.
        fold: cutoff date.
        first_day: local day of `counts[0]`.
        train: indices into the day axis; so are `validation` and `test`.
        validation: see `train`.
        test: see `train`.
        counts: alerts, shape (days, types, rows, columns).
        covered: shape (rows, columns).
        probabilities: of at least one alert by model, `historical_mean` among them, shape (test days, covered cells),
            cells in row-major order.
        seconds: wall-clock time of each model's training; a model that nobody fitted is left out.
        settings: what was chosen for each model, as JSON values.
        config: the configuration of the run that trained the models, as JSON values.

    Returns:
        The report (`models` maps each model to its scores and `seconds_to_train`), and a table with one row per test day
        and covered cell: `date`, `row`, `column`, `observed` and one column per model.

    Raises:
        ForecastShapeError: a forecast has another shape than (test days, covered cells).
    """
    tested = slice(test.start, test.stop)
    observed = occupied_cells(counts[tested], covered)
    for name, probability in probabilities.items():
        if probability.shape != observed.shape:
            raise ForecastShapeError(
                f"City {city}, fold {fold}: the forecast of {name} has shape {probability.shape}, not "
                f"{observed.shape} (test days, covered cells)."
            )
    forecasts = forecasts_table(
        day_axis(first_day, len(counts))[tested],
        np.nonzero(covered),
        observed,
        # Kept as they are scored, so that the scores can be computed from the table alone.
        {name: clip_probability(probability) for name, probability in probabilities.items()},
    )
    report = {
        "city": city,
        "fold": fold.isoformat(),
        "train_days": len(train),
        "validation_days": len(validation),
        "test_days": len(test),
        **_window_dates(first_day, train=train, validation=validation, test=test),
        "covered_cells": int(covered.sum()),
        "alerts": int(counts[tested][:, :, covered].sum(dtype=np.int64)),
        "base_rate": float(observed.mean()),
        "config": dict(config),
        "models": {
            name: {**of_model, "seconds_to_train": seconds.get(name)}
            for name, of_model in score_table(forecasts).items()
        },
        "without_firework_days": score_table(without_firework_days(forecasts)),
        "model_settings": {name: dict(of_model) for name, of_model in settings.items()},
        "score_definitions": dict(SCORE_DEFINITIONS),
    }
    return report, forecasts


def _window_dates(first_day: date, **windows: range) -> dict[str, str]:
    dates = {}
    for name, days in windows.items():
        dates[f"{name}_first"] = (first_day + timedelta(days=days[0])).isoformat()
        dates[f"{name}_last"] = (first_day + timedelta(days=days[-1])).isoformat()
    return dates
