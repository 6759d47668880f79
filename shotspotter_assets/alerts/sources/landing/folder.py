"""The landing folder of a city as a source of alerts: files as vendors and publishers write them, local or on S3."""

import logging
import math
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from shotspotter_assets.alerts.days.day_table import EPOCH
from shotspotter_assets.alerts.days.day_words import day_of_word
from shotspotter_assets.alerts.days.known_days import SourceReport
from shotspotter_assets.alerts.sources.alert_source import AlertSource, NoFilesError, SourceError, UnusableFilesError
from shotspotter_assets.alerts.sources.landing import received
from shotspotter_assets.alerts.sources.landing.daily_files import daily_since, days_of_files, misfits, spans
from shotspotter_assets.alerts.sources.landing.formats import FORMATS
from shotspotter_assets.alerts.sources.landing.merged import latest_rows, merge_files, without_moved
from shotspotter_assets.alerts.sources.landing.reader import Batch, Task, read_in_subprocess
from shotspotter_assets.alerts.sources.landing.received import (
    FileVersion,
    Received,
    ReceivedFile,
)
from shotspotter_assets.alerts.sources.schema import ORDER, RAW_SCHEMA, rows_by_origin
from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.source_settings import Limits, Site
from shotspotter_assets.storage.catalogue import MERGED
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

HIDDEN: Final = (".", "_")  # first characters of the names of files and folders that are ignored
UNFINISHED: Final = (".part", ".tmp", ".crdownload", ".filepart", ".partial", ".download")  # endings in a transfer
MAX_SHARE_WITHDRAWN: Final = 0.5  # maximum share of a folder's rows; more looks like a lost disk or a tidied folder
FILES_PER_BATCH: Final = 100  # read one after the other in a subprocess; objects on S3 are fetched before, side by side
_MERGED: Final = TypeAdapter(
    dict[str, tuple[str, int]]
)  # version and number of merged rows by what they are merged from
NO_ROWS: Final = ("", 0)  # version and number of the rows of a day whose alerts have all moved to another day
MAX_MERGED: Final = 20_000  # maximum number of stored versions of merged days
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedFile:
    """A file as it was listed."""

    path: str
    version: str = ""  # short text that changes whenever the file is written
    modified: datetime = EPOCH
    refused: str | None = None  # why the file is not opened, and the remedy; None if it may be read


@dataclass(frozen=True)
class Landed:
    """The content of a landing folder."""

    address: str  # name of the folder, wherever it lies
    files: Received  # files as they were last read, by path, with files that are gone and not withdrawn
    rows: Mapping[date, tuple[str, int]]  # version and number of the used rows of each day, see `merge_files`
    paths: Mapping[date, Collection[str]]  # files with the rows of each day; of equal ones, the first received
    in_transfer: Sequence[str] = ()  # files that are left alone until their transfer is over
    gone: Sequence[str] = ()  # files that are gone and keep their rows, because most rows would be withdrawn
    unread: int = 0
    without_files: str = ""  # the message about a folder that is missing or empty; empty for others


