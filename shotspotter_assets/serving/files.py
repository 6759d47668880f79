"""The files of the live chain in the store, and how they are read."""

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from shotspotter_assets.models.records import TrainedModel
from shotspotter_assets.models.stored_models import read_files
from shotspotter_assets.storage.file_names import FORECAST_FILE, RECORD_FILE
from shotspotter_assets.storage.store import Partition, Store

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.serving.live_models import LiveRecord
    from shotspotter_assets.serving.risk_forecasts import LoadedModels

LIVE_MODELS: Final = "live_models"
RISK_FORECASTS: Final = "risk_forecasts"
PATROL_PLANS: Final = "patrol_plans"
FORECAST_SCORES: Final = "forecast_scores"
NOWCASTS: Final = "nowcasts"

STALE_SCORES: Final = timedelta(days=14)
"""Scores older than this say nothing about the model in force."""


def day_partition(asset: str, city: str, day: date) -> Partition:
    """A day's partition of an asset of the live chain."""
    return Partition(asset, city, "date", day)


def read_live_record(store: Store, city: str, day: date) -> "LiveRecord":
    """The record of the models in force after a day.

    Raises:
        MissingObjectError: `live_models` was not made for the day.
    """
    from shotspotter_assets.serving.live_models import LiveRecord

    return LiveRecord.model_validate_json(store.read_bytes(day_partition(LIVE_MODELS, city, day), RECORD_FILE))


def record_before(store: Store, city: str, day: date) -> "LiveRecord | None":
    """The latest record of a day before; later ones know more than may be known."""
    earlier = [of for of in store.days_present(LIVE_MODELS, city, RECORD_FILE) if of < day]
    return read_live_record(store, city, max(earlier)) if earlier else None


def scores_before(store: Store, city: str, day: date) -> dict[str, Any] | None:
    """The latest scores of the days shortly before."""
    scored = [of for of in store.days_present(FORECAST_SCORES, city, RECORD_FILE) if day - STALE_SCORES <= of < day]
    if not scored:
        return None
    scores: dict[str, Any] = json.loads(
        store.read_bytes(day_partition(FORECAST_SCORES, city, max(scored)), RECORD_FILE)
    )
    return scores


def stored_name(model: str, version: str) -> str:
    """What the files of a model start with: training a day anew must not replace files that later days point to."""
    return f"{model}-{version}"


def read_model(store: Store, city: str, day: date, model: str, version: str, trained: TrainedModel) -> dict[str, bytes]:
    """The files of a model that was trained on a day; see `defs.models.files.read_files`."""
    return read_files(store, day_partition(LIVE_MODELS, city, day), stored_name(model, version), trained)


def load_models(store: Store, record: "LiveRecord") -> "LoadedModels":
    """All models that a record names.

    Raises:
        ModelMismatchError: their files were changed or removed.
    """
    from shotspotter_assets.models.alert_counts import AlertCounts
    from shotspotter_assets.models.gunshot_types import GunshotTypes
    from shotspotter_assets.models.next_hours.next_hours import NextHours
    from shotspotter_assets.models.registry import forecaster
    from shotspotter_assets.serving.live_models import COUNTS, NEXT_DAY, NEXT_HOURS, TYPES
    from shotspotter_assets.serving.risk_forecasts import LoadedModels

    days = {
        name: read_model(store, record.city, record.models_from, name, record.models_version, trained)
        for name, trained in record.models.items()
    }
    hours = {
        name: read_model(store, record.city, record.hours_from, name, record.hours_version, trained)
        for name, trained in record.hours.items()
    }
    return LoadedModels(
        served=record.served,
        next_day={name: forecaster(name).load(days[name]) for name in NEXT_DAY},
        counts=AlertCounts.load(days[COUNTS]),
        level=record.level,
        hours=NextHours.load(hours[NEXT_HOURS]) if NEXT_HOURS in hours else None,
        types=GunshotTypes.load(hours[TYPES]) if TYPES in hours else None,
    )


def next_day_forecasts(store: Store, city: str, first: date, last: date) -> dict[date, "pa.Table"]:
    """The next-day rows of the forecasts issued from `first` to `last`, by the day that they are for."""
    import pyarrow.compute as pc

    from shotspotter_assets.serving.risk_forecasts import NEXT_DAY_HORIZON

    issued = [of for of in store.days_present(RISK_FORECASTS, city, FORECAST_FILE) if first <= of <= last]
    tables = {of: store.read_table(day_partition(RISK_FORECASTS, city, of), FORECAST_FILE) for of in sorted(issued)}
    return {
        of + timedelta(days=1): table.filter(pc.equal(table["horizon"], NEXT_DAY_HORIZON))
        for of, table in tables.items()
    }
