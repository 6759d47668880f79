"""Nowcasts, by city: the next 1 to 12 hours from now."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pyarrow as pa
from pydantic import Field

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities, find_city
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.daily.risk_forecasts import map_picture
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.partitions import ALL_OF_CITY, Partitions
from shotspotter_assets.serving.files import (
    LIVE_MODELS,
    NOWCASTS,
    load_models,
    read_live_record,
)
from shotspotter_assets.storage.file_names import FORECAST_FILE, GRID_FILE, RECORD_FILE
from shotspotter_assets.storage.store import Partition

if TYPE_CHECKING:
    from shotspotter_assets.models.hourly_history import HourlyHistory
    from shotspotter_assets.serving.live_models import LiveRecord
    from shotspotter_assets.storage.store import Store


class NoHoursError(ValueError):
    """The next hours cannot be forecast for a city."""


class NowcastConfig(dg.Config):
    """From when a nowcast is."""

    now: str = Field("", description="Instant with a zone (ISO 8601); empty for the present one.")


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.cities,
        group_name="forecasts",
        kinds={"parquet"},
        code_version="1",
        deps=[dg.AssetDep(name, partition_mapping=ALL_OF_CITY) for name in ("live_models", "grid_tensors")],
    )
    return dg.Definitions(assets=[asset(nowcasts)])


def nowcasts(
    context: dg.AssetExecutionContext,
    config: NowcastConfig,
    cities: dg.ResourceParam[Cities],
    store: StoreResource,
    sources: SourcesResource,
) -> dg.MaterializeResult:
    """Risk of the next 1 to 12 hours from now, from the stored days and what the source has of the days since.

    The hour that is running counts with what it has had so far; forecast are the hours from its end on.
    """
    from shotspotter_assets.serving.risk_forecasts import next_hours_table, type_mixes

    city, opened = find_city(cities, context.partition_key), store.open()
    now = datetime.fromisoformat(config.now).astimezone(UTC) if config.now else datetime.now(UTC)
    today = now.astimezone(city.zone).date()
    record = _record_in_force(opened, city, today)
    models = load_models(opened, record)
    if models.hours is None:
        raise NoHoursError(f"City {city.name}: no next hours. {' '.join(record.without.values())}")
    history, seen = _until_now(opened, sources, city, record, now)
    starts, probability = models.hours.nowcast(history, now)
    at = int(np.searchsorted(history.starts, starts))
    mixes = type_mixes(models.types, history, at, max(models.hours.models))
    table = next_hours_table(models, history, at, probability, mixes)
    partition = Partition(NOWCASTS, city.name)
    said: dict[str, Any] = {
        "city": city.name,
        "now": now.isoformat(timespec="seconds"),
        "from": f"{starts}Z",
        "models_from": record.hours_from.isoformat(),
        "alerts_since_midnight": seen,
    }
    opened.write_bytes(partition, RECORD_FILE, json.dumps(said, indent=1).encode())
    opened.write_table(partition, FORECAST_FILE, table)
    longest = table.filter(pa.array(table["hours"].to_numpy() == max(models.hours.models)))
    title = f"Risk of the {max(models.hours.models)} hours from {starts} UTC: {seen} alerts since midnight"
    totals = {
        f"expected_cells_{horizon}h": float(of.sum())
        for horizon, of in zip(models.hours.models, probability, strict=True)
    }
    return dg.MaterializeResult(
        metadata={
            **said,
            **panel.rounded(totals),
            "map": panel.picture("map", map_picture(longest, city, title)),
            "path": opened.uri(partition, FORECAST_FILE),
        }
    )


def _record_in_force(store: "Store", city: City, today: date) -> "LiveRecord":
    made = [day for day in store.days_present(LIVE_MODELS, city.name, RECORD_FILE) if day < today]
    if not made:
        raise NoHoursError(
            f"City {city.name}: no live models before {today}. Materialise live_models for {city.name} first."
        )
    return read_live_record(store, city.name, max(made))


def _until_now(
    store: "Store", sources: SourcesResource, city: City, record: "LiveRecord", now: datetime
) -> "tuple[HourlyHistory, int]":
    """(history to now, alerts since midnight): stored days up to the first missing one, the rest asked of the source."""
    import pyarrow.compute as pc

    from shotspotter_assets.cleaning.alerts import clean_alerts
    from shotspotter_assets.gridding.tensors import grid_tensors as tensors_of
    from shotspotter_assets.sources.combined import combined
    from shotspotter_assets.sources.seen import unreadable_versions

    today = now.astimezone(city.zone).date()
    stored = store.days_present("grid_tensors", city.name, GRID_FILE)
    first = next(day for day in days_between(city.start, today) if day not in stored or day == today)
    days = days_between(first, today)
    raw = combined(sources.parts(city, unreadable_versions(store, city.name))).read(first, today)
    cleaned = {
        day: of.alerts.filter(pc.less_equal(of.alerts["time_utc"], pa.scalar(now, pa.timestamp("us", "UTC"))))
        for day, of in clean_alerts(raw, days, city).items()
    }
    dated = [of.add_column(0, "date", pa.repeat(pa.scalar(day, pa.date32()), len(of))) for day, of in cleaned.items()]
    frames = [
        of.add_column(0, pa.field("date", pa.date32(), nullable=False), pa.repeat(pa.scalar(day, pa.date32()), len(of)))
        for day, of in tensors_of(pa.concat_tables(dated), days, city).items()
    ]
    if first > city.start:
        frames.insert(0, CityHistory.load(store, city, first - timedelta(days=1)).frames)
    metadata = frames[-1].schema.metadata
    together = pa.concat_tables([of.replace_schema_metadata(metadata) for of in frames])
    covered = covered_mask(record.covered, city.shape)
    return CityHistory(city, days_between(city.start, today), together).hourly(covered), cleaned[today].num_rows
