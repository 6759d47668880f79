"""The rows of one landed file, filed under local days, and a version of each of its days."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.landing.file_readers import Interval, refuse_large_file
from shotspotter_assets.sources.landing.formats import READERS
from shotspotter_assets.sources.raw_rows import to_raw
from shotspotter_assets.sources.schema import PUBLISHED
from shotspotter_assets.storage.fingerprints import day_fingerprints, row_hashes

ONE_DAY: Final = timedelta(days=1)


class LandedFile(NamedTuple):
    """One file of the landing folder, and the local days of its rows."""

    path: str
    size: int
    """Bytes."""
    modified: datetime
    version: str
    """Another one after each time that the file is written to."""
    named_day: date | None
    """The day in its name, where the city's file says that names have one (`file_date`)."""
    filing_day: date
    """Where rows without a usable date are filed: the day in its name, kept within the city's days, else the first."""
    plausible_days: tuple[date, date]
    """First and last local day that a row's own time may name; a row that names another is filed under `filing_day`."""


@dataclass(frozen=True)
class Shelf:
    """Where the files of one source of a city lie, and how they are to be understood."""

    filesystem: fs.FileSystem
    city: City
    source: LandingSource

    def rows(self, file: LandedFile, first: date, last: date) -> Iterator[pa.Table]:
        """The rows of a file that are filed under the days, as `RAW_SCHEMA`, some at a time.

        Raises:
            SourceError: the file cannot be read, or not understood, or takes more than the city's limits.
        """
        # If rows may be filed under one of the days for want of a time, all rows matter.
        interval = None if first <= file.filing_day <= last else self._interval(first, last)
        days = (pc.field("date") >= pa.scalar(first)) & (pc.field("date") <= pa.scalar(last))
        return (rows.filter(days) for rows in self._chunks(file, interval))

    def day_versions(self, file: LandedFile, today: date) -> dict[date, str]:
        """A hash of the rows of each local day that a file holds, whatever their order.

        The day in a daily file's name is held even without a row: it was a day without alerts.

        Raises:
            SourceError: see `rows`.
        """
        hashes = [
            pa.table({"date": rows["date"], "hash": row_hashes(rows.select(PUBLISHED))})
            for rows in self._chunks(file, None)
        ]
        no_hashes = pa.table({"date": pa.array([], pa.date32()), "hash": pa.array([], pa.uint64())})
        table = pa.concat_tables([no_hashes, *hashes])
        days = set(pc.unique(table["date"]).to_pylist())
        if file.named_day is not None and self.city.start <= file.named_day <= today:
            days.add(file.named_day)
        return day_fingerprints(table, sorted(days))

    def _interval(self, first: date, last: date) -> Interval:
        """The hours of the days, with a day more on each side, which covers any zone."""
        return day_start(first - ONE_DAY, self.city.zone), day_start(last + 2 * ONE_DAY, self.city.zone)

    def _chunks(self, file: LandedFile, interval: Interval | None) -> Iterator[pa.Table]:
        """The rows of a file that may lie within the interval, as `RAW_SCHEMA`."""
        refuse_large_file(self.city, file.path, file.size)
        reader = READERS[PurePosixPath(file.path).suffix.lower()]
        for chunk, first_row in reader(self.filesystem, file.path, self.city, self.source, interval):
            yield to_raw(
                chunk,
                first_row,
                self.city,
                self.source,
                file.path,
                file.modified,
                file.filing_day,
                file.plausible_days,
            )
