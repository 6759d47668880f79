"""The store of all assets: files of `storage.catalogue` under a local folder or an S3 prefix.

    <root>/<asset>/city=<city>[/target=<target>][/date=<YYYY-MM-DD> or /fold=<YYYY-MM-DD>]/<file>

The folders follow the Hive convention: Parquet files of one name open as one data set in pyarrow, pandas, polars and
DuckDB. Therefore no table stores its folders' keys as columns.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from copy import copy
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from shotspotter_assets.storage.errors import (
    CorruptObjectError,
    MissingObjectError,
    MissingPartitionsError,
    error_reason,
)
from shotspotter_assets.storage.objects import Draft, objects_at
from shotspotter_assets.storage.progress import steps
from shotspotter_assets.storage.store_format import (
    FormatError,
    check_table,
    has_present_format,
    mark_store,
    marked_table,
)
from shotspotter_assets.storage.stored_file import GUNFIRE, StoredFile, StoredFolder, StoredTable

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LAST_NAME = "~"  # after all names of cities
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
log = logging.getLogger(__name__)


class Store:
    """Reads and writes the files of partitions.

    `root` is a local folder (absolute, or relative to the working directory) or `s3://bucket/prefix`, which needs a boto3
    `s3_client`. Every write replaces one file in one step. All methods raise StoreError if the store itself fails.
    """

    def __init__(self, root: str, s3_client: Any = None) -> None:
        """Open the store without contacting it; raise ValueError for an unusable root, or for S3 without a client."""
        self.root = root
        self.target = GUNFIRE  # its files are used for assets by target; `of` changes it
        self._objects = objects_at(root, s3_client)
        self._is_marked = False  # True once the marker of the present format was read or written

    def checked(self) -> "Store":
        """Return the store; raise FormatError if it is in another format."""
        self._is_marked = has_present_format(self._objects)
        return self

    def draft(self) -> "Store":
        """Return the store with changes that stay in memory, so that nothing is written to it."""
        other = copy(self)
        other._objects = Draft(self._objects)
        other._is_marked = True
        return other

    def of(self, target: str) -> "Store":
        """Return the store that reads and writes the files of a target, where these are by target (`Spec.by_target`)."""
        other = copy(self)
        other.target = target
        return other

    def uri(self, file: StoredFile, city: str, day: date | None = None) -> str:
        """Return the file's address, existing or not: an absolute path or an `s3://` address."""
        return self._objects.uri(self._path(file, city, day))

    def exists(self, file: StoredFile, city: str, day: date | None = None) -> bool:
        return self._objects.exists(self._path(file, city, day))

    def alone(self, name: str, city: str) -> AbstractContextManager[None]:
        """Lock files of a city, under a common name, against concurrent writes; S3 has no lock, but `update` is safe there."""
        return self._objects.alone(f"{name}.{city}")

    def write_bytes(self, file: StoredFile, data: bytes, city: str, day: date | None = None) -> None:
        """Replace a file; the first one of an empty store comes after the marker of the format."""
        self._mark()
        self._objects.write(self._path(file, city, day), data)

    def read_bytes(self, file: StoredFile, city: str, day: date | None = None) -> bytes:
        """Return the file's content; raise MissingObjectError if it is not in the store."""
        try:
            return self._objects.read(self._path(file, city, day))
        except FileNotFoundError:
            raise MissingObjectError(file.asset, city, day, file.file, self.uri(file, city, day)) from None

    def read_json(
        self, file: StoredFile, decode: Callable[[bytes], _Result], city: str, day: date | None = None
    ) -> _Result:
        """Return a decoded file.

        Raises MissingObjectError without it, FormatError for a newer one, and CorruptObjectError if it cannot be read.
        """
        try:
            return decode(self.read_bytes(file, city, day))
        except FormatError as error:
            raise self._newer(file, city, day, error) from error
        except ValidationError as error:
            raise self.corrupt(file, city, day, error_reason(error)) from error

    def read_index(
        self, file: StoredFile, city: str, decode: Callable[[bytes], _Result], day: date | None = None
    ) -> _Result | None:
        """Return a decoded file that can be rebuilt, not to be changed by the caller; None if it is missing or damaged."""
        try:
            data = self.read_bytes(file, city, day)
        except MissingObjectError:
            return None
        return self._sound(file, city, decode, day, data)

    def update(
        self,
        file: StoredFile,
        city: str,
        decode: Callable[[bytes], _Result],
        change: Callable[[_Result | None], bytes | None],
        day: date | None = None,
    ) -> None:
        """Replace a file that runs share by `change` of its decoded content, so that no other run's change is lost.

        `change` gets None for a missing or damaged file, must not alter what it gets, and returns the new content, or None
        to leave the file. It is called again if another process wrote the file meanwhile.
        """

        def changed(data: bytes | None) -> bytes | None:
            return change(None if data is None else self._sound(file, city, decode, day, data))

        self._mark()
        self._objects.update(self._path(file, city, day), changed)

    def _mark(self) -> None:
        if not self._is_marked:
            mark_store(self._objects)
            self._is_marked = True

    def _newer(self, file: StoredFile, city: str, day: date | None, error: FormatError) -> FormatError:
        return FormatError(f"Cannot use {self.uri(file, city, day)}: {error}")

    def _sound(
        self, file: StoredFile, city: str, decode: Callable[[bytes], _Result], day: date | None, data: bytes
    ) -> _Result | None:
        try:
            return _decoded(decode, data)
        except FormatError as error:
            raise self._newer(file, city, day, error) from error
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s is damaged and will be rebuilt: %s", self.uri(file, city, day), error)
            return None

    def delete(self, file: StoredFile, city: str, day: date | None = None) -> None:
        self._objects.delete(self._path(file, city, day))

    def clear(self, file: StoredFile, city: str, day: date | None = None) -> None:
        """Delete all files of the file's partition."""
        folder = self._path(file, city, day).removesuffix(file.file)
        for name in self._objects.files_in(folder.rstrip("/")):
            self._objects.delete(folder + name)

    def write_table(self, file: StoredTable, table: pa.Table, city: str, day: date | None = None) -> None:
        """Write one Parquet file; raise ValueError if the catalogue describes another table."""
        self.write_bytes(file, parquet_bytes(file, table), city, day)

    def write_tables(self, file: StoredTable, tables: Mapping[date, pa.Table], city: str) -> None:
        written = self._map(lambda item: self.write_table(file, item[1], city, item[0]), tables.items())
        list(steps("day", written, file.asset, len(tables)))

    def read_table(
        self, file: StoredTable, city: str, day: date | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Read one Parquet file, or its named columns; raise MissingObjectError, or CorruptObjectError if it is damaged."""
        data = self.read_bytes(file, city, day)
        try:
            return opened_parquet(data).read(columns=columns, use_threads=False)
        except FormatError as error:
            raise self._newer(file, city, day, error) from error
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self.corrupt(file, city, day, error_reason(error)) from error

    def row_count(self, file: StoredTable, city: str, day: date | None = None) -> int:
        """Return the number of rows of a Parquet file, from its footer; raise MissingObjectError without the file."""
        return pq.read_metadata(pa.BufferReader(self.read_bytes(file, city, day))).num_rows

    def find_table(self, file: StoredTable, city: str, day: date | None = None) -> pa.Table | None:
        """Read one Parquet file; None if it is missing."""
        return self.read_table(file, city, day) if self.exists(file, city, day) else None

    def find_sound_table(
        self, file: StoredTable, city: str, day: date | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        """Read one Parquet file, or its named columns; None, with a warning in the log, if it is missing or damaged."""
        try:
            return self.read_table(file, city, day, columns)
        except MissingObjectError:
            return None
        except CorruptObjectError as error:
            log.warning("%s", error)
            return None

    def files_present(self, asset: StoredFolder, city: str) -> set[str]:
        """Return the files of an asset of a city, by path within its folder."""
        return self._objects.files_in(f"{asset}/city={city}")

    def has_any(self, file: StoredFile) -> bool:
        """Return True if a city has the file, for any target and date."""
        within = file.pattern.removeprefix(f"{file.asset}/")
        return any(fnmatchcase(path, within) for path in self._objects.files_in(file.asset))

    def pattern(self, file: StoredFile) -> str:
        """Return the address of a file of all cities, targets and dates, with asterisks."""
        return self._objects.uri(file.pattern)

    def cities_present(self, file: StoredFile) -> list[str]:
        """Return the sorted cities that have a file without a date."""
        names = self._objects.folders_with(file.asset, "city=", "", _LAST_NAME, file.file)
        return sorted(name.removeprefix("city=") for name in names)

    def days_present(self, file: StoredFile, city: str, first: date = date.min, last: date = date.max) -> set[date]:
        """Return the dates of the stored files, from `first` to `last`."""
        folder = file.folder(city, self.target)
        start = f"{file.dimension}="
        names = self._objects.folders_with(folder, start, first.isoformat(), last.isoformat(), file.file)
        texts = [name.removeprefix(start) for name in names]
        return {date.fromisoformat(text) for text in texts if _DAY.fullmatch(text)}

    def read_window(
        self, file: StoredTable, city: str, first: date, last: date, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Read the files of all days from `first` to `last`, both included, as one table in order.

        The table starts with `date` (date32), followed by `columns`, and has no metadata. Raises
        MissingPartitionsError for missing files, and CorruptObjectError for one that is unreadable or has other columns.
        """
        if first > last:
            raise ValueError(f"the window of {file.asset} of {city} ends ({last}) before it starts ({first})")
        window = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        missing = set(window) - self.days_present(file, city, first, last)
        if missing:
            raise MissingPartitionsError(file.asset, city, file.file, missing, (first, last))
        return self._read_days(file, city, window, columns)

    def read_present(
        self, file: StoredTable, city: str, first: date, last: date, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        """Read the days that have the file as `read_window` does; None without any."""
        present = sorted(self.days_present(file, city, first, last))
        return self._read_days(file, city, present, columns) if present else None

    def _read_days(self, file: StoredTable, city: str, days: Sequence[date], columns: Sequence[str] | None) -> pa.Table:
        stored_columns = None if columns is None else [name for name in columns if name != "date"]
        tables = list(self._map(lambda day: self.read_table(file, city, day, stored_columns), days))
        for day, table in zip(days, tables, strict=True):
            if table.schema != tables[0].schema:
                raise self.corrupt(file, city, day, f"its columns are not those of {days[0]}: {table.schema.names}")
        return joined(dict(zip(days, tables, strict=True)))

    def corrupt(self, file: StoredFile, city: str, day: date | None, reason: str) -> CorruptObjectError:
        """Return the error for an unusable file."""
        key = city if day is None else f"{city} {day}"
        return CorruptObjectError(file.asset, key, self.uri(file, city, day), reason)

    def _path(self, file: StoredFile, city: str, day: date | None) -> str:
        return file.path(city, day, self.target)

    def _map(self, function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        if self._objects.threads == 1:
            yield from map(function, items)
        else:
            with ThreadPoolExecutor(self._objects.threads) as pool:
                yield from pool.map(function, items)


@lru_cache(maxsize=512)  # sensors read the same files every few seconds
def _decoded(decode: Callable[[bytes], _Result], data: bytes) -> _Result:
    return decode(data)


def parquet_bytes(file: StoredTable, table: pa.Table) -> bytes:
    """Return the content of a Parquet file; raise ValueError if the catalogue describes another table."""
    sink = pa.BufferOutputStream()
    pq.write_table(marked_table(file.checked(table)), sink, write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def opened_parquet(content: bytes) -> pq.ParquetFile:
    """Open a Parquet file's content; raise FormatError if its format is newer, an error of Arrow if it is damaged."""
    parquet = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    check_table(parquet.schema_arrow.metadata)
    return parquet


def parquet_table(content: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the table of a file's content, or its named columns; raise ValueError if it is damaged, FormatError if it is newer."""
    try:
        return opened_parquet(content).read(columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error


def dated(table: pa.Table, day: date) -> pa.Table:
    """Return a table with the day as its first column `date`, as windows have it."""
    field = pa.field("date", pa.date32(), nullable=False)
    return table.add_column(0, field, pa.repeat(pa.scalar(day, pa.date32()), len(table)))


def joined(tables: Mapping[date, pa.Table]) -> pa.Table:
    """Return tables of days as one, with the days."""
    of_days = [dated(table, day) for day, table in tables.items()]
    return pa.concat_tables(of_days).combine_chunks().replace_schema_metadata(None)
