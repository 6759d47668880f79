"""The table that every source returns: alerts as received, filed under local civil days."""

from typing import Final

import pyarrow as pa

from shotspotter_assets.sources.columns import RAW_COLUMNS
from shotspotter_assets.storage.arrow_schema import arrow_schema

RAW_SCHEMA: Final = arrow_schema(RAW_COLUMNS, required=["date"])

PUBLISHED: Final = (
    "date", "time_utc", "longitude", "latitude", "gunshot_type", "rounds", "source_id", "as_received",
)  # fmt: skip
"""The columns that come from the publisher; the others tell how a row was received."""

WITHDRAWN_SCHEMA: Final = pa.schema([*RAW_SCHEMA, pa.field("withdrawn_at", pa.timestamp("us", "UTC"), nullable=False)])
"""A row that was received at `received_at` and that the source no longer had when asked at `withdrawn_at`."""

ORDER: Final = [(name, "ascending") for name in ("date", "time_utc", "received_from", "received_row")]
"""How rows are sorted."""