class LandingFolder(AlertSource):
    """A landing folder of a city.

    Rows without a usable time or from before the city's start are filed under the day in the file's name (`file_date`),
    else under the city's first day. A file that is removed is withdrawn with its rows, unless most rows of the folder would
    go with it; rows that another file holds do not go. A file that cannot be used keeps the rows of its last good version.
    Files in transfer are left alone: those with an ending of `UNFINISHED`, and local ones that were written to within the
    source's `settle_seconds`.
    """

    def __init__(
        self, site: Site, source: LandingSettings, folder: str, store: Store, client: Callable[[], Any] | None = None
    ) -> None:
        """Describe the folder, a local path or `s3://bucket/prefix`, which needs a maker of a boto3 `client`."""
        self.site = site
        self.source = source
        self._store = store
        self._place = folder.rstrip("/") if folder.startswith("s3://") else str(Path(folder))
        # Packaged files keep their rows wherever the package is installed.
        self.folder = "/".join(source.path.parts[-2:]) if source.path else self._place
        self.address = self.folder if source.path else source.folder or site.name
        self._client = client() if client is not None and folder.startswith("s3://") else None
        limits = site.limits.model_dump_json() if site.limits != Limits() else ""
        self._limits = sha256(site.start.isoformat(), str(site.max_share_rejected), limits, str(site.box.edges))[:8]
        self._merged_file = MERGED.named(hash=sha256(self.address)[:20])
        self._is_side_table = source.side_columns is not None
        self._has_ids = not self._is_side_table and source.columns.source_id is not None
        self._latest_counts = self._is_side_table or source.columns.source_id is not None
        described = source.model_dump_json(exclude={"settle_seconds", "folder", "path"})
        self._meaning = sha256(described, site.zone.key)[:8]  # of the rows, see `FileVersion`
        since = max(site.live_since, default=site.start)
        # A file of earlier days may overlap with the live source, under other ids.
        self._end = since if source.path and since > site.start else date.max

    def read(self, first: date, last: date) -> pa.Table:
        """Read the rows of some days, see `AlertSource.read`; raise NoFilesError for a folder without ready files."""
        landed = self.refresh()
        files = landed.files
        if not files and landed.in_transfer:
            since = f"within the last {self.source.settle_seconds:g} s (source.settle_seconds)"
            problem = f"all files of the landing folder {self.folder} were written to {since}, so their transfer may not be over"
            raise NoFilesError(f"City {self.site.name}: {problem}. Run again shortly.")
        if not files:
            raise NoFilesError(landed.without_files)
        if landed.in_transfer:
            log.warning("City %s: left until transferred: %s", self.site.name, ", ".join(landed.in_transfer))
        errors = [file.error for _, file in sorted(files.items()) if file.error]
        if errors and not any(file.is_read_as(self._meaning) for file in files.values()):
            raise UnusableFilesError(errors[0])
        for error in received.unusable_files(files, self.site).values():
            log.warning("%s The other files are used.", error)
        asked = [day for day in landed.paths if first <= day <= last]
        return self._merged_rows(files, landed.paths, asked).sort_by(ORDER)

    def refresh(self, max_seconds: float = math.inf) -> Landed:
        """List the folder, read files that are new or changed, and return its content.

        Files are read again when the city's file describes the source in another way, and left for the next time after
        `max_seconds`. Raises SourceError for a folder that cannot be listed, or most of whose rows cannot be read again.
        """
        with suppress(received.LostRowsError):  # the file is read again
            return self._refreshed(max_seconds)
        return self._refreshed(max_seconds)

    def _refreshed(self, max_seconds: float) -> Landed:
        """List, read and keep the files once, see `refresh`; raise LostRowsError if kept rows are lost."""
        until = monotonic() + max_seconds
        ready, in_transfer = self._listing()
        before = self._files_before()
        files, unread = self._with_changed(ready, before, until)
        gone = sorted(files.keys() - {file.path for file in ready} - set(in_transfer))
        are_landing = any(not path.lower().endswith(UNFINISHED) for path in in_transfer)
        if unread or are_landing:
            gone = []  # files that are read next may hold their rows under another name
        elif gone and self._share_lost(files, gone) <= MAX_SHARE_WITHDRAWN:
            files = {path: file for path, file in files.items() if path not in gone}
            gone = []
        if files != before:
            files = received.judge_places(files)
            received.write_received(self._store, self.site.name, before, files)
        self._refuse_lost_rows(
            [path for path in gone if files[path].rows and not files[path].is_read_as(self._meaning)]
        )
        used = received.used_days(received.used_files(files, self.site, self._meaning), latest=self._latest_counts)
        paths = {day: rows for day, rows in used.items() if day < self._end}
        without_files = ""
        if not files and not in_transfer:
            holds = f"point SHOTSPOTTER_LANDING at the folder that holds {self.source.folder or self.site.name}/"
            remedy = f"put the city's files there ({', '.join(FORMATS)}), or {holds}"
            missing = f"the landing folder {self.folder} is missing or empty"
            without_files = f"City {self.site.name}: {missing}; {remedy}."
        return Landed(
            address=self.address,
            files=files,
            rows=self._versions(files, paths),
            paths=paths,
            in_transfer=in_transfer,
            gone=gone,
            unread=unread,
            without_files=without_files,
        )

    def _with_changed(self, ready: Sequence[ListedFile], before: Received, until: float) -> tuple[Received, int]:
        """Return the files with those that are new or changed, and the number of these that were not read `until` then."""
        listed = {file.path: file for file in ready}
        versions = {path: file.version for path, file in before.items()}
        changed = [file for file in ready if versions.get(file.path) != self._version_of(file)]
        files = dict(before)
        unread = len(changed)
        for path, rows in self._parse(changed):
            files[path] = self._received(listed[path], rows, before.get(path))
            unread -= 1
            if monotonic() > until:
                break
        return files, unread

    def _version_of(self, file: ListedFile) -> FileVersion:
        return FileVersion(file.version, self._limits, self._meaning)

    def _refuse_lost_rows(self, lost: Sequence[str]) -> None:
        """Raise SourceError for files that are gone, and whose kept rows were read with other settings."""
        if lost:
            gone_files = f"{number_of(len(lost), 'file')} with most of the rows of {self.folder}"
            problem = f"{gone_files}, read with other settings of the city's file, cannot be found"
            remedy = "Put them back, or take back the change of the settings."
            raise SourceError(f"City {self.site.name}: {problem}. {remedy}")

    def report(self) -> SourceReport:
        """Return the days that files cover, and the day from which on files come a day each."""
        files = self._files_before()
        used = received.used_files(files, self.site, self._meaning)
        why_unused = {path: why for path, why in received.unusable_files(files, self.site).items() if path not in used}
        form = self.source.file_date
        day_of_path = days_of_files(files, form, self.site.zone)
        reasons = {
            day: f"Its file {PurePosixPath(path).name} is not used: {why_unused[path]}"
            for path, day in day_of_path.items()
            if path in why_unused
        }
        return SourceReport(
            self.gives,
            files={day: PurePosixPath(path).name for path, day in day_of_path.items() if path in used},
            unused_files=reasons,
            misfits=misfits(files, form, self.site.zone),
            spans=[] if form is not None else spans(used),
            daily_since=daily_since(used | {path: files[path] for path in why_unused}, form, self.site.zone),
        )

    def _files_before(self) -> dict[str, ReceivedFile]:
        files = received.read_received(self._store, self.site.name)
        return {path: file for path, file in files.items() if path.startswith(f"{self.folder}/")}

    def _merged_rows(self, files: Received, paths: Mapping[date, Collection[str]], days: Collection[date]) -> pa.Table:
        """Read the rows of `days` from the files that hold each day (`paths`), merged."""
        around = {near for day in days for near in self._days_around(day) if near in paths}
        pairs = [(path, day) for day in around for path in paths[day]]
        tables = [RAW_SCHEMA.empty_table()]
        for path, of_path in groupby(sorted(pairs), itemgetter(0)):
            rows = received.read_rows(self._store, self.site.name, path, files[path])
            tables.append(rows.filter(_is_of([day for _, day in of_path], rows)))
        together = pa.concat_tables(tables)
        is_shared = _is_of([day for day in around if len(paths[day]) > 1], together)
        shared = together.filter(is_shared)
        merged = latest_rows(shared) if self._is_side_table else merge_files(shared, self.site.box)
        rows = pa.concat_tables([together.filter(pc.invert(is_shared)), merged])
        rows = without_moved(rows, self.site.box, is_one_file=False) if self._has_ids else rows
        return rows.filter(_is_of([*days], rows))

    def _days_around(self, day: date) -> list[date]:
        """Return the days whose rows decide which ones count on a day: an alert with an id may move past midnight."""
        return [day - ONE_DAY, day, day + ONE_DAY] if self._has_ids else [day]

    def _versions(
        self, files: Received, used: Mapping[date, Mapping[str, tuple[str, int]]]
    ) -> dict[date, tuple[str, int]]:
        """Return version and number of the merged rows of each day.

        The version is a hash of the rows alone. A day with the same rows in all of its files has the version of any of them;
        only days with differing files, or where ids may move between files, are read, once.
        """
        differing: dict[date, str] = {}
        for day in used:
            around = [(near, used[near]) for near in self._days_around(day) if near in used]
            if len({path for _, rows in around for path in rows}) > 1:
                parts = "".join(
                    f"{near} {version} {files[path].received}"
                    for near, rows in around
                    for path, (version, _) in rows.items()
                )
                differing[day] = sha256(str(day), str(self.site.box.edges), parts)
        versions = dict(self._store.read_index(self._merged_file, self.site.name, _MERGED.validate_json) or {})
        unread = [day for day, key in differing.items() if key not in versions]
        if unread:
            merged = rows_by_origin(self._merged_rows(files, used, unread), dict.fromkeys(files, self.address))
            versions |= {differing[day]: merged.get(day, {}).get(self.address, NO_ROWS) for day in unread}
            newest = dict(list(versions.items())[-MAX_MERGED:])
            self._store.write_bytes(self._merged_file, _MERGED.dump_json(newest), self.site.name)
        of_first = {day: next(iter(rows.values())) for day, rows in used.items()}
        merged_days = of_first | {day: versions[key] for day, key in differing.items()}
        return {day: version for day, version in merged_days.items() if version != NO_ROWS}

    def _received(self, file: ListedFile, rows: pa.Table | SourceError, before: ReceivedFile | None) -> ReceivedFile:
        version = self._version_of(file)
        if isinstance(rows, SourceError):
            last_good = before or ReceivedFile(version=version, received=file.modified)
            used = " The rows of its last good version are used until then."
            error = str(rows) + (used if last_good.is_read_as(self._meaning) else "")
            return last_good.model_copy(update={"version": version, "error": error})
        rows = without_moved(rows, self.site.box, is_one_file=True) if self._has_ids else rows
        days = received.write_rows(self._store, self.site.name, file.path, version, rows)
        places = received.places_of(rows, self.site.box)
        return ReceivedFile(version=version, received=file.modified, rows_from=version, days=days, places=places)

    def _share_lost(self, files: Received, gone: Sequence[str]) -> float:
        """Return the share of the merged rows of `files` that go with the files that are gone."""
        left = {path: file for path, file in files.items() if path not in gone}
        by_receipt = (received.by_receipt(some) for some in (files, left))
        used = (received.used_days(some, latest=self._latest_counts) for some in by_receipt)
        before, after = (self._versions(files, days) for days in used)
        lost = sum(max(number - after.get(day, ("", 0))[1], 0) for day, (_, number) in before.items())
        return lost / max(sum(number for _, number in before.values()), 1)

    def _listing(self) -> tuple[list[ListedFile], list[str]]:
        """Return the files that are ready, and the paths of those in transfer; raise SourceError without a listing."""
        try:
            files_there = local_files(self._place) if self._client is None else s3_files(self._client, self.folder)
            landed = (self._named(file) for file in files_there if day_of_word(file.path) is None)
            files = sorted(landed, key=lambda file: file.path)
        except Exception as error:  # of the file system, or of boto3
            problem = f"the landing folder {self._place} cannot be listed ({error})"
            remedy = "Check SHOTSPOTTER_LANDING and, for S3, the keys, region and endpoint of the AWS environment."
            raise SourceError(f"City {self.site.name}: {problem}. {remedy}") from None
        # Objects on S3 appear whole. A time in the future, from another clock, must not keep a file waiting forever.
        settle = self.source.settle_seconds if self._client is None else 0.0
        now = local_time.now()
        usable = [file for file in files if file.refused is None]
        recent = {file.path for file in usable if abs((now - file.modified).total_seconds()) < settle}
        in_transfer = recent | {file.path for file in files if file.path.lower().endswith(UNFINISHED)}
        return [file for file in files if file.path not in in_transfer], sorted(in_transfer)

    def _named(self, file: ListedFile) -> ListedFile:
        return replace(file, path=self.folder + file.path[len(self._place) :])

    def _on_disk(self, path: str) -> Path:
        return Path(self._place + path[len(self.folder) :])

    def _parse(self, files: Sequence[ListedFile]) -> Iterator[tuple[str, pa.Table | SourceError]]:
        """Yield the path of each file with its rows (`RAW_SCHEMA`), or why it cannot be read."""
        for start in range(0, len(files), FILES_PER_BATCH):
            batch = {file.path: file for file in files[start : start + FILES_PER_BATCH]}
            with TemporaryDirectory(prefix="shotspotter-files-") as name, ThreadPoolExecutor(8) as pool:
                tasks_or_errors = list(pool.map(partial(self._task, Path(name)), batch.values(), range(len(batch))))
                yield from (
                    (path, error)
                    for path, error in zip(batch, tasks_or_errors, strict=True)
                    if isinstance(error, SourceError)
                )
                tasks = [task for task in tasks_or_errors if isinstance(task, Task)]
                for task, rows in read_in_subprocess(Batch(self.site, self.source, tasks)):
                    problem = f"{task.path} was written to while it was read. Run again once its transfer is over."
                    # S3 hands out what was listed.
                    at_present = map(self._named, local_file(str(self._on_disk(task.path))))
                    is_stable = self._client is not None or batch[task.path] in at_present
                    yield task.path, rows if is_stable else SourceError(f"City {self.site.name}: {problem}")

    def _task(self, folder: Path, file: ListedFile, number: int) -> Task | SourceError:
        """Return the task of reading a file, which is fetched to `folder` from S3; or why it is not read."""
        content = self._on_disk(file.path)
        refused = file.refused
        if refused is None and content.suffix.lower() not in FORMATS:
            convert = "convert it, or move it out of the landing folder."
            refused = f"is of a kind that is not read (allowed: {', '.join(FORMATS)}); {convert}"
        if refused is not None:
            return SourceError(f"City {self.site.name}: {file.path} {refused}")
        try:
            named_day = self._named_day(file.path)
        except SourceError as error:
            return error
        if self._client is not None:
            content = folder / f"{number}{content.suffix}"
            try:
                fetch(self._client, file, content)
            except Exception as error:  # of boto3, and no fault of the file
                problem = f"City {self.site.name}: {file.path} cannot be fetched ({error}). Run again."
                raise SourceError(problem) from None
        return Task(file.path, file.modified, named_day, content, folder / f"{number}.rows")

    def _named_day(self, path: str) -> date | None:
        try:
            return received.named_day(path, self.source.file_date)
        except ValueError:
            promised = f"the form {self.source.file_date} that source.file_date of the city's file promises"
            problem = f"the name of {path} does not have {promised}; rename the file or correct file_date."
            raise SourceError(f"City {self.site.name}: {problem}") from None


