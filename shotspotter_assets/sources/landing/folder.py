"""The landing folder of a city as a source of alerts: files as vendors and publishers write them, local or on S3."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyarrow as pa

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import LandingSource, Limits
from shotspotter_assets.sources.alert_source import AlertSource, NoFilesError, SourceError
from shotspotter_assets.sources.landing.files import UNFINISHED, ListedFile, LocalFolder, S3Folder
from shotspotter_assets.sources.landing.formats import FORMATS
from shotspotter_assets.sources.landing.reader_process import Batch, LandedFile, Task
from shotspotter_assets.sources.landing.subprocess_reader import read_in_subprocess
from shotspotter_assets.sources.schema import ORDER, RAW_SCHEMA
from shotspotter_assets.storage.fingerprints import sha256

ONE_DAY: Final = timedelta(days=1)

FILES_PER_BATCH: Final = 50
"""Objects that are fetched from S3 at a time, side by side."""

log = logging.getLogger(__name__)


class LandingFolder(AlertSource):
    """A landing folder of a city.

    Rows are filed under the local day of their time. Rows without a usable time, from before the city's start or from the
    future are filed under the day in the file's name (`file_date`), else under the city's first day.

    Files that a transfer may still be writing are left alone: those that end like one (`UNFINISHED`), and local ones that
    were written to within the source's `settle_seconds`.
    """

    def __init__(
        self,
        city: City,
        folder: str,
        source: LandingSource | None = None,
        left_out: Mapping[str, str] | None = None,
        s3_client: Callable[[], Any] | None = None,
    ) -> None:
        """Describe the folder, without looking at it.

        Args:
            city: the city.
            folder: local path or `s3://bucket/prefix` with the files of `source` alone.
            source: settings; by default the city's first source.
            left_out: files (path to version) that are not read for as long as they have that version.
            s3_client: makes a boto3 client, for a folder on S3.
        """
        settings = source or city.source
        assert isinstance(settings, LandingSource)
        self.city, self.source, self._left_out = city, settings, left_out or {}
        self._files: LocalFolder | S3Folder
        if folder.startswith("s3://"):
            assert s3_client is not None
            self._files = S3Folder(folder, s3_client)
        else:
            self._files = LocalFolder(folder)
        self.folder = self._files.folder
        limits = city.limits.model_dump_json() if city.limits != Limits() else ""
        description = (settings.model_dump_json(), city.time_zone, city.start.isoformat(), limits)
        self._description_hash = sha256(*description)[:8]

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`.

        Raises:
            NoFilesError: the folder is missing or holds no file that is ready.
            SourceError: a file cannot be read, lacks a column, or is written to at the same time.
        """
        ready, waiting, _ = self._listing()
        if not ready:
            raise NoFilesError(self._why_not_ready(waiting) if waiting else self.without_files)
        if waiting:
            log.warning(
                "City %s: left for later, as their transfer may not be over: %s. Run again in %g s (source.settle_seconds).",
                self.city.name,
                ", ".join(file.path for file in waiting),
                self.source.settle_seconds,
            )
        files = [file for file in ready if self._is_read(file)]
        tables = [RAW_SCHEMA.empty_table()]
        for _, rows in self._read(files, first, last):
            if isinstance(rows, SourceError):
                raise rows
            tables.append(rows)
        return pa.concat_tables(tables).sort_by(ORDER)

    def versions(self) -> tuple[dict[str, str], list[str]]:
        """(version of each file that is ready, by path; paths of the files whose transfer is not over).

        A version also changes when the city's file describes the source in another way, as files may then be readable, or
        mean something else. A folder that is missing or empty has no files.

        Raises:
            SourceError: the folder cannot be listed.
        """
        ready, waiting, unfinished = self._listing()
        return {file.path: self._version(file) for file in ready}, [file.path for file in [*waiting, *unfinished]]

    def read_files(self, paths: Iterable[str]) -> Iterator[tuple[str, pa.Table | SourceError]]:
        """All rows of each file that is ready (`RAW_SCHEMA`), or why it cannot be read."""
        ready = {file.path: file for file in self._listing()[0]}
        files = [ready[path] for path in paths if path in ready]
        yield from self._read(files, date.min + ONE_DAY, date.max - ONE_DAY)

    def named_day(self, path: str) -> date | None:
        """The day in a daily file's name, within the city's days; None where files hold any days.

        Raises:
            SourceError: the name does not have the form of `file_date`.
        """
        day = self._landed(ListedFile(path)).named_day
        return day if day is not None and self.city.start <= day <= today(self.city.zone) else None

    def named_days(self) -> set[date]:
        """The days in the names of the files that are ready; empty where files hold any days.

        Raises:
            SourceError: the folder cannot be listed, or a name does not have the form of `file_date`.
        """
        files = [self._landed(file) for file in self._listing()[0] if self._is_read(file)]
        return {file.named_day for file in files if file.named_day is not None}

    def unread(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths`, files of this folder, that `read` does not read: gone, not ready, or left out."""
        read = {file.path for file in self._listing()[0] if self._is_read(file)}
        return {path for path in paths if path.startswith(f"{self.folder}/")} - read

    @property
    def without_files(self) -> str:
        """The message about a folder that is missing or empty."""
        return (
            f"City {self.city.name}: the landing folder {self.folder} is missing or empty; put the city's files there "
            f"({', '.join(FORMATS)}), or point SHOTSPOTTER_LANDING at the folder that holds "
            f"{self.source.folder or self.city.name}/."
        )

    def _why_not_ready(self, waiting: Sequence[ListedFile]) -> str:
        names = ", ".join(PurePosixPath(file.path).name for file in waiting[:5])
        return (
            f"City {self.city.name}: all files of the landing folder {self.folder} were written to within the last "
            f"{self.source.settle_seconds:g} s ({names}{', ...' if len(waiting) > 5 else ''}), so their transfer may not be "
            "over. Run again shortly, or set source.settle_seconds in the city's file."
        )

    def _listing(self) -> tuple[list[ListedFile], list[ListedFile], list[ListedFile]]:
        """(files that are ready, files written to too recently, files named like unfinished ones), each by path."""
        try:
            files = self._files.list()
        except OSError as error:
            raise SourceError(
                f"City {self.city.name}: the landing folder {self.folder} cannot be listed ({error}). Check "
                "SHOTSPOTTER_LANDING and, for S3, the keys, region and endpoint of the AWS environment."
            ) from None
        unfinished = [file for file in files if file.path.lower().endswith(UNFINISHED)]
        whole = [file for file in files if not file.path.lower().endswith(UNFINISHED)]
        # A time in the future, from another clock, must not keep a file waiting forever. Objects on S3 appear whole.
        now, settle = time.time_ns(), self.source.settle_seconds * 1e9 if self._files.is_local else 0
        waits = {file.path for file in whole if file.refused is None and abs(now - file.mtime_ns) < settle}
        return (
            [file for file in whole if file.path not in waits],
            [file for file in whole if file.path in waits],
            unfinished,
        )

    def _read(
        self, files: Sequence[ListedFile], first: date, last: date
    ) -> Iterator[tuple[str, pa.Table | SourceError]]:
        """The rows of each file that may hold one of the days, or why it cannot be read."""
        for start in range(0, len(files), FILES_PER_BATCH):
            with TemporaryDirectory(prefix="shotspotter-files-") as folder, ThreadPoolExecutor(8) as pool:
                batch = files[start : start + FILES_PER_BATCH]
                targets = [Path(folder) / str(number) for number in range(len(batch))]
                tasks: dict[str, Task] = {}
                for file, task in zip(batch, pool.map(partial(self._task, first, last), batch, targets), strict=True):
                    if isinstance(task, SourceError):
                        yield file.path, task
                    elif task is not None:
                        tasks[file.path] = task
                for task, rows in read_in_subprocess(Batch(self.city, self.source, list(tasks.values()))):
                    listed = next(file for file in batch if file.path == task.file.path)
                    yield task.file.path, self._written_to(listed) or rows

    def _task(self, first: date, last: date, file: ListedFile, target: Path) -> Task | SourceError | None:
        """What to read of a file, once its content is here; None for a daily file of other days."""
        try:
            landed = self._landed(file)
            if landed.named_day is not None and not first - ONE_DAY <= landed.filing_day <= last + ONE_DAY:
                return None
            return Task(landed, self._files.fetch(file, target), (first, last))
        except SourceError as error:
            return error
        except OSError as error:
            return SourceError(f"City {self.city.name}: {file.path} cannot be fetched ({error}). Run again.")

    def _landed(self, file: ListedFile) -> LandedFile:
        """What the name of a file says of its rows.

        Raises:
            SourceError: the file cannot be opened, or its name is wrong.
        """
        name, start, last_day = PurePosixPath(file.path), self.city.start, today(self.city.zone)
        place = f"City {self.city.name}: {file.path}"
        if file.refused is not None:
            raise SourceError(f"{place} {file.refused}")
        try:
            modified = file.modified
        except OverflowError:
            raise SourceError(f"{place} was last written to in a year that no calendar has. Write it again.") from None
        if name.suffix.lower() not in FORMATS:
            raise SourceError(
                f"{place} is of a kind that is not read (allowed: {', '.join(FORMATS)}); convert it, or move it out of the "
                "landing folder."
            )
        if self.source.file_date is None:
            return LandedFile(file.path, modified, None, start, (start, last_day))
        try:
            day = datetime.strptime(name.stem, self.source.file_date).date()
        except ValueError:
            raise SourceError(
                f"City {self.city.name}: the name of {file.path} does not have the form {self.source.file_date} that "
                "source.file_date of the city's file promises; rename the file or correct file_date."
            ) from None
        plausible_days = max(start, day - ONE_DAY), min(last_day, day + ONE_DAY)
        return LandedFile(file.path, modified, day, min(max(day, start), last_day), plausible_days)

    def _is_read(self, file: ListedFile) -> bool:
        return self._left_out.get(file.path) != self._version(file)

    def _version(self, file: ListedFile) -> str:
        return f"{file.version}:{self._description_hash}"

    def _written_to(self, file: ListedFile) -> SourceError | None:
        """The error of a local file that has changed since it was listed; S3 hands out what was listed."""
        if isinstance(self._files, S3Folder):
            return None
        now = self._files.current(file.path)
        if now is not None and now.version == file.version:
            return None
        return SourceError(
            f"City {self.city.name}: {file.path} was written to while it was read. Run again once its transfer is over."
        )
