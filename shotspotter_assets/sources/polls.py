"""Polls of a city's sources: the local days whose rows differ from the stored ones.

A poll compares with the store and keeps nothing but the version of each landed file, which the caller hands back at the
next poll. Asking twice for a day is harmless: its version is the same until its source or the stored day changes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, timedelta
from time import monotonic
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import days_between, today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import ApiSource, Patience
from shotspotter_assets.sources.alert_source import AlertSource, SourceError
from shotspotter_assets.sources.known_days import KNOWN, stored_states
from shotspotter_assets.sources.landing.folder import LandingFolder
from shotspotter_assets.sources.registry import Access, Arrival, open_sources
from shotspotter_assets.sources.schema import PUBLISHED, RAW_SCHEMA
from shotspotter_assets.sources.unreadable import WITHOUT_FILES, Unreadable, read_unreadable, write_unreadable
from shotspotter_assets.storage.day_metadata import values_by_day
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE
from shotspotter_assets.storage.fingerprints import day_fingerprints, group_fingerprints, sha256
from shotspotter_assets.storage.store import Store

LOOK_BACK_DAYS: Final = 200
"""Days of a live source that a poll compares. Some publishers load a quarter at a time."""

MAX_SECONDS: Final = 30.0
"""Maximum time of a poll before files are left for the next one: Dagster ends a tick of 60 s."""

PATIENCE: Final = Patience(read_seconds=30, answer_seconds=30, total_seconds=40, retries=1, longest_wait_seconds=5)
"""Time-outs of a poll, which is soon repeated; runs have those of the city's file."""


@dataclass(frozen=True)
class Poll:
    """The result of one poll of a city.

    Attributes:
        files: version of each landed file by path, JSON-able: hand it back as `known` once no day is due. Until then hand
            back the earlier one, and the next poll finds the days again.
        days: days that are due, each with a short version that changes with the rows of the source and the stored rows.
        newest: the newest day over that is known or due: one with rows, or a stored day that is known. None without one.
        unreadable: files that cannot be read in their present version, and folders without files. Runs leave them out.
        in_transfer: files that are left alone, as their transfer is not over.
    """

    files: Mapping[str, str]
    days: Mapping[date, str]
    newest: date | None = None
    unreadable: Mapping[str, Unreadable] = field(default_factory=dict)
    in_transfer: Sequence[str] = ()


def poll(city: City, arrival: Arrival, access: Access, known: Mapping[str, str], store: Store) -> Poll:
    """Compare the sources of a city with its stored days.

    Only landed files that are new or changed since `known` are read; an unchanged folder costs a listing. The files that
    cannot be read are stored for the runs (`sources.unreadable`) before this returns.

    Args:
        city: the city.
        arrival: the sources to poll: `landed` for folders, `polled` for live sources.
        access: for the readers of the sources.
        known: `Poll.files` of an earlier poll of the landed files; empty at first. Not used for live sources.
        store: with the stored days.

    Raises:
        SourceError: a folder cannot be listed, or a live source cannot be read.
    """
    yesterday, readers = today(city.zone) - timedelta(days=1), open_sources(impatient(city), access)
    last = min(yesterday, city.end or yesterday)
    if arrival == "polled":
        return _poll_live(city, readers, store, last)
    return _poll_landed(city, [reader for reader in readers if isinstance(reader, LandingFolder)], known, store, last)


def impatient(city: City) -> City:
    """The city with `PATIENCE` for its live sources."""
    sources = [
        source.model_copy(update={"patience": PATIENCE}) if isinstance(source, ApiSource) else source
        for source in city.all_sources
    ]
    return city.model_copy(update={"source": sources[0], "other_sources": tuple(sources[1:])})


Place = tuple[str, date]
"""A landed file, or the address of a live source, and a day."""


def _poll_landed(
    city: City, folders: Sequence[LandingFolder], known: Mapping[str, str], store: Store, last: date
) -> Poll:
    until = monotonic() + MAX_SECONDS
    before = read_unreadable(store, city.name)
    files: dict[str, str] = {}
    unreadable: dict[str, Unreadable] = {}
    in_transfer: list[str] = []
    found: dict[Place, str] = {}
    read: set[str] = set()
    spans: list[date] = []  # days of files that hold any days
    for folder in folders:
        versions, waiting = folder.versions()
        in_transfer += waiting
        if not versions and not waiting and len(city.all_sources) > 1:
            unreadable[f"{folder.folder}/"] = Unreadable(WITHOUT_FILES, folder.without_files)
        changed = sorted(path for path, version in versions.items() if known.get(path) != version)
        files |= {path: version for path, version in versions.items() if path not in set(changed)}
        unreadable |= {path: bad for path, bad in before.items() if files.get(path) == bad.version}
        for path, rows in folder.read_files(changed):
            files[path] = versions[path]
            if isinstance(rows, SourceError):
                unreadable[path] = Unreadable(versions[path], str(rows))
            else:
                versions_of_days = _days_of(folder, path, rows, last)
                found |= {(path, day): version for day, version in versions_of_days.items()}
                read.add(path)
                spans += versions_of_days if folder.source.file_date is None else ()
            if monotonic() > until:
                break
    if unreadable != before:
        write_unreadable(store, city.name, unreadable)
    stored = _stored_days(store, city.name)
    if not read:
        return Poll(files, {}, _newest_known(store, city.name, stored), unreadable, in_transfer)
    days = {day for _, day in found}
    newest = max(days, default=None) or _newest_known(store, city.name, stored)
    # New files have no rows on other days than theirs, so that not all stored days have to be read.
    are_new = bool(known) and read.isdisjoint(known)
    first = min(days, default=city.start) - timedelta(days=LOOK_BACK_DAYS) if are_new else city.start
    table = _stored_rows(store, city, first)
    # No file of its own will come for a day between the days of files: it was a day without alerts.
    touched = days | (set(days_between(min({*spans, *stored}), max(spans))) if spans else set())
    unknown = set(values_by_day(table.schema.metadata, KNOWN, sorted(stored)).get("unknown", []))
    due = _differing(found, table, read) | (touched - stored) | (touched & unknown)
    return Poll(files, _versions(due, found, table, files), newest, unreadable, in_transfer)


