"""The table that every source returns: alerts as received, filed under local civil days, and when first received."""

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.sources.alert_source import AlertSource, NoFilesError
from shotspotter_assets.storage.arrays import Integers
from shotspotter_assets.storage.catalogue import RAW_ROWS
from shotspotter_assets.storage.fingerprints import group_fingerprints, row_hashes

RAW_SCHEMA: Final = RAW_ROWS.schema
FIRST_POSSIBLE_DAY: Final = date(1990, 1, 1)  # there were no gunshot sensors before: defaults or misread numbers
SIMULATED: Final = "simulated city"  # the `received_from` of the rows of simulated cities
PUBLISHED: Final = (
    "date", "time_utc", "source_id", "longitude", "latitude", "gunshot_type", "rounds", "as_received",
)  # fmt: skip
"""The columns that come from the publisher, by which rows of APIs are ranked. The others describe the receipt of a row."""
PLACE_DECIMALS: Final = 5  # decimals of a degree (about a metre) by which rows of different files are compared
ORDER: Final = [(name, "ascending") for name in ("date", "time_utc", "received_from", "received_row")]  # order of rows
log = logging.getLogger(__name__)


def rows_by_origin(raw: pa.Table, addresses: Mapping[str, str] | None = None) -> dict[date, dict[str, tuple[str, int]]]:
    """Return version and number of each day's rows by origin; rows without a usable time are not counted.

    Args:
        raw: Rows, `RAW_SCHEMA`.
        addresses: Origin by `received_from`, such as the landing folder of a file; other rows have their own.
    """
    dates = raw["date"].to_numpy().astype("datetime64[D]")
    origins, origin_of_row = _origins(raw["received_from"], addresses or {})
    keys, group = np.unique(dates.astype(np.int64) * len(origins) + origin_of_row, return_inverse=True)
    versions = group_fingerprints(raw.select(PUBLISHED[1:]), group, len(keys))
    # Local and UTC days differ by one at most. NaT is equal to nothing.
    utc_days = raw["time_utc"].cast(pa.timestamp("us")).to_numpy().astype("datetime64[D]")
    belongs = np.abs((utc_days - dates).astype(np.float64)) <= 1
    numbers = np.bincount(group[belongs], minlength=len(keys)).tolist()
    days = (keys // len(origins)).astype("datetime64[D]").tolist()
    by_day: dict[date, dict[str, tuple[str, int]]] = {}
    for day, key, version, number in zip(days, keys.tolist(), versions, numbers, strict=True):
        by_day.setdefault(day, {})[origins[key % len(origins)]] = version, number
    return by_day


def _origins(received_from: pa.ChunkedArray, addresses: Mapping[str, str]) -> tuple[list[str], Integers]:
    """Return the distinct origins, and the position of each row's origin among them, shape (rows,)."""
    names = pc.unique(received_from)
    origin_of_name = [addresses.get(name, name) for name in names.to_pylist()]
    origins = list(dict.fromkeys(origin_of_name))
    position_of_name = np.array([origins.index(name) for name in origin_of_name], dtype=np.int64)
    return origins, position_of_name[pc.index_in(received_from, names).to_numpy()]


def read_sources(readers: Sequence[AlertSource], first: date, last: date) -> pa.Table:
    """Return the rows of all sources of a city; beside others, a folder without files is left out with a warning."""
    tables: list[pa.Table] = []
    without_files: list[NoFilesError] = []
    for reader in readers:
        try:
            tables.append(reader.read(first, last))
        except NoFilesError as error:
            without_files.append(error)
    if not tables:
        raise without_files[0]
    for missing in without_files:
        log.warning("%s Other sources are used; the days are rebuilt once files land.", missing)
    return pa.concat_tables(tables).sort_by(ORDER)


def keep_first_seen(rows: pa.Table, before: pa.Table) -> pa.Table:
    """Return `rows` with the `received_at` at which each was first received; n equal rows match at most n before."""
    import pandas as pd

    if before.num_rows == 0:
        return rows

    def occurrences(table: pa.Table) -> pd.MultiIndex:
        frame = pd.DataFrame({"hash": row_hashes(table.select(PUBLISHED))})
        return pd.MultiIndex.from_frame(frame.assign(before=frame.groupby("hash").cumcount()))

    index_before, index_now = (occurrences(table) for table in (before, rows))
    position = index_before.get_indexer(index_now)  # position of each row in `before`, -1 for a new one
    first_seen = pc.coalesce(before["received_at"].take(pa.array(position, mask=position < 0)), rows["received_at"])
    column = rows.schema.get_field_index("received_at")
    return rows.set_column(column, RAW_SCHEMA.field("received_at"), first_seen)
