"""Hashes that reveal changed days, files and models."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def sha256(*parts: str | bytes | memoryview) -> str:
    """Return the SHA-256 of all parts in order, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()


def row_hashes(table: pa.Table) -> npt.NDArray[Any]:
    """Return a hash (uint64) of each row's values in order, nulls included; shape (rows,)."""
    import pandas as pd

    if table.num_rows == 0:
        return np.empty(0, dtype=np.uint64)
    # pandas reads integers with nulls as floats, so a hash would depend on nulls in other rows. Integers of 64 bits, which
    # a float cannot hold, are ids without nulls here.
    columns = [column.cast(pa.float64()) if _is_small_integer(column.type) else column for column in table.columns]
    frame = pa.table(columns, names=table.column_names).to_pandas()
    return pd.util.hash_pandas_object(frame, index=False).to_numpy(np.uint64)


def _is_small_integer(kind: pa.DataType) -> bool:
    return pa.types.is_boolean(kind) or (pa.types.is_integer(kind) and kind.bit_width < 64)


def day_fingerprints(table: pa.Table, days: Sequence[date]) -> dict[date, str]:
    """Return a hash of each sorted day's rows (16 hexadecimal digits), in any order, by their `date` (date32)."""
    dates = table["date"].to_numpy().astype("datetime64[D]")
    sought = np.array(days, dtype="datetime64[D]")
    group = np.searchsorted(sought, dates)
    is_sought = np.r_[sought, np.datetime64("NaT", "D")][group] == dates
    fingerprints = group_fingerprints(table.drop_columns(["date"]), np.where(is_sought, group, -1), len(days))
    return dict(zip(days, fingerprints, strict=True))


def group_fingerprints(table: pa.Table, group: npt.NDArray[np.integer], groups: int) -> list[str]:
    """Return a hash of each group's rows (16 hexadecimal digits), whatever their order.

    `group` numbers the group of each row, -1 for none, shape (rows,); each of the `groups` may be empty.
    """
    hashes = row_hashes(table)
    order = np.lexsort((hashes, group))
    number = np.arange(groups)
    starts, stops = (np.searchsorted(group[order], number, side) for side in ("left", "right"))
    return _hash_slices(hashes[order], starts, stops)


def table_fingerprints(tables: Mapping[date, pa.Table]) -> dict[date, str]:
    """Return a hash of the ordered rows of each day's table; the tables have equal columns."""
    hashes = row_hashes(pa.concat_tables(tables.values()))
    stops = np.cumsum([table.num_rows for table in tables.values()])
    return dict(zip(tables, _hash_slices(hashes, np.r_[0, stops[:-1]], stops), strict=True))


def _hash_slices(
    hashes: npt.NDArray[np.uint64], starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]
) -> list[str]:
    return [sha256(hashes[start:stop].tobytes())[:16] for start, stop in zip(starts, stops, strict=True)]
