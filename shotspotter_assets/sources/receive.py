"""Reads a city's sources and keeps, for each row, when it was first received."""

import logging
from collections.abc import Sequence
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.sources.alert_source import AlertSource, NoFilesError
from shotspotter_assets.sources.schema import ORDER, PUBLISHED, RAW_SCHEMA
from shotspotter_assets.storage.fingerprints import row_hashes

log = logging.getLogger(__name__)


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
    """Return `rows` with the `received_at` at which each row was first received.

    Rows are matched by all columns of `PUBLISHED`; of n equal rows before and m now, the smaller number is matched.
    """
    if before.num_rows == 0:
        return rows
    index_before, index_now = (pd.MultiIndex.from_frame(_occurrences(table)) for table in (before, rows))
    position = index_before.get_indexer(index_now)  # of each row in `before`, -1 for a new one
    first_seen = pc.coalesce(before["received_at"].take(pa.array(position, mask=position < 0)), rows["received_at"])
    at = rows.schema.get_field_index("received_at")
    return rows.set_column(at, RAW_SCHEMA.field("received_at"), first_seen)


def _occurrences(table: pa.Table) -> pd.DataFrame:
    frame = pd.DataFrame({"hash": row_hashes(table.select(PUBLISHED))})
    frame["before"] = frame.groupby("hash").cumcount()
    return frame
