"""The settings of a city's file that its stored days were made with, and the refusal of days made with others.

They are entries of the schema's metadata of each day's table. A day stored without an entry is taken to be made with the
present settings. `time_precision` is not among them: it says what may be made of a day, which is the same whatever it says.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.spellings import spelling_meanings
from shotspotter_assets.storage.day_metadata import Metadata, values_by_day

SETTINGS: Final = "settings"
"""Entry of raw, cleaned and gridded days: the zone and the sources' rules, of cleaned days the box too; JSON."""

TYPES: Final = "types"
"""Entry of cleaned and gridded days: what each type spelling of the day means; JSON."""

GRID: Final = "grid"
"""Entry of gridded days: the box, the cells, the event types and what is counted; JSON."""

SOURCE_RULES: Final = ("naive_times", "ignore_zone", "crs", "seed", "alerts_per_day")
"""What a source's settings say of the meaning of its rows. Names of columns and how times are written are not among
them: a publisher that renames a column does not change what came before."""

SPELLING: Final = "gunshot_spellings or event_types"
NOT_OF_RAW: Final = ("box", "grid", "counted", "event_types", SPELLING)
"""Settings that raw alerts do not depend on."""

MAX_CHANGES_SHOWN: Final = 5


class ChangedSettingsError(ValueError):
    """Stored days were made with other settings than the city's file has; the message says which and what to do."""


def raw_settings(city: City) -> str:
    """The value of `SETTINGS` of raw and gridded days."""
    rules: dict[str, Any] = {"time_zone": city.time_zone}
    for at, source in enumerate(city.all_sources):
        name = f"other_sources.{at - 1}" if at else "source"
        rules |= {f"{name}.{rule}": getattr(source, rule) for rule in SOURCE_RULES if hasattr(source, rule)}
    return json.dumps(rules)


def cleaned_settings(city: City) -> str:
    """The value of `SETTINGS` of cleaned days."""
    return json.dumps({**json.loads(raw_settings(city)), "box": city.box.model_dump()})


def grid_settings(city: City) -> str:
    """The value of `GRID`."""
    grid = {"box": city.box.model_dump(), "grid": city.grid.model_dump()}
    return json.dumps({**grid, "counted": city.counted, "event_types": city.event_types})


def types_by_day(
    spellings: pa.ChunkedArray, day: npt.NDArray[np.integer], number_of_days: int, city: City
) -> list[str]:
    """The value of `TYPES` of each day.

    Args:
        spellings: of all rows.
        day: number of each row's day, others than 0 to `number_of_days` - 1 for rows of no day; shape (rows,).
    """
    encoded = spellings.combine_chunks().dictionary_encode()
    meanings = list(spelling_meanings(encoded.dictionary.to_pylist(), city).items())
    code = encoded.indices.fill_null(-1).to_numpy()
    typed = (code >= 0) & (day >= 0) & (day < number_of_days)
    size = max(len(meanings), 1)
    by_day: list[dict[str, Any]] = [{} for _ in range(number_of_days)]
    for at in np.unique(day[typed].astype(np.int64) * size + code[typed]):
        spelling, meaning = meanings[at % size]
        by_day[at // size][spelling] = meaning
    return [json.dumps(dict(sorted(of_day.items()))) for of_day in by_day]


def with_entries(
    tables: Mapping[date, pa.Table], key: str, values: Mapping[str, Sequence[date]]
) -> dict[date, pa.Table]:
    """Tables by day, with each value as an entry of the metadata of its days."""
    value_of = {day: value for value, days in values.items() for day in days}
    return {
        day: table.replace_schema_metadata({**(table.schema.metadata or {}), key: value_of[day]})
        if day in value_of
        else table
        for day, table in tables.items()
    }


def changed_settings(metadata: Metadata, days: Sequence[date], city: City) -> dict[str, list[date]]:
    """Each setting that has changed since some of the days were stored, as "name: old, now new", with those days."""
    changes: dict[str, list[date]] = {}
    exact = {day for of_days in values_by_day(metadata, TYPES, days).values() for day in of_days}
    for key in (SETTINGS, GRID, TYPES):
        for value, of_days in values_by_day(metadata, key, days).items():
            for change in _changes(key, value, city, exact.issuperset(of_days)):
                changes.setdefault(change, []).extend(of_days)
    return changes


def refuse_changed_settings(
    metadata: Metadata,
    days: Sequence[date],
    city: City,
    asset: str,
    error: type[ChangedSettingsError] = ChangedSettingsError,
) -> None:
    """Refuse days that were stored with other settings than the city has.

    Args:
        metadata: of the days' tables together, see `storage.day_metadata`.
        days: all days of the tables.
        city: as its file has it.
        asset: what the days are of.
        error: the kind to raise.

    Raises:
        ChangedSettingsError: or the given kind of it.
    """
    refuse_changes(changed_settings(metadata, days, city), city, asset, error)


def refuse_changes(
    changes: Mapping[str, Sequence[date]],
    city: City,
    asset: str,
    error: type[ChangedSettingsError] = ChangedSettingsError,
) -> None:
    """Refuse days if there are any changes, as `changed_settings` has them; see `refuse_changed_settings`."""
    if not changes:
        return
    stale = sorted({day for of_days in changes.values() for day in of_days})
    assets = ["cleaned_alerts", "grid_tensors"]
    if not all(change.startswith(NOT_OF_RAW) for change in changes):
        assets.insert(0, "raw_alerts")
    shown = "; ".join(list(changes)[:MAX_CHANGES_SHOWN])
    more = len(changes) - MAX_CHANGES_SHOWN
    raise error(
        f"City {city.name}: {asset} of {len(stale):,} days, {stale[0]} to {stale[-1]}, were made with other settings than the "
        f"city's file has: {shown}{f'; and {more} more' if more > 0 else ''}. Materialise {', '.join(assets[:-1])} and "
        f"{assets[-1]} for these days again, or take the change back: dg launch --assets {','.join(assets)} "
        f"--partition-range '{city.name}|{stale[0]}...{city.name}|{stale[-1]}'"
    )


def _changes(key: str, value: str, city: City, has_types: bool) -> list[str]:
    """Names, old and new values of what an entry says otherwise than the city's file."""
    stored = json.loads(value)
    if key == TYPES:
        meanings = spelling_meanings(stored, city)
        return _differences(*({f"{SPELLING}, {name!r}": part[name] for name in stored} for part in (stored, meanings)))
    present = json.loads(grid_settings(city) if key == GRID else cleaned_settings(city))
    if key == GRID and has_types:
        # The day's own spellings tell more exactly what has changed for it; the names are its layers.
        stored["event_types"], present["event_types"] = list(stored["event_types"]), list(present["event_types"])
    return _differences(stored, present)


def _differences(stored: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """Of the settings that both have."""
    return [
        f"{name}: {_shown(old)}, now {_shown(present[name])}"
        for name, old in stored.items()
        if name in present and old != present[name]
    ]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
