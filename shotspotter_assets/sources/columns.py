"""Columns of raw alerts, with the names of their Arrow types: what the catalog shows before anything is imported."""

from typing import Final

RAW_COLUMNS: Final = {
    "date": "date32[day]",
    "time_utc": "timestamp[us, tz=UTC]",
    "longitude": "double",
    "latitude": "double",
    "gunshot_type": "string",
    "rounds": "int32",
    "source_id": "string",
    "as_received": "string",
    "received_from": "string",
    "received_row": "int64",
    "received_at": "timestamp[us, tz=UTC]",
}
"""`date` is the local day that a row is filed under. `as_received` is the row's own text, kept for rows whose time or point
could not be read. `received_row` counts from 0 within `received_from`."""
