"""Hashes of the settings that days were stored with, in their tables' metadata, and the refusal of other settings."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal

import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.storage.day_metadata import Metadata, values_by_day
from shotspotter_assets.storage.fingerprints import sha256

Asset = Literal["raw_alerts", "cleaned_alerts", "grid_tensors"]
SETTINGS: Final = "settings"
"""Metadata key of `settings_hash` in raw, cleaned and gridded days."""
GRID: Final = "grid"
"""Metadata key of `grid_settings` in gridded days and forecasts."""
SOURCE_RULES: Final = ("naive_times", "ignore_zone", "crs", "seed", "alerts_per_day")
"""Source settings that change the meaning of a row. Column names and time formats do not: earlier rows stay valid."""


def settings_hash(city: City, asset: Asset) -> str:
    """Return the SHA-256 of the settings that the days of an asset depend on."""
    settings: dict[str, Any] = {
        "time_zone": city.time_zone,
        "sources": [[getattr(source, rule, None) for rule in SOURCE_RULES] for source in city.all_sources],
    }
    if asset != "raw_alerts":
        settings |= city.model_dump(include={"box", "event_types", "gunshot_spellings"})
    if asset == "grid_tensors":
        settings |= city.model_dump(include={"grid", "counted"})
    return sha256(json.dumps(settings, sort_keys=True))


def grid_settings(city: City) -> str:
    """Return box, cells, event types and counted rows of a city, as JSON."""
    return json.dumps(city.model_dump(include={"box", "grid", "counted", "event_types"}))


def days_of_other_settings(metadata: Metadata, days: Sequence[date], city: City, asset: Asset) -> list[date]:
    """Return the days that were stored with other settings than the city has; days without an entry are accepted.

    `metadata` is that of the tables of all `days` together, see `storage.day_metadata`.
    """
    stored, present = values_by_day(metadata, SETTINGS, days), settings_hash(city, asset)
    return sorted(day for value, of_days in stored.items() if value != present for day in of_days)


def refuse_days(days: Sequence[date], city: City, asset: Asset, rows: str = "") -> None:
    """Raise ValueError for days of other settings, with the assets to rebuild; `rows` names a part of the asset."""
    if not days:
        return
    rebuilt = ["raw_alerts", "cleaned_alerts", "grid_tensors"]
    selection = ",".join(f"{city.name}/{name}" for name in rebuilt)
    raise ValueError(
        f"City {city.name}: {rows or asset} of {len(days):,} days, {days[0]} to {days[-1]}, were stored with other settings "
        "than the city's file has now (time zone, box, grid, types, or the meaning of times and points). Rebuild "
        f"{', '.join(rebuilt[:-1])} and {rebuilt[-1]} for these days, or undo the change: dg launch --assets {selection} "
        f"--partition-range {days[0]}...{days[-1]}"
    )


def mark_days(tables: Mapping[date, pa.Table], key: str, values: Mapping[date, str]) -> dict[date, pa.Table]:
    """Return tables by day with a metadata entry where the day has a value."""
    return {
        day: table.replace_schema_metadata({**(table.schema.metadata or {}), key: values[day]})
        if day in values
        else table
        for day, table in tables.items()
    }
