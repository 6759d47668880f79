"""Train a small fold with the functions behind `fold_models` and `evaluation_reports`, without storing it."""

from datetime import date, timedelta
from typing import Any, Final

import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.fold_windows import last_test_day
from shotspotter_assets.evaluation.fold_report import FoldReport, fold_forecasts, fold_report
from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.fold_training import train_fold
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import candidate_of, city_settings
from shotspotter_assets.models.next_day.shared_regression import read_shared
from shotspotter_assets.models.training_windows import split_days
from shotspotter_assets.storage.store import Store

VALIDATION_SHARE: Final = 0.15
"""Share of the days before the cutoff, as in `fold_models`."""


def whole_fold(city: City, cutoff: date) -> tuple[int, int]:
    """Return the days before the cutoff and the test days of a fold of the city's file."""
    return (cutoff - city.start).days, (last_test_day(city, cutoff) - cutoff).days + 1


def train_small_fold(
    store: Store,
    city: City,
    cutoff: date,
    days: int = 240,
    test_days: int = 28,
    *,
    model: str | None = None,
    **changes: Any,
) -> tuple[FoldReport, ScoreTable, pa.Table]:
    """Train a model on the stored days, and return report, scores and forecasts of it and of every baseline.

    Args:
        cutoff: the first test day.
        days: training and validation days before the cutoff.
        model: a next-day forecaster; by default the one that serves.
        changes: settings of the model that differ from the city's file.

    Raises:
        MissingPartitionsError: days are missing.
        DaysNotKnownError: the last test days are not known yet.
        ValueError: there are too few days to train on, or a setting is not one of the model.
    """
    model = model or candidate_of(city)
    first, last = cutoff - timedelta(days=days), cutoff + timedelta(days=test_days - 1)
    stored = CityHistory.load(store, city, last, max(first, city.start)).complete()
    before = CityHistory.load(store, city, cutoff - timedelta(days=1), stored.days[0]).complete()
    settings = city_settings(city, model, changes)
    # The input window of the reference network; other forecasters need one day.
    windows = split_days(len(before.days), VALIDATION_SHARE, getattr(settings, "days", 1))
    context = FitContext(read_shared(store, city, cutoff), log=print, changes={model: changes})
    record, files = train_fold(before, cutoff, windows, {model: settings}, context=context, config={})
    history = stored.daily(covered_mask(record.covered, city.shape))
    return fold_report(record, history, fold_forecasts(files, record, history, print))
