"""Folds that are trained by the functions behind `fold_models` and `evaluation_reports` without being stored."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, today
from shotspotter_assets.evaluation.fold_report import FoldReport, fold_forecasts, fold_report
from shotspotter_assets.evaluation.fold_tables import FoldWindow, fold_tables
from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.forecasts.training import train_fold
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import FitContext, training_backups
from shotspotter_assets.models.forecaster_registry import BASELINES, candidate_of, city_settings, require_next_day
from shotspotter_assets.models.history import split_days
from shotspotter_assets.models.next_day.shared_regression import read_shared
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.storage.catalogue import FOLD_HOURS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

VALIDATION_SHARE: Final = 0.15  # share of the days before the cutoff, as in `fold_models`
PRINTED_SCORES: Final = {
    "log_loss": ("log loss", "lower is better; the table is sorted by it"),
    "gain_nats_per_positive": (
        "gain [nats]",
        "improvement over historical_mean, the long-run mean of each cell, in nats per cell-day with an alert",
    ),
    "brier_skill": ("Brier skill", "squared error compared with historical_mean; above 0 is better"),
    "average_precision": ("AP", "average precision of the ranked cells and days; 1 is perfect"),
    "predicted_over_observed": ("pred/obs", "forecast cell-days with an alert for each one observed; 1 is calibrated"),
    "seconds_to_train": ("train [s]", "seconds to train; - where nothing was trained, or as a part of stack"),
    "cpu_seconds_to_train": ("CPU [s]", "seconds of CPU to train, of all threads"),
}
"""Title and meaning by score."""
LEGEND: Final = "\n".join(f"{title:13s}{meaning}" for title, meaning in (("*", "a baseline"), *PRINTED_SCORES.values()))


def train_small_fold(
    store: Store,
    city: City,
    cutoff: date,  # the first test day
    days: int | None = 240,  # to train and validate on, before the cutoff; None for all
    test_days: int | None = 28,  # None for the test window of the city's file
    *,
    model: str = "",  # a next-day forecaster; by default the one that serves
    horizon: int = 0,  # hours that the returned forecasts are of; 0 for the next day
    changes: Mapping[str, Any] | None = None,  # settings of the model that differ from the city's file
) -> tuple[FoldReport, ScoreTable, pa.Table]:
    """Train a model on the stored days, and return report, scores and forecasts of it and of every baseline.

    Raises MissingPartitionsError or DaysNotKnownError for missing days, ValueError for too few or a wrong setting.
    """
    model = model or candidate_of(city)
    require_next_day([model])
    first, last = _used_days(city, cutoff, days, test_days)
    stored = CityHistory.load(store, city, last, first).complete()
    before = CityHistory.load(store, city, cutoff - ONE_DAY, stored.days[0]).complete()
    settings = city_settings(city, model, changes)
    # The input window of the reference network; other forecasters need one day.
    windows = split_days(len(before.days), round(len(before.days) * VALIDATION_SHARE), getattr(settings, "days", 1))
    context = FitContext(read_shared(store, city, cutoff), backups=training_backups(), changes={model: changes or {}})
    record, files = train_fold(before, cutoff, windows, [model], context=context, config={})
    models = TrainedModels.load(files)
    window = FoldWindow.of_stored(record, stored, with_hours=bool(horizon and models.hourly))
    report, scores, table = fold_report(window, fold_forecasts(models, window))
    if horizon and not models.hourly:
        raise ValueError(f"{city.name} has no forecasts of hours: {'; '.join(record.without.values())}")
    if horizon:
        table = fold_tables(window, models, [horizon], types=False)[FOLD_HOURS]
    return report, scores, table


def _used_days(city: City, cutoff: date, days: int | None, test_days: int | None) -> tuple[date, date]:
    """Return the first day to train on and the last to test on; raise ValueError if they are not within the city's past."""
    if cutoff <= city.start:
        raise ValueError(f"{city.name} starts on {city.start}; the cutoff must be later, and is {cutoff}.")
    first = city.start if days is None else max(cutoff - timedelta(days=days), city.start)
    last = city.last_test_day(cutoff) if test_days is None else cutoff + timedelta(days=test_days - 1)
    if last >= (now := today(city.zone)):
        raise ValueError(
            f"{city.name}: the days to test on, {cutoff} to {last}, are not over on {now}; choose an earlier cutoff or fewer days."
        )
    return first, last


def fold_text(report: FoldReport, scores: ScoreTable) -> str:
    """Return a line on the test days, and a table with a row for each model."""
    facts = (
        f"Fold {report.cutoff}: {number_of(report.test_days, 'test day')}, {number_of(report.covered_cells, 'covered cell')}, "
        f"{number_of(report.alerts, 'alert')}, "
        f"{report.base_rate:.2%} of cell-days with an alert"
    )
    lines = [facts, f"{'model':22s}" + "".join(f"{title:>13s}" for title, _ in PRINTED_SCORES.values())]
    for name in scores.models():
        values = [scores.value(score, name) for score in PRINTED_SCORES]
        title = f"{name} *" if name in BASELINES else name
        lines.append(f"{title:22s}" + "".join(f"{'-':>13s}" if value is None else f"{value:13.4f}" for value in values))
    return "\n".join(lines)
