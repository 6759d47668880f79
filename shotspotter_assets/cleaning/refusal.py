"""Refuse days of which most rows cannot be used: then the city's file is wrong."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import BEFORE_START, NO_ROWS, REASONS, CleanedDay

MIN_ROWS: Final = 20
"""Fewer unusable rows are accepted, as in a small day or a correction of some rows."""

MAX_SHOWN: Final = 160
"""Length of a quoted row, in characters."""

UNDATED: Final = ("no_time", "future_date", "impossible_date")
"""Reasons of rows that have no usable date and are filed under the first day, or the day of their file."""

REMEDIES: Final = {
    "no_time": "columns.time, time_format (how times are written) and naive_times (what a time without a zone means)",
    "future_date": "time_format (day and month may be interchanged) or naive_times",
    "impossible_date": "time_format (day and month may be interchanged)",
    "no_point": "columns.longitude and columns.latitude",
    "swapped_point": "columns.longitude and columns.latitude, which seem to be interchanged",
    "outside_box": "box",
    "other_event": "event_types",
}
"""Keys of the city's file to correct, by reason."""


def refuse_mostly_rejected(city: City, cleaned: Sequence[CleanedDay], other_alerts: Callable[[], int]) -> None:
    """Refuse days whose share of rejected rows, all days together, exceeds `City.max_share_rejected`.

    Rows without a usable date come from all days and are filed under one, so they are compared with the alerts of all days.
    Rows from before the city's start are not counted.

    Args:
        cleaned: all days of a run.
        other_alerts: counts the alerts that are stored for other days.

    Raises:
        ValueError: the share is larger.
    """
    account = sum((day.account for day in cleaned), start=NO_ROWS)
    rejected = Counter(account.rejected)
    received = account.received - rejected.pop(BEFORE_START, 0)
    undated = sum(rejected[reason] for reason in UNDATED)
    if _is_most(rejected.total() - undated, received - undated, city) or (
        _is_most(rejected.total(), received, city) and _is_most(rejected.total(), received + other_alerts(), city)
    ):
        rows = pa.concat_tables([day.rejected for day in cleaned])
        raise ValueError(
            f"City {city.name}: {rejected.total():,} of {received:,} rows cannot be used, so nothing was stored. "
            + " ".join(
                f"{number:,} {reason}: {REASONS[reason]}{_example(rows, reason)}. Correct {REMEDIES[reason]}."
                for reason, number in rejected.most_common()
            )
            + f" These are keys of the city's file; so is max_share_rejected ({city.max_share_rejected:g}), to allow more."
        )


def _is_most(rejected: int, received: int, city: City) -> bool:
    return rejected >= MIN_ROWS and rejected > city.max_share_rejected * received


def _example(rejected: pa.Table, reason: str) -> str:
    """The first row as it was received, or where the points are."""
    rows = rejected.filter(pc.equal(rejected["reason"], reason))
    if reason in {"outside_box", "swapped_point"}:
        edges = [np.quantile(rows[axis].to_numpy(), (0.01, 0.99)) for axis in ("longitude", "latitude")]
        (west, east), (south, north) = edges
        return f"; 98% are within west {west:.3f}, south {south:.3f}, east {east:.3f}, north {north:.3f}"
    first = rows.slice(0, 1).to_pylist()[0]
    shown = first["as_received"] or (
        first["gunshot_type_as_received"] if reason == "other_event" else first["time_utc"]
    )
    return f"; the first is {str(shown)[:MAX_SHOWN]}"
