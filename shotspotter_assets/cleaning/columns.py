"""Columns of cleaned alerts, with the names of their Arrow types: what the catalog shows before anything is imported."""

from typing import Final

CLEANED_COLUMNS: Final = {
    "user_id": "int64",
    "source_id": "string",
    "time_utc": "timestamp[us, tz=UTC]",
    "longitude": "double",
    "latitude": "double",
    "location_id": "uint32",
    "gunshot_type": "int8",
    "rounds": "int32",
    "incident_id": "int64",
    "is_holiday_fireworks": "bool",
}
"""`user_id` is yyyymmdd * 100000 plus the alert's place in its local day; `incident_id` is the `user_id` of the
incident's first alert, which may be on the day before; `location_id` see `alerts.location_ids`; `gunshot_type` see
`City.type_names`. The metadata of a day's table has the city's `time_precision`."""
