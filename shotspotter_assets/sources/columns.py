"""Columns of raw alerts: what the catalog shows before anything is imported."""

from typing import Final

from shotspotter_assets.storage.table_columns import Column

RAW_COLUMNS: Final = {
    "date": Column("date32[day]", "Local day that the row is filed under."),
    "time_utc": Column("timestamp[us, tz=UTC]", "Instant of the alert; empty where it could not be read."),
    "longitude": Column("double", "Degrees, WGS84; empty where it could not be read."),
    "latitude": Column("double", "Degrees, WGS84; empty where it could not be read."),
    "gunshot_type": Column("string", "Type as the source spells it."),
    "rounds": Column("int32", "Rounds that were fired, where the source says so."),
    "source_id": Column("string", "The source's own id of the alert."),
    "as_received": Column("string", "The row's own text, kept where time or point could not be read."),
    "received_from": Column("string", "File or address that the row came from."),
    "received_row": Column("int64", "Place of the row within what it came from, from 0."),
    "received_at": Column("timestamp[us, tz=UTC]", "When the row was first received."),
}
