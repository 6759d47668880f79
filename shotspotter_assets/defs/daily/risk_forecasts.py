"""Risk forecasts, by city and issue date, and nowcasts, by city."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import find_city
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.alerts.grid_tensors import grid_tensors
from shotspotter_assets.defs.daily.live_models import live_models
from shotspotter_assets.defs.daily.windows import ALL_DAYS, ISSUE_ONCE, LAST_FORTNIGHT
from shotspotter_assets.defs.environment import CITIES, PARTITIONS
from shotspotter_assets.defs.partition_keys import stretches
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.stored_models import RECORD_FILE
from shotspotter_assets.serving.files import (
    FORECAST_FILE,
    HOURLY_FILE,
    LIVE_MODELS,
    MAP_FILE,
    NOWCASTS,
    RISK_FORECASTS,
    TOP_FILE,
    day_partition,
    load_models,
    read_live_record,
)
from shotspotter_assets.storage.file_names import GRID_FILE, unreadable_files
from shotspotter_assets.storage.store import Partition

if TYPE_CHECKING:
    from shotspotter_assets.models.hourly_history import HourlyHistory
    from shotspotter_assets.serving.live_models import LiveRecord
    from shotspotter_assets.storage.store import Store

INTERVAL = (
    "80% interval of the probability: 10% and 90% quantiles of how far the weekly level was off on the validation window, "
    "on firework days also how far their level usually is off; for the next day widened by how far boosting moved from the "
    "regression that it starts at. What both miss is not in it."
)


class NoHoursError(ValueError):
    """The next hours cannot be forecast for a city."""


@dg.asset(
    partitions_def=PARTITIONS.city_date,
    group_name="forecasts",
    kinds={"parquet"},
    code_version="2",
    deps=[live_models, dg.AssetDep(grid_tensors, partition_mapping=LAST_FORTNIGHT)],
    automation_condition=ISSUE_ONCE,
)
def risk_forecasts(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Risk of the next local day and of the 1 to 12 hours from its midnight, by cell, from the days to the issue date.

    Beside it the expected alerts by hour, the 20 places with the highest risk and why, and the map as GeoJSON. Automation
    leaves what was issued on past days as it was.
    """
    from shotspotter_assets.calendar.weekdays import DAY_HOURS, WEEK_HOURS
    from shotspotter_assets.models.next_day.regime_regression import OtherInputsError
    from shotspotter_assets.serving.live_models import CANDIDATE
    from shotspotter_assets.serving.risk_forecasts import (
        drivers,
        hourly_table,
        next_day_table,
        next_hours_table,
        risk_geojson,
        top_locations,
        type_mixes,
    )

    ((city, issue),) = [(stretch.city, of) for stretch in stretches(context) for of in stretch.days]
    opened = store.open()
    record = read_live_record(opened, city.name, issue)
    models = load_models(opened, record)
    stored = CityHistory.load(opened, city, issue)
    covered = covered_mask(record.covered, city.shape)
    history = stored.daily(covered)
    hourly = None if city.time_precision == "day" else stored.hourly(covered)
    day = issue + timedelta(days=1)

    mixes = None if hourly is None else type_mixes(models.types, hourly, len(hourly), DAY_HOURS)
    candidate: Any = models.next_day[CANDIDATE]
    try:
        next_day, why = next_day_table(models, history, mixes), drivers(candidate.linear, history)
    except OtherInputsError as error:
        raise OtherInputsError(
            f"{context.partition_key}, models of {record.models_from}: {error} Materialise live_models for "
            f"{context.partition_key} with `retrain` on."
        ) from error
    tables = [next_day]
    if models.hours is not None and hourly is not None:
        at = len(hourly)
        tables.append(next_hours_table(models, hourly, at, models.hours.predict_all(hourly, at), mixes))
    forecast = pa.concat_tables(tables, promote_options="default")
    profile = np.ones(WEEK_HOURS) if models.hours is None else models.hours.profile
    top = top_locations(next_day, why, city)
    fireworks = np.array([_is_firework_day(day)])
    probability = next_day["probability"].to_numpy()
    low, high = (float(end) for end in models.counts.total_interval(probability, fireworks))
    said: dict[str, Any] = {
        "city": city.name,
        "issue_date": issue.isoformat(),
        "day": day.isoformat(),
        "served": record.served,
        "models_from": record.models_from.isoformat(),
        "why_served": list(record.reasons),
        "expected_alerts": float(next_day["expected"].to_numpy().sum()),
        "expected_alerts_low": low,
        "expected_alerts_high": high,
        "interval": INTERVAL,
        "hours": "by the city's hour-of-week profile" if models.hours else "flat: no hours are known",
        "drivers": {f"{row},{column}": list(of) for (row, column), of in zip(record.covered, why, strict=True)},
    }
    version = _version([forecast, top], said)
    partition = day_partition(RISK_FORECASTS, city.name, issue)
    issued_at = datetime.now(UTC).isoformat(timespec="seconds")
    opened.write_table(partition, HOURLY_FILE, hourly_table(next_day, profile, city, day))
    opened.write_table(partition, TOP_FILE, top)
    opened.write_bytes(partition, MAP_FILE, risk_geojson(next_day, city))
    opened.write_bytes(partition, RECORD_FILE, json.dumps(said | {"issued_at": issued_at}, indent=1).encode())
    # Last, as its presence says that the forecast is whole.
    opened.write_table(partition, FORECAST_FILE, forecast)
    title = f"Risk of {day} ({record.served}): {said['expected_alerts']:.1f} alerts expected ({low:.0f} to {high:.0f})"
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "day": str(day),
            "served": record.served,
            "why_served": panel.bullets(record.reasons),
            "expected_alerts_low": low,
            "expected_alerts_high": high,
            **panel.rounded({"expected_alerts": said["expected_alerts"], "expected_cells": float(probability.sum())}),
            "map": panel.picture("map", _map(next_day, city, title)),
            "top_locations": panel.table(_shown_top(top)),
            "interval": INTERVAL,
            "issued_at": issued_at,
            "path": opened.uri(partition, FORECAST_FILE),
        },
    )


