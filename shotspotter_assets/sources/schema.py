"""The table that every source returns: alerts as received, filed under local civil days."""

from typing import Final

from shotspotter_assets.sources.columns import RAW_COLUMNS
from shotspotter_assets.storage.arrow_schema import arrow_schema

RAW_SCHEMA: Final = arrow_schema(RAW_COLUMNS, required=["date"])

PUBLISHED: Final = (
    "date", "time_utc", "longitude", "latitude", "gunshot_type", "rounds", "source_id", "as_received",
)  # fmt: skip
"""The columns that come from the publisher; the others tell how a row was received."""

ORDER: Final = [(name, "ascending") for name in ("date", "time_utc", "received_from", "received_row")]
"""How rows are sorted."""
