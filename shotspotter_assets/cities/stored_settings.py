"""Settings that stored days depend on: their hash in tables, and refusal of days with others, which Dagster would mix."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import BY_DAY, Metadata
from shotspotter_assets.storage.stored_file import Asset
from shotspotter_assets.wording import LAUNCH, number_of

SETTINGS: Final = "settings"  # metadata key of `settings_hash` in raw, cleaned and gridded days
MODEL_SETTINGS: Final = (
    "time_zone", "box", "grid", "counted", "event_types", "targets", "coverage", "factors", "holidays", "forecasters", "network",
)  # fmt: skip
GRID: Final = "grid"  # metadata key of `grid_settings` in gridded days and forecasts


def settings_hash(city: City, asset: Asset) -> str:
    """Return the SHA-256 of the settings that the days of an asset depend on."""
    settings: dict[str, Any] = {
        "time_zone": city.time_zone,
        "sources": [[getattr(source, rule) for rule in source.row_rules] for source in city.all_sources],
    }
    if asset != Asset.RAW_ALERTS:
        settings |= city.model_dump(include={"box", "event_types", "gunshot_spellings"})
    if asset == Asset.GRID_TENSORS:
        settings |= city.model_dump(include={"grid", "counted"})
    return sha256(json.dumps(settings, sort_keys=True))


def grid_settings(city: City, *, of_target: bool = False) -> str:
    """Return box, cells, event types and counted rows of a city, and the events of its target if asked, as JSON."""
    events = {"target": city.targets[city.target]} if of_target else {}
    return json.dumps(city.model_dump(include={"box", "grid", "counted", "event_types"}) | events)


def model_settings(city: City) -> dict[str, str]:
    """Return a hash of each key of the city's file that fitted models depend on; `folds` only if it limits the history."""
    values = {key: city.model_dump(mode="json", include={key}) for key in MODEL_SETTINGS}
    if city.folds.train != "all":
        values["folds"] = city.folds.model_dump(include={"train", "validation"})
    return {key: sha256(json.dumps(value, sort_keys=True))[:8] for key, value in values.items()}


def values_by_day(metadata: Metadata, key: str, days: Sequence[date]) -> dict[date, str]:
    """Return the value of an entry on each day; days without the entry are omitted."""
    entries, name = metadata or {}, key.encode()
    if name in entries:
        return dict.fromkeys(days, entries[name].decode())
    by_day = json.loads(entries.get(name + BY_DAY, b"{}"))
    return {day: by_day[str(day)] for day in days if str(day) in by_day}


def refuse_other_settings(metadata: Metadata, days: Sequence[date], city: City, asset: Asset) -> None:
    """Refuse days that were stored with other settings than the city's file has now; the ValueError names the remedy."""
    stored, present = values_by_day(metadata, SETTINGS, days), settings_hash(city, asset)
    other = sorted(day for day, value in stored.items() if value != present)
    if other:
        rebuilt = (Asset.RAW_ALERTS, Asset.CLEANED_ALERTS, Asset.GRID_TENSORS)
        selection = ",".join(f"{city.name}/{name}" for name in rebuilt)
        raise ValueError(
            f"City {city.name}: {asset} of {number_of(len(other), 'day')}, {other[0]} to {other[-1]}, were stored with "
            "other settings than the city's file has now (time zone, box, grid, types, or the meaning of times and "
            f"points). Rebuild raw_alerts, cleaned_alerts and grid_tensors for these days, or undo the change: "
            f"{LAUNCH} --assets {selection} --partition-range {other[0]}...{other[-1]}"
        )
