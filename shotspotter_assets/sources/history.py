"""What the source said before: when each row was first seen, and the rows that it has since changed or taken back."""

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
"""What the publisher says of a row; the other columns say how it came here."""

WITHDRAWN_SCHEMA = pa.schema([*RAW_SCHEMA, pa.field("withdrawn_at", pa.timestamp("us", "UTC"), nullable=False)])
"""A row that was received at `received_at` and that the source no longer had when asked at `withdrawn_at`."""


def keep_first_seen(rows: pa.Table, before: pa.Table, asked_at: datetime) -> tuple[pa.Table, pa.Table]:
    """(rows with the `received_at` at which each was first seen, rows of `before` that the source no longer has).

    Rows are the same when all of `PUBLISHED` is; of equal rows as many are the same as both tables have.

    Args:
        rows: `RAW_SCHEMA`, all rows that the source has for some days.
        before: `RAW_SCHEMA`, the rows stored for those days, or some of them, before.
        asked_at: when the source was asked for `rows`.
    """
    if before.num_rows == 0:
        return rows, WITHDRAWN_SCHEMA.empty_table()
    now, then = (_occurrences(table) for table in (rows, before))
    at = pd.MultiIndex.from_frame(then).get_indexer(pd.MultiIndex.from_frame(now))
    seen = pc.coalesce(before["received_at"].take(pa.array(at, mask=at < 0)), rows["received_at"])
    withdrawn = np.ones(before.num_rows, dtype=bool)
    withdrawn[at[at >= 0]] = False
    position = rows.schema.get_field_index("received_at")
    gone = before.filter(pa.array(withdrawn))
    when = pa.repeat(pa.scalar(asked_at, pa.timestamp("us", "UTC")), gone.num_rows)
    return (
        rows.set_column(position, RAW_SCHEMA.field("received_at"), seen),
        gone.append_column(WITHDRAWN_SCHEMA.field("withdrawn_at"), when).cast(WITHDRAWN_SCHEMA),
    )


def _occurrences(table: pa.Table) -> pd.DataFrame:
    """Each row's hash and how many equal rows come before it."""
    hashes: npt.NDArray[np.uint64] = row_hashes(table.select(PUBLISHED))
    frame = pd.DataFrame({"hash": hashes})
    frame["before"] = frame.groupby("hash").cumcount()
    return frame
