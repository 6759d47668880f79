"""Columns of cleaned alerts, listed without heavy imports."""

from typing import Final

from shotspotter_assets.storage.table_columns import Column

CLEANED_COLUMNS: Final = {
    "user_id": Column("int64", "yyyymmdd * 100000 + the alert's place in its local day; the same on every re-run."),
    "source_id": Column("string", "The source's own id of the alert."),
    "time_utc": Column("timestamp[us, tz=UTC]", "Instant of the alert."),
    "longitude": Column("double", "Degrees, WGS84."),
    "latitude": Column("double", "Degrees, WGS84."),
    "location_id": Column(
        "uint64", "The point: (latitude + 90) * 1e7 in the high 32 bits, (longitude + 180) * 1e7 in the low 32 bits."
    ),
    "gunshot_type": Column(
        "int8", "0 single gunshot, 1 multiple gunshots, 2 gunshot or firecracker, or another event."
    ),
    "rounds": Column("int32", "Rounds that were fired, where the source says so."),
    "incident_id": Column("int64", "user_id of the incident's first alert, which may be on the day before."),
    "is_holiday_fireworks": Column("bool", "True around 4 July and New Year, when fireworks are heard."),
}
"""`gunshot_type`: see `City.type_names`. A table's metadata has the city's `time_precision`."""
