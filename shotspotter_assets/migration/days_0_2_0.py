"""Days of alerts that 0.2.0 stored, with the versions that this version compares with a city's sources and settings.

Versions of rows have another order of columns now, and belong to a landing folder instead of its files. Hashes of settings have
other keys. Both need the city's file, so this step follows the conversion of all files. A day that is not carried over keeps its
rows until automation rebuilds it from the source.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import origins_of_days, settings_hash
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.sources.day_table import Day, DayTable
from shotspotter_assets.sources.landing.folder import meaning_of
from shotspotter_assets.sources.landing.received import (
    LostRowsError,
    read_received,
    read_rows,
    write_received,
    write_rows,
)
from shotspotter_assets.sources.schema import rows_by_origin
from shotspotter_assets.sources.tabular_settings import LandingSettings
from shotspotter_assets.storage.catalogue import ALERTS, CLEANED, RAW_ROWS, Asset
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.lineage import Key, record_lineage
from shotspotter_assets.storage.store import Store, joined
from shotspotter_assets.wording import number_of

_RULES: Final = ("naive_times", "ignore_zone", "crs", "seed", "alerts_per_day")  # settings of a source, in 0.2.0
_KEYS: Final = {"box", "event_types", "gunshot_spellings", "grid", "counted"}  # other settings of a stored day


@dataclass(frozen=True)
class CarriedDays:
    """Days of a city that a migration found with versions of 0.2.0."""

    city: str
    days: int
    carried: int  # those with present versions now

    def text(self) -> str:
        """Return the numbers in words."""
        left = self.days - self.carried
        rebuilt = f"; {number_of(left, 'other day')}: rebuilt from the source" if left else ""
        return f"{self.city}: {number_of(self.carried, 'day')} of alerts stay as they are{rebuilt}"


def carry_days(store: Store, city: City) -> CarriedDays:
    """Give a city's days of 0.2.0 their present versions, if its file describes them as they were stored."""
    table = DayTable.read(store, city.name)
    settings = settings_hash(city, Asset.GRID_TENSORS)
    old = {day: entry for day, entry in table.days.items() if entry.settings != settings}
    same = [day for day, entry in old.items() if entry.settings == _old_settings(city) and entry.state != "held_back"]
    raw = store.read_sound(RAW_ROWS, city.name, min(same), max(same)) if same else {}
    if not raw:
        return CarriedDays(city.name, len(old), 0)
    rows = joined(raw)
    origins = rows_by_origin(rows, _addresses(city, rows))
    carried: dict[date, Day] = {}
    for day in _sound_days(store, city, rows, [day for day in same if day in raw]):
        sources = {origin: version for origin, (version, _) in origins.get(day, {}).items()}
        carried[day] = replace(old[day], settings=settings, sources=sources)
    _keep_rows(store, city, carried.keys())
    _record_inputs(store, city, table.with_days(carried), carried)
    DayTable.update(store, city.name, carried)
    return CarriedDays(city.name, len(old), len(carried))


def _old_settings(city: City) -> str:
    """Return the hash by which 0.2.0 compared the settings of a stored day with those of a city."""
    rules = [[getattr(source, rule, None) for rule in _RULES] for source in city.all_sources]
    settings: dict[str, Any] = {"time_zone": city.time_zone, "sources": rules} | city.model_dump(include=_KEYS)
    return sha256(json.dumps(settings, sort_keys=True))


def _addresses(city: City, rows: pa.Table) -> dict[str, str]:
    """Return the landing folder of each file with rows, by the file's path."""
    folders = _landing(city)
    paths = pc.unique(rows["received_from"]).to_pylist()
    return {path: folder for folder in folders for path in paths if PurePosixPath(path).parent.match(folder)}


def _landing(city: City) -> dict[str, LandingSettings]:
    """Return the landing sources of a city by folder."""
    landing = [source for source in city.all_sources if isinstance(source, LandingSettings)]
    return {
        "/".join(source.path.parts[-2:]) if source.path else source.folder or city.name: source for source in landing
    }


def _keep_rows(store: Store, city: City, carried: Collection[date]) -> None:
    """Let landed files with carried days count as read with the present settings.

    Files that are still there are read again. Those that are gone keep their rows.
    """
    before = read_received(store, city.name)
    files = dict(before)
    for folder, source in _landing(city).items():
        of_folder = {path: file for path, file in before.items() if PurePosixPath(path).parent.match(folder)}
        for path, file in of_folder.items():
            if file.rows_from is None or file.days.keys().isdisjoint(carried):
                continue
            rows_from = file.rows_from._replace(meaning=meaning_of(city, source))
            with suppress(LostRowsError):  # the file is read again
                days = write_rows(store, city.name, path, rows_from, read_rows(store, city.name, path, file))
                files[path] = file.model_copy(update={"rows_from": rows_from, "days": days})
    write_received(store, city.name, before, files)


def _sound_days(store: Store, city: City, rows: pa.Table, days: list[date]) -> list[date]:
    """Return the days whose stored alerts are those that this version makes of the stored rows.

    Not those with equal rows, which may be separate events now.
    """
    before = store.read_sound(CLEANED, city.name, min(days), max(days)) if days else {}
    cleaned = clean_alerts(rows, days, city)
    return [
        day
        for day in days
        if day in before
        and not cleaned[day].account.duplicates
        and cleaned[day].alerts.replace_schema_metadata(None).equals(before[day].replace_schema_metadata(None))
    ]


def _record_inputs(store: Store, city: City, table: DayTable, days: Mapping[date, Day]) -> None:
    """Record the present versions of the inputs of days in the lineages of alerts."""
    for asset in ALERTS:
        made_from: dict[Key, str] = {
            day: entry.version if asset is Asset.RAW_ALERTS else table.made_from(day) for day, entry in days.items()
        }
        record_lineage(store, asset, city.name, origins_of_days(city, asset, made_from))
