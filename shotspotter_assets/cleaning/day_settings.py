"""A hash of the city settings that a day was stored with, and the refusal of days stored with other settings.

The hash is an entry of the metadata of each day's table. A table without the entry is accepted.
"""

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
"""Metadata entry of raw, cleaned and gridded days: `settings_hash`."""

GRID: Final = "grid"
"""Metadata entry of gridded days and forecasts: `grid_settings`."""

SOURCE_RULES: Final = ("naive_times", "ignore_zone", "crs", "seed", "alerts_per_day")
"""Source settings that change the meaning of a row. Column names and time formats do not: a publisher that renames a
column leaves earlier rows as they were."""


def settings_hash(city: City, asset: Asset) -> str:
    """SHA-256 of the settings that the days of an asset depend on."""
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
    """The box, cells, event types and counted rows of a city, as JSON."""
    return json.dumps(city.model_dump(include={"box", "grid", "counted", "event_types"}))


def days_of_other_settings(metadata: Metadata, days: Sequence[date], city: City, asset: Asset) -> list[date]:
    """Days whose tables were stored with other settings than the city has.

    Args:
        metadata: of the tables of all days together, see `storage.day_metadata`.
        days: all days of the tables.
    """
    stored, present = values_by_day(metadata, SETTINGS, days), settings_hash(city, asset)
    return sorted(day for value, of_days in stored.items() if value != present for day in of_days)


def refuse_days(days: Sequence[date], city: City, asset: Asset, rows: str = "") -> None:
    """Refuse days of other settings, as `days_of_other_settings` returns them, with the assets to rebuild.

    Args:
        rows: names the rows concerned, where they are not all rows of the asset.

    Raises:
        ValueError: there are any such days.
    """
    if not days:
        return
    rebuilt = ["raw_alerts", "cleaned_alerts", "grid_tensors"][0 if asset == "raw_alerts" else 1 :]
    selection = ",".join(f"{city.name}/{name}" for name in rebuilt)
    raise ValueError(
        f"City {city.name}: {rows or asset} of {len(days):,} days, {days[0]} to {days[-1]}, were stored with other settings "
        "than the city's file has now (time zone, box, grid, types, or the meaning of times and points). Rebuild "
        f"{', '.join(rebuilt[:-1])} and {rebuilt[-1]} for these days, or undo the change: dg launch --assets {selection} "
        f"--partition-range {days[0]}...{days[-1]}"
    )


def mark_days(tables: Mapping[date, pa.Table], key: str, values: Mapping[date, str]) -> dict[date, pa.Table]:
    """Return tables by day with an entry in the metadata of those that have a value."""
    return {
        day: table.replace_schema_metadata({**(table.schema.metadata or {}), key: values[day]})
        if day in values
        else table
        for day, table in tables.items()
    }
