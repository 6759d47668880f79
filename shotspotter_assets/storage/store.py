"""The one store of all assets: files named by asset, city and day, under a local folder or an S3 prefix.

    <root>/<asset>/city=<city>[/date=<YYYY-MM-DD> or /fold=<YYYY-MM-DD>]/<file>

The folders follow the Hive convention: the Parquet files of one name open as one partitioned data set in pyarrow, pandas,
polars and DuckDB. Therefore no table has a column named city, date or fold.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from shotspotter_assets.storage.day_metadata import gather_metadata
from shotspotter_assets.storage.errors import CorruptObjectError, MissingObjectError, MissingPartitionsError
from shotspotter_assets.storage.local_files import LocalFiles

if TYPE_CHECKING:
    from shotspotter_assets.storage.s3_objects import S3Objects

Dimension = Literal["date", "fold"]
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LAST_NAME = "~"
"""Name after all cities in order."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Partition:
    """One partition of an asset: a city, and a day of the dimension unless the asset is by city alone."""

    asset: str
    city: str
    dimension: Dimension | None = None
    day: date | None = None

    @property
    def key(self) -> str:
        """City and day in messages."""
        return self.city if self.day is None else f"{self.city} {self.day}"

    @property
    def folder(self) -> str:
        tail = "" if self.day is None else f"/{self.dimension}={self.day.isoformat()}"
        return f"{self.asset}/city={self.city}{tail}"


