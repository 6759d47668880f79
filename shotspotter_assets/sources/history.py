"""What the source had before: when each row was first seen, and the rows that it has since changed or taken back."""

from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.storage.fingerprints import row_hashes

PUBLISHED: Final = (
    "date", "time_utc", "longitude", "latitude", "gunshot_type", "rounds", "source_id", "as_received",
)  # fmt: skip
"""The columns that come from the publisher; the others tell how a row was received."""

WITHDRAWN_SCHEMA = pa.schema([*RAW_SCHEMA, pa.field("withdrawn_at", pa.timestamp("us", "UTC"), nullable=False)])
"""A row that was received at `received_at` and that the source no longer had when asked at `withdrawn_at`."""


def keep_first_seen(rows: pa.Table, before: pa.Table, asked_at: datetime) -> tuple[pa.Table, pa.Table]:
    """(rows with the `received_at` at which each was first seen, rows of `before` that the source no longer has).

    Rows are matched by all columns of `PUBLISHED`; of n equal rows before and m now, the smaller number is matched.

    Args:
        rows: `RAW_SCHEMA`, all rows that the source has for some days.
        before: `RAW_SCHEMA`, the rows stored for those days, or some of them, before.
        asked_at: when the source was asked for `rows`.
    """
    if before.num_rows == 0:
        return rows, WITHDRAWN_SCHEMA.empty_table()
    index_before, index_now = (pd.MultiIndex.from_frame(_occurrences(table)) for table in (before, rows))
    position = index_before.get_indexer(index_now)  # of each row in `before`, -1 for a new one
    first_seen = pc.coalesce(before["received_at"].take(pa.array(position, mask=position < 0)), rows["received_at"])
    is_gone = np.ones(before.num_rows, dtype=bool)
    is_gone[position[position >= 0]] = False
    withdrawn = before.filter(pa.array(is_gone))
    withdrawn_at = pa.repeat(pa.scalar(asked_at, pa.timestamp("us", "UTC")), withdrawn.num_rows)
    return (
        rows.set_column(rows.schema.get_field_index("received_at"), RAW_SCHEMA.field("received_at"), first_seen),
        withdrawn.append_column(WITHDRAWN_SCHEMA.field("withdrawn_at"), withdrawn_at).cast(WITHDRAWN_SCHEMA),
    )


def _occurrences(table: pa.Table) -> pd.DataFrame:
    """Each row's hash and how many equal rows come before it."""
    hashes: npt.NDArray[np.uint64] = row_hashes(table.select(PUBLISHED))
    frame = pd.DataFrame({"hash": hashes})
    frame["before"] = frame.groupby("hash").cumcount()
    return frame