class NowcastConfig(dg.Config):
    """From when a nowcast is."""

    now: str = Field("", description="Instant with a zone (ISO 8601); empty for the present one.")


@dg.asset(
    partitions_def=PARTITIONS.cities,
    group_name="forecasts",
    kinds={"parquet"},
    code_version="1",
    deps=[dg.AssetDep(live_models, partition_mapping=ALL_DAYS), dg.AssetDep(grid_tensors, partition_mapping=ALL_DAYS)],
)
def nowcasts(
    context: dg.AssetExecutionContext, config: NowcastConfig, store: StoreResource, sources: SourcesResource
) -> dg.MaterializeResult:
    """Risk of the next 1 to 12 hours from now, from the stored days and what the source has of the days since.

    The hour that is running counts with what it has had so far; forecast are the hours from its end on.
    """
    from shotspotter_assets.serving.risk_forecasts import next_hours_table, type_mixes

    city, opened = find_city(CITIES, context.partition_key), store.open()
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
            "map": panel.picture("map", _map(longest, city, title)),
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

    today = now.astimezone(city.zone).date()
    stored = store.days_present("grid_tensors", city.name, GRID_FILE)
    first = next(day for day in days_between(city.start, today) if day not in stored or day == today)
    days = days_between(first, today)
    raw = combined(sources.parts(city, unreadable_files(store, city.name))).read(first, today)
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


def _is_firework_day(day: date) -> bool:
    from shotspotter_assets.calendar.firework_days import is_holiday_fireworks

    return bool(is_holiday_fireworks(np.array([day], "datetime64[D]"))[0])


def _version(tables: list[pa.Table], said: dict[str, Any]) -> str:
    """A hash of what is forecast and why: made again from the same days and models, nothing after it is stale."""
    import hashlib

    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for table in tables:
        for column in table.combine_chunks().columns:
            digest.update(str(column.to_pylist()).encode())
    return digest.hexdigest()[:16]


def _map(table: pa.Table, city: City, title: str) -> bytes:
    from shotspotter_assets.serving.maps import risk_map

    percent: npt.NDArray[np.float64] = np.full(city.shape, np.nan)
    percent[table["row"].to_numpy(), table["column"].to_numpy()] = 100 * table["probability"].to_numpy()
    return risk_map(percent, city.box, title)


def _shown_top(top: pa.Table) -> list[dict[str, Any]]:
    """Few columns, as the panel is narrow; the files have all of them."""
    from shotspotter_assets.gridding.cells import cell_name

    return [
        {
            "rank": row["rank"],
            "cell": cell_name(row["row"], row["column"]),
            "middle": f"{row['latitude']:.4f}, {row['longitude']:.4f}",
            "probability": f"{row['probability']:.1%} ({row['low']:.1%} to {row['high']:.1%})",
            "expected": row["expected"],
            "why": row["why"],
        }
        for row in top.to_pylist()
    ]
