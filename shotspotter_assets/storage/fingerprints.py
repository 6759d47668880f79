"""Hashes that reveal changed days, files and models."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
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
    small = (pa.bool_(), pa.int8(), pa.int16(), pa.int32())
    columns = [column.cast(pa.float64()) if column.type in small else column for column in table.columns]
    frame = pa.table(columns, names=table.column_names).to_pandas()
    return pd.util.hash_pandas_object(frame, index=False).to_numpy(np.uint64)


def day_fingerprints(table: pa.Table, days: Sequence[date]) -> dict[date, str]:
    """Return a hash of each day's rows (16 hexadecimal digits), in any order, by their `date` (date32)."""
    present, group = np.unique(table["date"].to_numpy().astype("datetime64[D]"), return_inverse=True)
    fingerprints = group_fingerprints(table.drop_columns(["date"]), group, len(present))
    by_day = dict(zip(present.tolist(), fingerprints, strict=True))
    return {day: by_day.get(day, sha256()[:16]) for day in days}


def group_fingerprints(table: pa.Table, group: npt.NDArray[np.integer], groups: int) -> list[str]:
    """Return a hash of each group's rows (16 hexadecimal digits), in any order; `group` numbers that of each row."""
    hashes = row_hashes(table)
    order = np.lexsort((hashes, group))
    bounds = np.searchsorted(group[order], np.arange(groups + 1))
    return [sha256(hashes[order[start:stop]].tobytes())[:16] for start, stop in pairwise(bounds)]


def table_fingerprints(tables: Mapping[date, pa.Table]) -> dict[date, str]:
    """Return a hash of the rows of each day's table, in any order; the tables have equal columns."""
    group = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables.values()])
    return dict(zip(tables, group_fingerprints(pa.concat_tables(tables.values()), group, len(tables)), strict=True))