def _is_of(days: Sequence[date], rows: pa.Table) -> pa.ChunkedArray:
    return pc.is_in(rows["date"], pa.array(days, pa.date32()))


def local_files(folder: str) -> Iterator[ListedFile]:
    """Yield the files of a folder and its subfolders; none where it is missing. Links are not followed."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for within, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        for name in [*files, *folders]:
            if not name.startswith(HIDDEN):
                yield from local_file(os.path.join(within, name))  # noqa: PTH118  # names may not be UTF-8


def local_file(path: str) -> Iterator[ListedFile]:
    """Yield one file, unless it is gone; a link, or a name that is not UTF-8, is refused."""
    with suppress(FileNotFoundError):
        status = Path(path).lstat()
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
        refused = None if text == path else "has a name that is not UTF-8. Rename it."
        if stat.S_ISLNK(status.st_mode):
            refused = "is a link, which is not followed. Put the file itself there."
        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
            modified = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
            yield ListedFile(text, f"{status.st_size}:{status.st_mtime_ns}", modified, refused)


def s3_files(client: Any, folder: str) -> Iterator[ListedFile]:
    """Yield the objects below `s3://bucket/prefix`."""
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for item in page.get("Contents", []):
            names = item["Key"][len(prefix) + 1 :].split("/")
            if names[-1] and not any(name.startswith(HIDDEN) for name in names):
                yield ListedFile(f"s3://{bucket}/{item['Key']}", item["ETag"], item["LastModified"].astimezone(UTC))


def fetch(client: Any, file: ListedFile, target: Path) -> None:
    """Copy an object as it was listed; boto3 raises if it is gone or has changed since."""
    bucket, _, key = file.path.removeprefix("s3://").partition("/")
    answer = client.get_object(Bucket=bucket, Key=key, IfMatch=file.version)
    with target.open("wb") as copy:
        shutil.copyfileobj(answer["Body"], copy)
