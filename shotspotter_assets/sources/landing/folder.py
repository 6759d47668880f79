"""The landing folder of a city as a source of alerts: files as vendors and publishers write them, local or on S3."""

import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyarrow as pa

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import LandingSource, Limits
from shotspotter_assets.sources.alert_source import AlertSource, NoFilesError, SourceError
from shotspotter_assets.sources.landing.formats import FORMATS
from shotspotter_assets.sources.landing.reader import Batch, LandedFile, Task, read_in_subprocess
from shotspotter_assets.sources.schema import ORDER, RAW_SCHEMA
from shotspotter_assets.sources.unreadable import Unreadable
from shotspotter_assets.storage.fingerprints import sha256

HIDDEN: Final = (".", "_")
"""First characters of the names of files and folders that are ignored."""

UNFINISHED: Final = (".part", ".tmp", ".crdownload", ".filepart", ".partial", ".download")
"""Endings of files that a transfer is still writing."""

ONE_DAY: Final = timedelta(days=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

FILES_PER_BATCH: Final = 100
"""Files that a subprocess reads one after the other; objects on S3 are fetched before, side by side."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedFile:
    """A file as it was listed.

    Attributes:
        version: a short text that changes whenever the file is written.
        refused: why the file is not opened, and the remedy; None for a file that may be read.
    """

    path: str
    version: str = ""
    modified: datetime = EPOCH
    refused: str | None = None


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
        self.city, self.source, self._left_out = city, settings, dict(left_out or {})
        self.folder = folder.rstrip("/") if folder.startswith("s3://") else str(Path(folder))
        self._client = s3_client() if s3_client is not None and folder.startswith("s3://") else None
        self._unreadable: dict[str, Unreadable] = {}
        limits = city.limits.model_dump_json() if city.limits != Limits() else ""
        description = (settings.model_dump_json(), city.time_zone, city.start.isoformat(), limits)
        self._description_hash = sha256(*description)[:8]

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`. Files that cannot be read are left out and are `unreadable` from then on.

        Raises:
            NoFilesError: the folder is missing or holds no file that is ready.
            SourceError: no file can be read, or not the daily file of one of the days.
        """
        ready, waiting, _ = self._listing()
        settle = f"{self.source.settle_seconds:g} s (source.settle_seconds)"
        if waiting and not ready:
            raise NoFilesError(
                f"City {self.city.name}: all files of the landing folder {self.folder} were written to within the last {settle}, "
                "so their transfer may not be over. Run again shortly."
            )
        if not ready:
            raise NoFilesError(self.without_files)
        if waiting:
            names = ", ".join(file.path for file in waiting)
            log.warning("City %s: left for later, written to within the last %s: %s", self.city.name, settle, names)
        files = {file.path: file for file in ready if self._is_read(file)}
        tables, errors = [], {}
        for path, rows in self._read(list(files.values()), first, last):
            if isinstance(rows, SourceError):
                errors[path] = rows
            else:
                tables.append(rows)
        for path, error in errors.items():
            if not tables or self._is_file_of(path, first, last):
                raise error
            log.warning("%s The other files are used.", error)
            self._left_out[path] = self._version(files[path])
            self._unreadable[path] = Unreadable(self._left_out[path], str(error))
        return pa.concat_tables([RAW_SCHEMA.empty_table(), *tables]).sort_by(ORDER)

    def unreadable(self) -> Mapping[str, Unreadable]:
        """See `AlertSource.unreadable`."""
        return self._unreadable

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
        day = self._named_day(path)
        return day if day is not None and self.city.start <= day <= today(self.city.zone) else None

    def named_days(self) -> set[date]:
        """The days in the names of the files that are ready; empty where files hold any days.

        Raises:
            SourceError: the folder cannot be listed, or a name does not have the form of `file_date`.
        """
        days = [self._named_day(file.path) for file in self._listing()[0] if self._is_read(file)]
        return {day for day in days if day is not None}

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

    def _listing(self) -> tuple[list[ListedFile], list[ListedFile], list[ListedFile]]:
        """(files that are ready, files written to too recently, files named like unfinished ones), each by path."""
        try:
            found = _local_files(self.folder) if self._client is None else _s3_files(self._client, self.folder)
            files = sorted(found, key=lambda file: file.path)
        except Exception as error:  # of the file system, or of boto3
            raise SourceError(
                f"City {self.city.name}: the landing folder {self.folder} cannot be listed ({error}). Check "
                "SHOTSPOTTER_LANDING and, for S3, the keys, region and endpoint of the AWS environment."
            ) from None
        ready, waiting, unfinished = [], [], []
        # Objects on S3 appear whole. A time in the future, from another clock, must not keep a file waiting forever.
        settle = self.source.settle_seconds if self._client is None else 0.0
        for file in files:
            if file.path.lower().endswith(UNFINISHED):
                unfinished.append(file)
            elif file.refused is None and abs((datetime.now(UTC) - file.modified).total_seconds()) < settle:
                waiting.append(file)
            else:
                ready.append(file)
        return ready, waiting, unfinished

    def _read(
        self, files: Sequence[ListedFile], first: date, last: date
    ) -> Iterator[tuple[str, pa.Table | SourceError]]:
        """The rows of each file that may hold one of the days, or why it cannot be read."""
        for start in range(0, len(files), FILES_PER_BATCH):
            batch = {file.path: file for file in files[start : start + FILES_PER_BATCH]}
            with TemporaryDirectory(prefix="shotspotter-files-") as name, ThreadPoolExecutor(8) as pool:
                folder, tasks = Path(name), []
                found = pool.map(partial(self._task, first, last, folder), batch.values(), range(len(batch)))
                for path, task in zip(batch, found, strict=True):
                    if isinstance(task, SourceError):
                        yield path, task
                    elif task is not None:
                        tasks.append(task)
                for task, rows in read_in_subprocess(Batch(self.city, self.source, tasks)):
                    yield task.file.path, self._written_to(batch[task.file.path]) or rows

    def _task(self, first: date, last: date, folder: Path, file: ListedFile, number: int) -> Task | SourceError | None:
        """The task of reading a file, once its content is here; None for a daily file of other days.

        Raises:
            SourceError: an object cannot be fetched, which is no fault of the file.
        """
        try:
            landed = self._landed(file)
        except SourceError as error:
            return error
        if landed.named_day is not None and not first - ONE_DAY <= landed.filing_day <= last + ONE_DAY:
            return None
        content = Path(file.path)
        if self._client is not None:
            content = folder / f"{number}{content.suffix}"
            try:
                _fetch(self._client, file, content)
            except Exception as error:  # of boto3
                raise SourceError(
                    f"City {self.city.name}: {file.path} cannot be fetched ({error}). Run again."
                ) from None
        return Task(landed, content, folder / f"{number}.rows", (first, last))

    def _landed(self, file: ListedFile) -> LandedFile:
        """The days of the rows of a file, by its name.

        Raises:
            SourceError: the file cannot be opened, or its name is wrong.
        """
        start, last_day = self.city.start, today(self.city.zone)
        if file.refused is not None:
            raise SourceError(f"City {self.city.name}: {file.path} {file.refused}")
        if PurePosixPath(file.path).suffix.lower() not in FORMATS:
            raise SourceError(
                f"City {self.city.name}: {file.path} is of a kind that is not read (allowed: {', '.join(FORMATS)}); convert it, "
                "or move it out of the landing folder."
            )
        day = self._named_day(file.path)
        if day is None:
            return LandedFile(file.path, file.modified, None, start, (start, last_day))
        plausible_days = max(start, day - ONE_DAY), min(last_day, day + ONE_DAY)
        return LandedFile(file.path, file.modified, day, min(max(day, start), last_day), plausible_days)

    def _named_day(self, path: str) -> date | None:
        if self.source.file_date is None:
            return None
        try:
            return datetime.strptime(PurePosixPath(path).stem, self.source.file_date).date()
        except ValueError:
            raise SourceError(
                f"City {self.city.name}: the name of {path} does not have the form {self.source.file_date} that "
                "source.file_date of the city's file promises; rename the file or correct file_date."
            ) from None

    def _is_file_of(self, path: str, first: date, last: date) -> bool:
        """Return True for the daily file of one of the days, which has no other."""
        with suppress(SourceError):
            day = self._named_day(path)
            return day is not None and first <= day <= last
        return False

    def _is_read(self, file: ListedFile) -> bool:
        return self._left_out.get(file.path) != self._version(file)

    def _version(self, file: ListedFile) -> str:
        return f"{file.version}:{self._description_hash}"

    def _written_to(self, file: ListedFile) -> SourceError | None:
        """The error of a local file that has changed since it was listed; S3 hands out what was listed."""
        if self._client is not None or file in _local_file(file.path):
            return None
        return SourceError(
            f"City {self.city.name}: {file.path} was written to while it was read. Run again once its transfer is over."
        )


def _local_files(folder: str) -> Iterator[ListedFile]:
    """The files of a folder and its subfolders; none where it is missing. Links are not followed."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for within, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        for name in [*files, *folders]:
            if not name.startswith(HIDDEN):
                yield from _local_file(os.path.join(within, name))  # noqa: PTH118  # names may not be UTF-8


def _local_file(path: str) -> Iterator[ListedFile]:
    """One file, unless it is gone; a link, or a name that is not UTF-8, is refused."""
    with suppress(FileNotFoundError):
        found = Path(path).lstat()
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
        refused = None if text == path else "has a name that is not UTF-8. Rename it."
        if stat.S_ISLNK(found.st_mode):
            refused = "is a link, which is not followed. Put the file itself there."
        if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
            modified = EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
            yield ListedFile(text, f"{found.st_size}:{found.st_mtime_ns}", modified, refused)


def _s3_files(client: Any, folder: str) -> Iterator[ListedFile]:
    """The objects below `s3://bucket/prefix`."""
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for item in page.get("Contents", []):
            names = item["Key"][len(prefix) + 1 :].split("/")
            if names[-1] and not any(name.startswith(HIDDEN) for name in names):
                path, version = f"s3://{bucket}/{item['Key']}", f"{item['Size']}:{item['ETag']}"
                yield ListedFile(path, version, item["LastModified"].astimezone(UTC))


def _fetch(client: Any, file: ListedFile, target: Path) -> None:
    """Copy an object as it was listed; boto3 raises if it is gone or has changed since."""
    bucket, _, key = file.path.removeprefix("s3://").partition("/")
    answer = client.get_object(Bucket=bucket, Key=key, IfMatch=file.version.partition(":")[2])
    with target.open("wb") as copy:
        shutil.copyfileobj(answer["Body"], copy)