class Store:
    """Reads and writes the files of partitions.

    `root` is a local folder (absolute, or relative to the working directory) or `s3://bucket/prefix`, which needs a boto3
    `s3_client`. Every write replaces one file in one step. All methods raise StoreError if the store itself fails.
    """

    def __init__(self, root: str, s3_client: Any = None) -> None:
        """Open the store without contacting it; raise ValueError for another root, or for S3 without a client."""
        self.root = root
        self._objects = _objects(root, s3_client)

    def uri(self, partition: Partition, file: str) -> str:
        """Return the file's address, existing or not: an absolute path or an `s3://` address."""
        return self._objects.uri(_path(partition, file))

    def exists(self, partition: Partition, file: str) -> bool:
        return self._objects.exists(_path(partition, file))

    def alone(self, asset: str, city: str) -> AbstractContextManager[None]:
        """Lock for writing several files of a city, so that concurrent runs do not mix theirs. On S3 there is no lock."""
        return self._objects.alone(f"{asset}.{city}")

    def write_bytes(self, partition: Partition, file: str, data: bytes) -> None:
        self._objects.write(_path(partition, file), data)

    def read_bytes(self, partition: Partition, file: str) -> bytes:
        """Return the file's content; raise MissingObjectError if it is not in the store."""
        try:
            return self._objects.read(_path(partition, file))
        except FileNotFoundError:
            place = partition.asset, partition.city, partition.day
            raise MissingObjectError(*place, file, self.uri(partition, file)) from None

    def read_index(self, partition: Partition, file: str, decode: Callable[[bytes], _Result]) -> _Result | None:
        """Return a decoded file that other files can rebuild; None if it is missing or damaged."""
        try:
            return decode(self.read_bytes(partition, file))
        except MissingObjectError:
            return None
        except ValueError as error:
            log.warning("%s is damaged and will be rebuilt: %s", self.uri(partition, file), error)
            return None

    def delete(self, partition: Partition, file: str) -> None:
        self._objects.delete(_path(partition, file))

    def write_table(self, partition: Partition, file: str, table: pa.Table) -> None:
        """Write one Parquet file with the schema's metadata; no column is named like a folder."""
        table.validate(full=True)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, write_page_checksum=True)
        self.write_bytes(partition, file, bytes(sink.getvalue().to_pybytes()))

    def write_tables(self, asset: str, city: str, file: str, tables: Mapping[date, pa.Table]) -> None:
        self._map(lambda item: self.write_table(Partition(asset, city, "date", item[0]), file, item[1]), tables.items())

    def read_table(self, partition: Partition, file: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read one Parquet file, or its named columns.

        Raises:
            MissingObjectError: the file is not in the store.
            CorruptObjectError: the file is no readable Parquet file.
        """
        data = self.read_bytes(partition, file)
        try:
            parquet = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            return parquet.read(columns=columns, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise CorruptObjectError(partition.asset, partition.key, self.uri(partition, file), reason) from error

    def cities_present(self, asset: str, file: str) -> list[str]:
        """Return the sorted cities that have a file without a day."""
        names = self._objects.folders_with(asset, "city=", "", _LAST_NAME, file)
        return sorted(name.removeprefix("city=") for name in names)

    def days_present(self, asset: str, city: str, file: str, dimension: Dimension = "date") -> set[date]:
        """Return the days (or folds) of the stored files."""
        return self._days(asset, city, file, dimension)

    def read_window(
        self, asset: str, city: str, file: str, first: date, last: date, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Read the files of all days from `first` to `last`, both included, as one table in order.

        The table starts with `date` (date32), followed by `columns`. Schema metadata are kept, by day where they differ
        (`storage.day_metadata`).

        Raises:
            MissingPartitionsError: a day has no such file.
            CorruptObjectError: a file cannot be read, or its schema is not that of the first day.
            ValueError: `first` is after `last`.
        """
        return self._read_days(asset, city, file, self.require_window(asset, city, file, first, last), columns)

    def require_window(self, asset: str, city: str, file: str, first: date, last: date) -> list[date]:
        """Return all days from `first` to `last`, both included, each of which has the file.

        Raises:
            MissingPartitionsError: a day has no such file.
            ValueError: `first` is after `last`.
        """
        if first > last:
            raise ValueError(f"the window of {asset} of {city} ends ({last}) before it starts ({first})")
        window = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        missing = set(window) - self._days(asset, city, file, "date", first, last)
        if missing:
            raise MissingPartitionsError(asset, city, file, missing, (first, last))
        return window

    def read_present(
        self, asset: str, city: str, file: str, first: date, last: date, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        """Read as `read_window` those days that have the file; None without any. Raises CorruptObjectError as well."""
        present = sorted(self._days(asset, city, file, "date", first, last))
        return self._read_days(asset, city, file, present, columns) if present else None

    def _read_days(
        self, asset: str, city: str, file: str, days: Sequence[date], columns: Sequence[str] | None
    ) -> pa.Table:
        stored_columns = None if columns is None else [name for name in columns if name != "date"]
        partitions = [Partition(asset, city, "date", day) for day in days]
        tables = self._map(lambda partition: self.read_table(partition, file, stored_columns), partitions)
        for partition, table in zip(partitions, tables, strict=True):
            if table.schema != tables[0].schema:
                reason = f"its columns are not those of {days[0]}: {table.schema.names}"
                raise CorruptObjectError(asset, partition.key, self.uri(partition, file), reason)
        field = pa.field("date", pa.date32(), nullable=False)
        dated = [
            table.add_column(0, field, pa.repeat(pa.scalar(day, pa.date32()), len(table)))
            for day, table in zip(days, tables, strict=True)
        ]
        metadata = gather_metadata(days, [table.schema.metadata for table in tables])
        return pa.concat_tables(dated).combine_chunks().replace_schema_metadata(metadata)

    def _days(
        self, asset: str, city: str, file: str, dimension: Dimension, first: date = date.min, last: date = date.max
    ) -> set[date]:
        folder = Partition(asset, city).folder
        names = self._objects.folders_with(folder, f"{dimension}=", first.isoformat(), last.isoformat(), file)
        texts = [name.removeprefix(f"{dimension}=") for name in names]
        return {date.fromisoformat(text) for text in texts if _DAY.fullmatch(text)}

    def _map(self, function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        if self._objects.threads == 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(self._objects.threads) as pool:
            return list(pool.map(function, items))


class CachingStore(Store):
    """Store that reads the files of a window once."""

    def __init__(self, root: str, s3_client: Any = None) -> None:
        super().__init__(root, s3_client)
        self._cached: dict[tuple[Any, ...], pa.Table] = {}

    def _read_days(
        self, asset: str, city: str, file: str, days: Sequence[date], columns: Sequence[str] | None
    ) -> pa.Table:
        key = (asset, city, file, tuple(days), None if columns is None else tuple(columns))
        if key not in self._cached:
            self._cached[key] = super()._read_days(asset, city, file, days, columns)
        return self._cached[key]


def _objects(root: str, s3_client: Any) -> "LocalFiles | S3Objects":
    if root.startswith("s3://"):
        from shotspotter_assets.storage import s3_objects

        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        if not _BUCKET.fullmatch(bucket) or "//" in f"/{prefix}":
            raise _bad_root(root)
        if s3_client is None:
            raise ValueError(f"the store {root} is on S3 and needs an S3 client")
        return s3_objects.S3Objects(bucket, prefix.strip("/"), s3_client)
    if not root.strip() or "://" in root or root.startswith("s3:"):
        raise _bad_root(root)
    return LocalFiles(Path(root).expanduser().absolute())


def _path(partition: Partition, file: str) -> str:
    return f"{partition.folder}/{file}"


def _bad_root(root: str) -> ValueError:
    return ValueError(
        f"{root!r} is not a store: use a folder such as ./store or /data/shotspotter, or s3://bucket/prefix "
        "(environment variable SHOTSPOTTER_STORE)"
    )
