"""The table that every source returns: alerts as received, filed under local civil days."""

from typing import Final

import pyarrow as pa

RAW_SCHEMA: Final = pa.schema(
    [
        pa.field("date", pa.date32(), nullable=False),
        pa.field("time_utc", pa.timestamp("us", "UTC")),
        pa.field("longitude", pa.float64()),
        pa.field("latitude", pa.float64()),
        pa.field("gunshot_type", pa.string()),
        pa.field("rounds", pa.int32()),
        pa.field("source_id", pa.string()),
        pa.field("as_received", pa.string()),
        pa.field("received_from", pa.string()),
        pa.field("received_row", pa.int64()),
        pa.field("received_at", pa.timestamp("us", "UTC")),
    ]
)
"""`date` is the local day that a row is filed under. `as_received` is the row's own text, kept for rows whose time or point
could not be read. `received_row` counts from 0 within `received_from`."""

PUBLISHED: Final = (
    "date", "time_utc", "longitude", "latitude", "gunshot_type", "rounds", "source_id", "as_received",
)  # fmt: skip
"""The columns that come from the publisher; the others tell how a row was received."""

WITHDRAWN_SCHEMA: Final = pa.schema([*RAW_SCHEMA, pa.field("withdrawn_at", pa.timestamp("us", "UTC"), nullable=False)])
"""A row that was received at `received_at` and that the source no longer had when asked at `withdrawn_at`."""

ORDER: Final = [(name, "ascending") for name in ("date", "time_utc", "received_from", "received_row")]
"""How rows are sorted."""
