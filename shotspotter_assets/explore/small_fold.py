"""Train a small fold with the functions behind `fold_models` and `evaluation_reports`, without storing it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.fold_report import EvaluatedFold, fold_forecasts, fold_report
from shotspotter_assets.evaluation.forecasts_table import KEY_COLUMNS
from shotspotter_assets.evaluation.hourly_forecasts import hour_forecasts, hourly_windows
from shotspotter_assets.explore.stored import NEXT_DAY, fold_table
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.fold_models import train_fold
from shotspotter_assets.models.fold_windows import split_days
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.next_hours.registry import HOURLY_FORECASTERS
from shotspotter_assets.models.registry import city_settings
from shotspotter_assets.models.shared_models import read_shared
from shotspotter_assets.storage.store import Store

STORED: Final = "stored "
"""Prefix of the columns of stored forecasts beside those of a small fold."""

VALIDATION_SHARE: Final = 0.15
"""Share of the days before the cutoff, as in `fold_models`."""


@dataclass(frozen=True)
class SmallFold:
    """A fold to train.

    Attributes:
        cutoff: the first test day.
        days: to train and validate on, before it.
        test_days: to forecast, from it on.
        horizon: in hours, or `NEXT_DAY`.
        model: a forecaster of that horizon.
        changes: its settings that differ from those of the city's file.
    """

    cutoff: date
    days: int
    test_days: int
    horizon: int
    model: str
    changes: Mapping[str, Any]


def train_small_fold(store: Store, city: City, fold: SmallFold, log: Callable[[str], None]) -> pa.Table:
    """Return the forecasts table of the test days: of the model and of every baseline, fitted on the same days.

    Args:
        store: with the days of the city.
        city: with the target (`stored.with_target`).
        fold: to train.
        log: called with messages of progress.

    Raises:
        MissingPartitionsError: days are missing.
        DaysNotKnownError: the last test days are not known yet.
        ValueError: there are too few days to train on.
        ValidationError: a setting is not one that the model takes.
    """
    first, last = fold.cutoff - timedelta(days=fold.days), fold.cutoff + timedelta(days=fold.test_days - 1)
    log(f"reading {first} to {last}")
    stored = CityHistory.load(store, city, last, max(first, city.start)).complete()
    before = CityHistory.load(store, city, fold.cutoff - timedelta(days=1), stored.days[0]).complete()
    settings = {} if fold.horizon else {fold.model: city_settings(city, fold.model, fold.changes)}
    # The input window of the reference network; other forecasters need one day.
    input_days = max((getattr(one, "days", 1) for one in settings.values()), default=1)
    windows = split_days(len(before.days), VALIDATION_SHARE, input_days)
    context = FitContext(
        read_shared(store, city, fold.cutoff), log=log, changes={fold.model: fold.changes} if settings else {}
    )
    record, files = train_fold(before, fold.cutoff, windows, settings, context=context, config={})
    if fold.horizon == NEXT_DAY:
        evaluated = EvaluatedFold(record, stored.daily(covered_mask(record.covered, city.shape)))
        return fold_report(evaluated, fold_forecasts(files, evaluated, log))[2]
    log(f"fitting the forecasters of the next {fold.horizon} hours")
    forecaster = HOURLY_FORECASTERS[fold.model].forecaster((fold.horizon,))
    table = hour_forecasts(*hourly_windows(stored, record), [fold.horizon], {fold.model: forecaster})
    return table.select([name for name in table.column_names if not table[name].null_count])


def beside_stored(store: Store, city: City, fold: SmallFold, table: pa.Table) -> pa.Table | None:
    """Join the forecasts of the stored report of the fold, on the rows of both; None without such a report."""
    stored = fold_table(store, city, fold.cutoff, fold.horizon)
    if stored is None:
        return None
    keys = [name for name in KEY_COLUMNS if name in table.column_names]
    renamed = stored.rename_columns([name if name in keys else f"{STORED}{name}" for name in stored.column_names])
    joined = table.join(renamed, keys, join_type="inner")
    return joined.sort_by([(name, "ascending") for name in keys]) if len(joined) else None
