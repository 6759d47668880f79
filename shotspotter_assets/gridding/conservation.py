"""Recounts, from the tables alone, whether gridding lost or invented alerts."""

from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.tensors import counted_alerts, dense_window

COUNTED_COLUMNS: Final = ("user_id", "incident_id")
"""What is read of cleaned alerts."""

DAYS_AT_ONCE: Final = 31
"""Whose dense window is made, so that years of days of a fine grid fit into memory."""


def miscounted_alerts(tensors: pa.Table, alerts: pa.Table, days: list[date], city: City) -> dict[date, int]:
    """Counts minus alerts, or minus incidents that began, for the days on which that is not zero.

    Args:
        tensors: sparse tensors of the days.
        alerts: `COUNTED_COLUMNS` of the cleaned alerts of the days, with the local `date`.
        days: contiguous days.
        city: its grid, and what it counts.
    """
    gridded = []
    for first in range(0, len(days), DAYS_AT_ONCE):
        some = days[first : first + DAYS_AT_ONCE]
        of_some = pc.and_(pc.greater_equal(tensors["date"], some[0]), pc.less_equal(tensors["date"], some[-1]))
        gridded.append(dense_window(tensors.filter(of_some), some, city).sum(axis=(1, 2, 3), dtype=np.int64))
    day_at = np.searchsorted(np.array(days, dtype="datetime64[D]"), counted_alerts(alerts, city)["date"].to_numpy())
    difference = np.concatenate(gridded) - np.bincount(day_at, minlength=len(days))
    return {days[at]: int(difference[at]) for at in np.flatnonzero(difference)}
