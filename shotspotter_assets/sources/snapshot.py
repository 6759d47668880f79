"""A snapshot of a city's sources: which rows they hold of each day now, by file or address.

Landed files are listed, and read where they are new or changed. Live sources are asked for the last days; the answer is
kept until it is time to ask again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, TypeAdapter

from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.alert_source import AlertSource, SourceError
from shotspotter_assets.sources.api.api_settings import ApiSettings, Patience
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.sources.known_days import DayRows, DayStates, day_states
from shotspotter_assets.sources.landing.folder import Landed, LandingFolder
from shotspotter_assets.sources.landing.received import (
    ARRIVALS,
    read_received,
    rows_by_day,
    unusable_files,
    write_received,
)
from shotspotter_assets.sources.schema import SIMULATED
from shotspotter_assets.storage.store import Partition, Store

POLLED_DAYS: Final = 200
"""Days of a live source that a poll compares. Some publishers load a quarter at a time."""

PATIENCE: Final = Patience(read_seconds=30, answer_seconds=30, total_seconds=40, retries=1, longest_wait_seconds=5)
"""Time-outs of a poll, which is soon repeated; runs have those of the city's file."""

DAILY_AT: Final = time(6, 30)
"""Local time: gunfire peaks around midnight, and publishers load the night's alerts in the early hours."""

MAX_SILENT_DAYS: Final = 366
"""Silences longer than this end a source."""

POLLED_FILE: Final = "polled.json"


class Polled(BaseModel):
    """The last answer of a live source.

    Attributes:
        asked_at: when the source was last asked for all of the days.
        first: first day asked for.
        last: last day asked for.
        days: version and number of the rows of each day that has any.
        error: why the source could not be asked the last time; empty if it could.
    """

    asked_at: datetime
    first: date
    last: date
    days: dict[date, tuple[str, int]] = {}
    error: str = ""


_POLLED: Final = TypeAdapter(dict[str, Polled])


@dataclass(frozen=True)
class Snapshot:
    """What the sources of a city hold.

    Attributes:
        rows: version and number of the rows of each day by file or address; days without rows have none.
        live: addresses of the live sources.
        polled: their last answers by address.
        named: days whose daily file has landed.
        received: when each landed file was written.
        landed: what each landing folder holds.
        unusable: why landed files are not used, by path.
        folders_without_files: a message for each folder without files.
    """

    city: City
    rows: Mapping[date, Mapping[str, tuple[str, int]]]
    live: frozenset[str] = frozenset()
    polled: Mapping[str, Polled] = field(default_factory=dict)
    named: frozenset[date] = frozenset()
    received: Mapping[str, datetime] = field(default_factory=dict)
    landed: Sequence[Landed] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)
    folders_without_files: Sequence[str] = ()

    def covers(self, origin: str, day: date) -> bool:
        """Return True if the snapshot has the rows that an origin holds of a day."""
        if origin in self.live:
            answer = self.polled.get(origin)
            return answer is not None and answer.first <= day <= answer.last
        return origin != SIMULATED

    def stored_days(self, table: DayTable) -> set[date]:
        """Return the stored days whose rows are those of the snapshot, as far as it has them."""
        same = set()
        for day, stored in table.days.items():
            now = {origin: version for origin, (version, _) in self.rows.get(day, {}).items()}
            before = stored.sources
            if now == before or now == {name: before[name] for name in before if self.covers(name, day)}:
                same.add(day)
        return same

    def day_rows(self, table: DayTable, same: Collection[date]) -> dict[date, DayRows]:
        """Return the rows of each day: those of the snapshot, and the stored ones of days that it does not have.

        Args:
            table: the stored days.
            same: see `stored_days`.
        """
        found: dict[date, DayRows] = {}
        for day in {*self.rows, *table.days, *self.named}:
            if day in same:
                stored = table.days[day]
                held_back = stored.why if stored.state == "held_back" else ""
                found[day] = DayRows(stored.rows, stored.received, day in self.named, held_back)
            elif day in self.rows or day in self.named:
                origins = self.rows.get(day, {})
                times = [self.received[origin] for origin in origins if origin in self.received]
                times += [self.polled[origin].asked_at for origin in origins if origin in self.polled]
                number = sum(rows for _, rows in origins.values())
                found[day] = DayRows(number, min(times, default=None), day in self.named)
        return found

    def states(self, table: DayTable, same: Collection[date], last: date, today: date) -> DayStates:
        """Return the states of the days to `last`, see `day_states`."""
        return day_states(self.city, self.day_rows(table, same), last, today)

    def last_due(self, now: datetime) -> date:
        """Return the last day that is to be stored now.

        That is yesterday from `DAILY_AT` on, and before if a source has rows of it or its daily file. A source whose newest
        row is older than `MAX_SILENT_DAYS` has ended with it.
        """
        local = now.astimezone(self.city.zone)
        yesterday = local.date() - timedelta(days=1)
        reported = [day for day in {*self.rows, *self.named} if day <= yesterday]
        last = yesterday if local.time() >= DAILY_AT or yesterday in reported else yesterday - timedelta(days=1)
        newest = max(reported, default=None)
        if newest is not None and (last - newest).days > MAX_SILENT_DAYS:
            last = newest
        return min(last, self.city.end or last)

    def waits(self, today: date) -> list[str]:
        """Return what the sources hold that cannot be stored yet, in words."""
        waits = [file for landed in self.landed for file in landed.in_transfer]
        said = [f"Left alone until transferred: {', '.join(waits)}."] if waits else []
        for landed in self.landed:
            if landed.unread:
                said.append(f"{landed.unread:,} more files are read at the next tick.")
            if landed.gone:
                rows = sum(landed.files[path].rows for path in landed.gone)
                said.append(
                    f"{len(landed.gone):,} files with most of the rows ({rows:,}) are gone; their rows stay. Put them back, or "
                    "withdraw them in smaller parts."
                )
        if today in self.rows:
            early = sum(rows for _, rows in self.rows[today].values())
            said.append(f"{early:,} rows of {today} wait until the day is over.")
        for path, file in sorted({path: file for one in self.landed for path, file in one.files.items()}.items()):
            if future := {day: rows for day, (_, rows) in file.days.items() if day > today}:
                said.append(
                    f"{path} has {sum(future.values()):,} rows dated in the future, {min(future)} to {max(future)}. They wait "
                    "for their days; if the dates are wrong, replace the file."
                )
        said += [*self.folders_without_files, *(one.error for one in self.polled.values() if one.error)]
        return [*said, *self.unusable.values()]


