"""The table that every source returns: alerts as received, filed under local civil days."""

from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.storage.catalogue import RAW_ROWS
from shotspotter_assets.storage.fingerprints import day_fingerprints, group_fingerprints

RAW_SCHEMA: Final = RAW_ROWS.schema
FIRST_POSSIBLE_DAY: Final = date(1990, 1, 1)
"""Earlier dates are defaults or misread numbers, as there were no acoustic gunshot sensors."""
SIMULATED: Final = "simulated city"  # the `received_from` of the rows of simulated cities
PUBLISHED: Final = (
    "date", "time_utc", "longitude", "latitude", "gunshot_type", "rounds", "source_id", "as_received",
)  # fmt: skip
"""The columns that come from the publisher; the others describe how a row was received."""
ORDER: Final = [(name, "ascending") for name in ("date", "time_utc", "received_from", "received_row")]
"""Order of rows."""
RANKED: Final = (
    "date", "time_utc", "source_id", "longitude", "latitude", "gunshot_type", "rounds", "as_received",
)  # fmt: skip
"""The columns by which rows of APIs are ranked and days are versioned. Rows that are equal in all are interchangeable."""


def versions_of_days(raw: pa.Table) -> dict[date, str]:
    """Return a hash of each day's rows, without time and place of their reception."""
    return day_fingerprints(raw.select(RANKED), pc.unique(raw["date"]).to_pylist())


def rows_by_origin(raw: pa.Table) -> dict[date, dict[str, tuple[str, int]]]:
    """Return version and number of each day's rows by file or address; rows without a usable time are not counted."""
    dates = raw["date"].to_numpy().astype("datetime64[D]")
    origins = pc.unique(raw["received_from"])
    origin_of_row = pc.index_in(raw["received_from"], origins).to_numpy()
    keys, group = np.unique(dates.astype(np.int64) * len(origins) + origin_of_row, return_inverse=True)
    versions = group_fingerprints(raw.select(PUBLISHED[1:]), group, len(keys))
    # Local and UTC days differ by one at most. NaT is equal to nothing.
    utc_days = raw["time_utc"].cast(pa.timestamp("us")).to_numpy().astype("datetime64[D]")
    belongs = np.abs((utc_days - dates).astype(np.float64)) <= 1
    numbers = np.bincount(group[belongs], minlength=len(keys)).tolist()
    found: dict[date, dict[str, tuple[str, int]]] = {}
    days, names = (keys // len(origins)).astype("datetime64[D]").tolist(), origins.take(keys % len(origins)).to_pylist()
    for day, name, version, number in zip(days, names, versions, numbers, strict=True):
        found.setdefault(day, {})[name] = version, number
    return found
