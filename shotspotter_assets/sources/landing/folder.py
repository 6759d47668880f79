"""The landing folder as a source: files as vendors and publishers write them, local or on S3.

Which files are ready and which days they may hold belongs here. `formats` has the readers that make a table of one file,
`raw_rows` what its values mean.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from pyarrow import fs

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.limits import Limits
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.landing.apart import LeftRows, read_apart
from shotspotter_assets.sources.landing.formats import READERS
from shotspotter_assets.sources.landing.listing import ListedFile, list_file, list_files
from shotspotter_assets.sources.landing.one_file import ONE_DAY, LandedFile, Shelf
from shotspotter_assets.sources.landing.reader_process import Task
from shotspotter_assets.sources.protocol import NoFilesError, SourceError
from shotspotter_assets.sources.schema import ORDER, RAW_SCHEMA
from shotspotter_assets.storage.fingerprints import sha256

UNFINISHED = (".part", ".tmp", ".crdownload", ".filepart", ".partial", ".download")
"""Endings of files that a transfer is still writing."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = logging.getLogger(__name__)


class LandingFolder:
    """A landing folder of a city.

    Rows are filed under the local day of their time. Rows without a usable time, from before the city's start or
    from the future are filed under the day in the file's name (`file_date`), else under the city's first day.

    Files that a transfer may still be writing are left for later: those that end like one (`UNFINISHED`), and local
    ones that were written to within the source's `settle_seconds`.
    """

    def __init__(
        self,
        city: City,
        filesystem: fs.FileSystem,
        folder: str,
        source: LandingSource | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        """`folder` is a path of `filesystem` and holds the files of `source` alone, which is the city's unless given.

        Files of `left_out` (path to version) are not read for as long as they have that version.
        """
        settings = source or city.source
        assert isinstance(settings, LandingSource)
        self.city = city
        self.source = settings
        self.filesystem = filesystem
        self.left_out = left_out or {}
        description = [settings.model_dump_json(), city.time_zone, city.start.isoformat()]
        if city.limits != Limits():
            description.append(city.limits.model_dump_json())
        self._description_hash = sha256(*description)[:8]
        self.folder = str(PurePosixPath(folder))
        self._shelf = Shelf(filesystem, city, settings)
        self._refused: dict[str, ListedFile] = {}
        self._named_unfinished: list[str] = []
        # Objects on S3 appear whole, and its listing tells their times more exactly than the object itself.
        self._is_local = isinstance(filesystem, fs.LocalFileSystem)

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`. Of Parquet files, only the row groups that can hold the days are read.

        Raises:
            SourceError: see `read_parts`.
        """
        (rows,) = self.read_parts([(first, last)])
        return rows

    def read_parts(self, parts: Sequence[tuple[date, date]]) -> Iterator[pa.Table]:
        """See `PartwiseSource.read_parts`. The files are read when this is called, and what they hold is kept on the disk.

        Raises:
            NoFilesError: the folder is missing or holds no file that is ready.
            SourceError: a file cannot be read, lacks a column or is written to at the same time.
        """
        last_day = today(self.city.zone)
        ready, waiting = self._listing()
        self._require_files(ready, waiting)
        if waiting:
            log.warning(
                "City %s: left for later, as their transfer may not be over: %s. Run again in %g s (source.settle_seconds).",
                self.city.name,
                ", ".join(info.path for info in waiting),
                self.source.settle_seconds,
            )
        files = [self._landed(info, last_day) for info in ready if not self._is_left_out(info)]
        first, last = parts[0][0], parts[-1][1]
        further_parts = tuple(start for start, _ in parts[1:])
        tasks = [Task(file, first, last, further_parts) for file in files if _may_hold(file, first, last)]
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="shotspotter-files-"))
            left = list(self._left_rows(tasks, folder))
            return _sorted_parts(stack.pop_all(), left, len(parts))

    def day_versions(self, path: str) -> dict[date, str]:
        """The result of `looks` for one file.

        Raises:
            SourceError: the file cannot be read.
        """
        ((_, result),) = self.looks([path])
        if isinstance(result, SourceError):
            raise result
        return result

    def looks(self, paths: Iterable[str]) -> Iterator[tuple[str, dict[date, str] | SourceError]]:
        """For each file a hash of the rows of each local day that it holds, whatever their order, or why it cannot be read.

        The day in a daily file's name is held even without a row: it was a day without alerts.
        """
        last_day = today(self.city.zone)
        tasks = []
        for path in paths:
            try:
                tasks.append(Task(self._landed(self._now(path), last_day), None, last_day))
            except SourceError as error:
                yield path, error
        for task, result in read_apart(self._shelf, tasks):
            assert not isinstance(result, LeftRows)
            yield task.file.path, self._written_to(task.file) or result

    def file_versions(self) -> tuple[dict[str, str], list[str]]:
        """Versions of the files that are ready, by path, and the paths of those that were written to too recently.

        A version is a short text that changes each time that the file is written to. It also changes when the city's file
        describes the source in another way, as what could not be read, or meant something else, has to be looked at
        again. A folder that is missing or empty has no files yet. One listing.

        Raises:
            SourceError: the folder cannot be listed.
        """
        ready, waiting = self._listing()
        return {info.path: self._version_as_described(info) for info in ready}, [info.path for info in waiting]

    @property
    def without_files(self) -> str:
        """What is said of the folder when it is missing or empty."""
        return (
            f"City {self.city.name}: the landing folder {self.folder} is missing or empty; put the city's files there "
            f"({', '.join(READERS)}), or point SHOTSPOTTER_LANDING at the folder that holds "
            f"{self.source.folder or self.city.name}/."
        )

    @property
    def named_unfinished(self) -> list[str]:
        """Paths of the files of the last listing that end like one whose transfer is not over (`UNFINISHED`)."""
        return self._named_unfinished

    def named_days(self) -> set[date]:
        """See `DailyFileSource.named_days`; none where files hold any days.

        Raises:
            SourceError: the folder cannot be listed, or a name does not have the form of `file_date`.
        """
        last_day = today(self.city.zone)
        files = [self._landed(info, last_day) for info in self._listing()[0] if not self._is_left_out(info)]
        return {file.named_day for file in files if file.named_day is not None}

    def unread(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths`, files of this folder, that `read` does not read: gone, not ready, or left out."""
        read = {info.path for info in self._listing()[0] if not self._is_left_out(info)}
        return {path for path in paths if path.startswith(f"{self.folder}/")} - read

    def _listing(self) -> tuple[list[ListedFile], list[ListedFile]]:
        """The files of the folder and its subfolders that are ready and those that wait, by path."""
        try:
            files = list_files(self.filesystem, self.folder)
        except OSError as error:
            raise SourceError(
                f"City {self.city.name}: the landing folder {self.folder} cannot be listed ({error}). Check "
                "SHOTSPOTTER_LANDING and, for S3, the keys, region and endpoint of the AWS environment."
            ) from None
        self._named_unfinished = [file.path for file in files if file.path.lower().endswith(UNFINISHED)]
        files = [file for file in files if not file.path.lower().endswith(UNFINISHED)]
        self._refused = {file.path: file for file in files if file.refused is not None}
        # A time in the future, from another clock, must not keep a file waiting forever.
        now, settle = time.time_ns(), self.source.settle_seconds * 1e9 if self._is_local else 0
        waiting = {file.path for file in files if file.refused is None and abs(now - file.mtime_ns) < settle}
        return [file for file in files if file.path not in waiting], [file for file in files if file.path in waiting]

    def _now(self, path: str) -> ListedFile:
        """A file that was listed, as it is now.

        Raises:
            SourceError: it has gone.
        """
        file = list_file(self.filesystem, self.folder, path) or self._refused.get(path)
        if file is None:
            raise SourceError(f"City {self.city.name}: {path} has gone from the landing folder. Land it again.")
        return file

    def _require_files(self, ready: Sequence[ListedFile], waiting: Sequence[ListedFile]) -> None:
        if ready:
            return
        if waiting:
            names = ", ".join(PurePosixPath(info.path).name for info in waiting[:5])
            raise NoFilesError(
                f"City {self.city.name}: all files of the landing folder {self.folder} were written to within the last "
                f"{self.source.settle_seconds:g} s ({names}{', ...' if len(waiting) > 5 else ''}), so their transfer may "
                "not be over. Run again shortly, or set source.settle_seconds in the city's file."
            )
        raise NoFilesError(self.without_files)

    def _landed(self, info: ListedFile, last_day: date) -> LandedFile:
        name, start = PurePosixPath(info.path), self.city.start
        if info.refused is not None:
            raise SourceError(f"City {self.city.name}: {info.path} {info.refused}")
        try:
            modified = EPOCH + timedelta(microseconds=info.mtime_ns // 1000)
        except OverflowError:
            raise SourceError(
                f"City {self.city.name}: {info.path} was last written to in a year that no calendar has. Write it again."
            ) from None
        if name.suffix.lower() not in READERS:
            raise SourceError(
                f"City {self.city.name}: {info.path} is of a kind that is not read (allowed: {', '.join(READERS)}); "
                "convert it, or move it out of the landing folder."
            )
        if self.source.file_date is None:
            return LandedFile(info.path, info.size, modified, info.version, None, start, (start, last_day))
        try:
            day = datetime.strptime(name.stem, self.source.file_date).date()
        except ValueError:
            raise SourceError(
                f"City {self.city.name}: the name of {info.path} does not have the form {self.source.file_date} that "
                "source.file_date of the city's file promises; rename the file or correct file_date."
            ) from None
        plausible_days = max(start, day - ONE_DAY), min(last_day, day + ONE_DAY)
        filing_day = min(max(day, start), last_day)
        return LandedFile(info.path, info.size, modified, info.version, day, filing_day, plausible_days)

    def _is_left_out(self, info: ListedFile) -> bool:
        return self.left_out.get(info.path) == self._version_as_described(info)

    def _version_as_described(self, info: ListedFile) -> str:
        return f"{info.version}:{self._description_hash}"

    def _left_rows(self, tasks: Sequence[Task], folder: str) -> Iterator[LeftRows]:
        """The rows of each file, left in a folder.

        Raises:
            SourceError: one of them cannot be read.
        """
        for task, found in read_apart(self._shelf, tasks, folder):
            result = self._written_to(task.file) or found
            if isinstance(result, SourceError):
                raise result
            assert isinstance(result, LeftRows)
            yield result

    def _written_to(self, file: LandedFile) -> SourceError | None:
        """The error of a file that has changed since it was listed."""
        now = list_file(self.filesystem, self.folder, file.path) if self._is_local else None
        if not self._is_local or (now is not None and now.version == file.version):
            return None
        return SourceError(
            f"City {self.city.name}: {file.path} was written to while it was read. Run again once its transfer is over."
        )


def _sorted_parts(left_in: AbstractContextManager[Any], files: Sequence[LeftRows], parts: int) -> Iterator[pa.Table]:
    """The rows of all files, a part at a time; what was left is removed at the end."""
    with left_in:
        for part in range(parts):
            tables = [file.of_part(part) for file in files if part in file.parts]
            yield pa.concat_tables([RAW_SCHEMA.empty_table(), *tables]).sort_by(ORDER)


def _may_hold(file: LandedFile, first: date, last: date) -> bool:
    return file.named_day is None or first - ONE_DAY <= file.filing_day <= last + ONE_DAY
