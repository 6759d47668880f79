"""The table that every source returns: alerts as received, filed under local civil days."""

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.storage.catalogue import RAW_ROWS
from shotspotter_assets.storage.fingerprints import day_fingerprints, group_fingerprints

RAW_SCHEMA: Final = RAW_ROWS.schema

SIMULATED: Final = "simulated city"
"""The `received_from` of the rows of simulated cities."""

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


def origins_of_days(raw: pa.Table) -> dict[date, dict[str, str]]:
    """Return the version of each day's rows by the file or address that they came from."""
    numbers: dict[tuple[date, str], int] = {}
    origin_of_row = zip(raw["date"].to_pylist(), raw["received_from"].to_pylist(), strict=True)
    group = np.array([numbers.setdefault(origin, len(numbers)) for origin in origin_of_row], dtype=np.int64)
    origins: dict[date, dict[str, str]] = {}
    for (day, origin), version in zip(numbers, group_versions(raw, group, len(numbers)), strict=True):
        origins.setdefault(day, {})[origin] = version
    return origins


def group_versions(raw: pa.Table, group: npt.NDArray[np.int64], groups: int) -> list[str]:
    """Return a hash of the published columns of each group of rows, see `group_fingerprints`."""
    return group_fingerprints(raw.select(PUBLISHED[1:]), group, groups)
