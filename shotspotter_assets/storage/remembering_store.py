"""A store that caches the days that it has read, for a process that reads the same years many times."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.storage.store import Store


@dataclass(frozen=True)
class _Window:
    first: date
    last: date
    table: pa.Table

    def within(self, first: date, last: date) -> pa.Table:
        """Its rows of some of its days."""
        if (first, last) == (self.first, self.last):
            return self.table
        dates = self.table["date"]
        return self.table.filter(
            pc.and_(
                pc.greater_equal(dates, pa.scalar(first, pa.date32())),
                pc.less_equal(dates, pa.scalar(last, pa.date32())),
            )
        )


class RememberingStore(Store):
    """What it has read of a window of days is not looked at again, though it may have changed since."""

    def __init__(self, root: str, s3_client: Any = None) -> None:
        super().__init__(root, s3_client)
        self._windows: dict[tuple[Any, ...], _Window] = {}
        self._present: dict[tuple[Any, ...], pa.Table | None] = {}

    def read_window(
        self, asset: str, city: str, file: str, first: date, last: date, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """See `Store.read_window`; a window that goes on after one that was read costs its further days only."""
        key = (asset, city, file, None if columns is None else tuple(columns))
        known = self._windows.get(key)
        if known is None or not known.first <= first <= known.last:
            known = _Window(first, last, super().read_window(asset, city, file, first, last, columns))
        elif known.last < last:
            further = super().read_window(asset, city, file, known.last + timedelta(days=1), last, columns)
            known = _Window(known.first, last, _joined(known.table, further))
        self._windows[key] = known
        return known.within(first, last)

    def read_present(
        self, asset: str, city: str, file: str, first: date, last: date, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        """See `Store.read_present`."""
        key = (asset, city, file, first, last, None if columns is None else tuple(columns))
        if key not in self._present:
            self._present[key] = super().read_present(asset, city, file, first, last, columns)
        return self._present[key]


def _joined(table: pa.Table, further: pa.Table) -> pa.Table:
    """Both, with the entries of the schema's metadata that are the same."""
    metadata, other = table.schema.metadata or {}, further.schema.metadata or {}
    agreed = {key: value for key, value in metadata.items() if other.get(key) == value}
    tables = [each.replace_schema_metadata(agreed or None) for each in (table, further)]
    return pa.concat_tables(tables).combine_chunks()