def take_snapshot(
    city: City,
    readers: Sequence[AlertSource],
    store: Store,
    now: datetime,
    *,
    poll_seconds: float | None,
    max_seconds: float = float("inf"),
) -> Snapshot:
    """Read the present state of a city's sources.

    Args:
        city: the city.
        readers: of its sources, with `PATIENCE`.
        store: keeps what was received.
        now: the present.
        poll_seconds: a live source is asked if its last answer is older than this; None for never.
        max_seconds: files are left for the next time after them.

    Raises:
        SourceError: a folder cannot be listed.
    """
    today = now.astimezone(city.zone).date()
    last = min(today - timedelta(days=1), city.end or today)
    folders = [reader for reader in readers if isinstance(reader, LandingFolder)]
    landed = [reader.refresh(max_seconds) for reader in folders]
    rows: dict[date, dict[str, tuple[str, int]]] = {}
    for folder in landed:
        for day, origins in folder.rows.items():
            rows.setdefault(day, {}).update(origins)
    polled = read_polled(store, city.name)
    for reader in readers:
        if not reader.is_live:
            continue
        before = polled.get(reader.address)
        is_old = before is None or (now - before.asked_at).total_seconds() >= (poll_seconds or 0.0)
        if poll_seconds is not None and is_old:
            answer = _poll(city, reader, before, last, now)
            with store.alone(ARRIVALS, city.name):
                polled = read_polled(store, city.name) | {reader.address: answer}
                _write_polled(store, city.name, polled)
    live = {reader.address for reader in readers if reader.is_live}
    polled = {address: answer for address, answer in polled.items() if address in live}
    for address, answer in polled.items():
        for day, found in answer.days.items():
            rows.setdefault(day, {})[address] = found
    files = {path: file for folder in landed for path, file in folder.files.items()}
    if others := {path: file for path, file in read_received(store, city.name).items() if path not in files}:
        write_received(store, city.name, others, {})  # of folders that the city's file no longer names
    empty = [reader.without_files for reader, folder in zip(folders, landed, strict=True) if not folder.files]
    return Snapshot(
        city=city,
        rows=rows,
        live=frozenset(live),
        polled=polled,
        named=frozenset(readers[0].named_days()),
        received={path: file.received for path, file in files.items()},
        landed=landed,
        unusable=unusable_files(files, city),
        folders_without_files=empty,
    )


def impatient(city: City) -> City:
    """Return the city with `PATIENCE` for its live sources."""
    sources = [
        source.model_copy(update={"patience": PATIENCE}) if isinstance(source, ApiSettings) else source
        for source in city.all_sources
    ]
    return city.model_copy(update={"source": sources[0], "other_sources": tuple(sources[1:])})


def read_polled(store: Store, city: str) -> dict[str, Polled]:
    """Return the last answers of the live sources of a city by address."""
    return store.read_index(Partition(ARRIVALS, city), POLLED_FILE, _POLLED.validate_json) or {}


def record_answer(store: Store, city: str, rows: pa.Table, first: date, last: date) -> None:
    """Keep what a run has just read of some days (`RAW_SCHEMA`) over the earlier answer about them."""
    with store.alone(ARRIVALS, city):
        polled = read_polled(store, city)
        for address, answer in polled.items():
            days = rows_by_day(rows.filter(pc.equal(rows["received_from"], address)))
            others = {day: found for day, found in answer.days.items() if not first <= day <= last}
            polled[address] = answer.model_copy(update={"days": others | days})
        if polled:
            _write_polled(store, city, polled)


def _poll(city: City, reader: AlertSource, before: Polled | None, last: date, now: datetime) -> Polled:
    first = max(city.start, last - timedelta(days=POLLED_DAYS))
    try:
        rows = reader.read(first, last)
    except SourceError as error:
        kept = before or Polled(asked_at=now, first=last, last=last - timedelta(days=1))
        return kept.model_copy(update={"asked_at": now, "error": str(error)})
    return Polled(asked_at=now, first=first, last=last, days=rows_by_day(rows))


def _write_polled(store: Store, city: str, polled: Mapping[str, Polled]) -> None:
    store.write_bytes(Partition(ARRIVALS, city), POLLED_FILE, _POLLED.dump_json(dict(polled)))
