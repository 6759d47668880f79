"""Risk forecasts, by city and issue date: of the day after it."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import ISSUE_ONCE
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.partitions import LAST_FORTNIGHT, Partitions, single_day
from shotspotter_assets.serving.files import RISK_FORECASTS, day_partition, load_models, read_live_record
from shotspotter_assets.storage.file_names import FORECAST_FILE, HOURLY_FILE, MAP_FILE, RECORD_FILE, TOP_FILE

INTERVAL = (
    "80% interval of the probability: 10% and 90% quantiles of how far the weekly level was off on the validation window, "
    "on firework days also how far their level usually is off; for the next day widened by how far boosting moved from the "
    "regression that it starts at. What both miss is not in it."
)


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        group_name="forecasts",
        kinds={"parquet"},
        code_version="2",
        deps=["live_models", dg.AssetDep("grid_tensors", partition_mapping=LAST_FORTNIGHT)],
        automation_condition=ISSUE_ONCE,
    )
    return dg.Definitions(assets=[asset(risk_forecasts)])


def risk_forecasts(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
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

    city, issue = single_day(context, cities)
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
            "map": panel.picture("map", map_picture(next_day, city, title)),
            "top_locations": panel.table(_shown_top(top)),
            "interval": INTERVAL,
            "issued_at": issued_at,
            "path": opened.uri(partition, FORECAST_FILE),
        },
    )


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


def map_picture(table: pa.Table, city: City, title: str) -> bytes:
    """A PNG of the probabilities of a forecast's cells."""
    from shotspotter_assets.serving.maps import risk_map

    percent: npt.NDArray[np.float64] = np.full(city.shape, np.nan)
    percent[table["row"].to_numpy(), table["column"].to_numpy()] = 100 * table["probability"].to_numpy()
    return risk_map(percent, city.box, title)
