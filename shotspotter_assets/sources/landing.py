"""The landing folder as a source: Parquet, CSV, JSON lines and GeoJSON files, local or on S3.

How the content of one file becomes a table is `landing_files`' task, what its values mean `received`'s.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from shotspotter_assets.cities.local_time import day_start
from shotspotter_assets.cities.model import City
from shotspotter_assets.cities.sources import LandingSource
from shotspotter_assets.sources.landing_files import READERS, Interval
from shotspotter_assets.sources.protocol import SourceError
from shotspotter_assets.sources.received import to_raw
from shotspotter_assets.sources.schema import RAW_SCHEMA

UNFINISHED = (".part", ".tmp", ".crdownload", ".filepart")
"""Endings of files that a transfer is still writing."""

ONE_DAY = timedelta(days=1)


class LandedFile(NamedTuple):
    """One file of the landing folder, and the local day in its name where the city's file says that it has one."""

    path: str
    modified: datetime
    day: date | None

    def filing_day(self, start: date, today: date) -> date:
        """Where rows without a usable date are filed: the day in the name, kept within the city's days, or the first."""
        return start if self.day is None else min(max(self.day, start), today)


class LandingFolder:
    """A city's landing folder.

    Rows are filed under the local day of their time. Rows without a usable time, from before the city's start or
    from the future are filed under the day in the file's name (`file_date`), else under the city's first day.
    """

    def __init__(self, city: City, filesystem: fs.FileSystem, folder: str) -> None:
        """`folder` is a path of `filesystem` and holds the files of `city` alone."""
        assert isinstance(city.source, LandingSource)
        self.city = city
        self.source = city.source
        self.filesystem = filesystem
        self.folder = folder

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`. Of Parquet files, only the row groups that can hold the days are read.

        Raises:
            SourceError: the folder is missing or holds no file, or a file cannot be read or lacks a column.
        """
        today = datetime.now(UTC).astimezone(self.city.zone).date()
        files = [file for file in self.files() if self._may_hold(file, first, last, today)]
        # Reading is bound by the disk or the network and by Arrow, both of which let other threads run.
        with ThreadPoolExecutor(max_workers=8) as pool:
            tables = pool.map(lambda file: self._rows(file, first, last, today), files)
            return pa.concat_tables([RAW_SCHEMA.empty_table(), *tables]).sort_by(
                [
                    ("date", "ascending"),
                    ("time_utc", "ascending"),
                    ("received_from", "ascending"),
                    ("received_row", "ascending"),
                ]
            )

    def files(self) -> list[LandedFile]:
        """The finished files of the folder and its subfolders, by path.

        Raises:
            SourceError: the folder is missing or holds no file, a file is of a kind that is not read, or its name
                does not have the date that `file_date` promises.
        """
        found = self.filesystem.get_file_info(fs.FileSelector(self.folder, recursive=True, allow_not_found=True))
        files = [
            self._landed(info) for info in sorted(found, key=lambda info: info.path) if self._is_finished_file(info)
        ]
        if not files:
            raise SourceError(
                f"City {self.city.name}: the landing folder {self.folder} is missing or empty; put the city's files there "
                f"({', '.join(READERS)}), or point SHOTSPOTTER_LANDING at the folder that holds {self.city.name}/."
            )
        return files

    def _is_finished_file(self, info: fs.FileInfo) -> bool:
        parts = PurePosixPath(info.path).relative_to(PurePosixPath(self.folder)).parts
        hidden = any(part.startswith((".", "_")) for part in parts)
        return info.type == fs.FileType.File and not hidden and not info.path.endswith(UNFINISHED)

    def _landed(self, info: fs.FileInfo) -> LandedFile:
        name = PurePosixPath(info.path)
        if name.suffix.lower() not in READERS:
            raise SourceError(
                f"City {self.city.name}: {info.path} is of a kind that is not read (allowed: {', '.join(READERS)}); "
                "convert it, or move it out of the landing folder."
            )
        day = None
        if self.source.file_date is not None:
            try:
                day = datetime.strptime(name.stem, self.source.file_date).date()
            except ValueError:
                raise SourceError(
                    f"City {self.city.name}: the name of {info.path} does not have the form {self.source.file_date} that "
                    "source.file_date of the city's file promises; rename the file or correct file_date."
                ) from None
        return LandedFile(info.path, info.mtime, day)

    def _may_hold(self, file: LandedFile, first: date, last: date, today: date) -> bool:
        return file.day is None or first - ONE_DAY <= file.filing_day(self.city.start, today) <= last + ONE_DAY

    def _rows(self, file: LandedFile, first: date, last: date, today: date) -> pa.Table:
        suffix = PurePosixPath(file.path).suffix.lower()
        fallback = file.filing_day(self.city.start, today)
        chunks = READERS[suffix](self.filesystem, file.path, self.city, self._interval(first, last, fallback))
        raw = pa.concat_tables(
            [RAW_SCHEMA.empty_table()]
            + [
                to_raw(
                    chunk,
                    first_row,
                    self.city,
                    self.source,
                    file.path,
                    file.modified,
                    fallback,
                    self._plausible(file, today),
                )
                for chunk, first_row in chunks
            ]
        )
        return raw.filter((pc.field("date") >= pa.scalar(first)) & (pc.field("date") <= pa.scalar(last)))

    def _plausible(self, file: LandedFile, today: date) -> tuple[date, date]:
        """The local days that a row's own time may name; a row that names another is filed under the fallback day."""
        if file.day is None:
            return self.city.start, today
        return max(self.city.start, file.day - ONE_DAY), min(today, file.day + ONE_DAY)

    def _interval(self, first: date, last: date, fallback: date) -> Interval | None:
        """Where nothing is filed by fallback, only the days' own hours matter; a day on each side covers any zone."""
        if first <= fallback <= last:
            return None
        return day_start(first - ONE_DAY, self.city.zone), day_start(last + 2 * ONE_DAY, self.city.zone)