def _days_of(folder: LandingFolder, path: str, rows: pa.Table, last: date) -> dict[date, str]:
    """A hash of the file's rows of each day that is over, silent days between its days included."""
    days = set(pc.unique(rows["date"]).to_pylist())
    if (named := folder.named_day(path)) is not None:
        days.add(named)
    elif days:
        days = set(days_between(min(days), max(days)))
    return day_fingerprints(rows.select(PUBLISHED), sorted(day for day in days if day <= last))


def _poll_live(city: City, readers: Sequence[AlertSource], store: Store, last: date) -> Poll:
    """Compare the rows of the last `LOOK_BACK_DAYS` with the stored ones; older days are due if not stored."""
    first = max(city.start, last - timedelta(days=LOOK_BACK_DAYS))
    live = [reader for reader in readers if reader.is_live]
    rows = pa.concat_tables([reader.read(first, last) for reader in live])
    found = _place_fingerprints(rows)
    stored = _stored_days(store, city.name)
    table = _stored_rows(store, city, first)
    compared = stored & set(days_between(first, last))
    states = values_by_day(table.schema.metadata, KNOWN, sorted(compared))
    unknown = set(states.get("unknown", []))
    newest = max((day for _, day in found), default=None)
    # Days after the newest row are not known yet. The first history is one run, to its end.
    until = last if not stored else newest or first
    everywhere = table["received_from"] if len(live) == len(readers) else rows["received_from"]
    differing = _differing(found, table, everywhere.unique().to_pylist()) & compared
    over = {day for day in unknown if (newest is not None and day <= newest) or _is_just_complete(city, day)}
    due = set(days_between(city.start, until)) - stored | (differing - unknown) | over
    newest = max(filter(None, [newest, _newest_known(store, city.name, stored)]), default=None)
    return Poll({}, _versions(due, found, table, {}), newest)


def _differing(found: Mapping[Place, str], table: pa.Table, origins: Collection[str]) -> set[date]:
    """The days on which the rows found at some origins differ from the stored ones from there."""
    rows = table.filter(pc.is_in(table["received_from"], pa.array(list(origins), pa.string())))
    before = _place_fingerprints(rows)
    [no_rows] = group_fingerprints(table.slice(0, 0).select(PUBLISHED), np.empty(0, dtype=np.int64), 1)
    return {place[1] for place in found.keys() | before if found.get(place, no_rows) != before.get(place, no_rows)}


def _versions(
    due: Iterable[date], found: Mapping[Place, str], table: pa.Table, files: Mapping[str, str]
) -> dict[date, str]:
    """A version of each day that is due: of its rows at the source, and of when the stored ones were received."""
    days = sorted(due)
    received = day_fingerprints(table.select(["date", "received_at"]), days)
    texts: dict[date, list[str]] = {}
    for (path, day), version in sorted(found.items()):
        texts.setdefault(day, []).append(f"{path}:{files.get(path)}:{version}")
    return {day: sha256(*texts.get(day, []), received[day])[:16] for day in days}


def _place_fingerprints(rows: pa.Table) -> dict[Place, str]:
    """A hash of the rows of each file and day, as `day_fingerprints` has it."""
    numbers: dict[Place, int] = {}
    places = zip(rows["received_from"].to_pylist(), rows["date"].to_pylist(), strict=True)
    group = np.array([numbers.setdefault(place, len(numbers)) for place in places], dtype=np.int64)
    prints = group_fingerprints(rows.select([name for name in PUBLISHED if name != "date"]), group, len(numbers))
    return dict(zip(numbers, prints, strict=True))


def _stored_days(store: Store, city: str) -> set[date]:
    """The days that are stored up to the grid."""
    return store.days_present("raw_alerts", city, ALERTS_FILE) & store.days_present("grid_tensors", city, GRID_FILE)


def _newest_known(store: Store, city: str, stored: Set[date]) -> date | None:
    """The newest stored day that is known; the days at the end may not be."""
    for day in sorted(stored, reverse=True):
        if stored_states(store, "raw_alerts", city, ALERTS_FILE, [day]).get(day) != "unknown":
            return day
    return None


def _stored_rows(store: Store, city: City, first: date) -> pa.Table:
    """The stored rows since a day; no rows where a file is damaged, so that all days differ."""
    columns = ["received_at", "received_from", *PUBLISHED]
    try:
        rows = store.read_present("raw_alerts", city.name, ALERTS_FILE, first, date.max, columns)
    except CorruptObjectError:
        rows = None
    return RAW_SCHEMA.empty_table() if rows is None else rows


def _is_just_complete(city: City, day: date) -> bool:
    """Return True if the day's alerts are complete by the rule of publication since today."""
    now = today(city.zone)
    complete, before = (city.publication.complete_through(asked_on) for asked_on in (now, now - timedelta(days=1)))
    return complete is not None and before is not None and before < day <= complete
