"""Rows that came twice: exact duplicates that cleaning left out, and alerts with the identifier of an earlier one of the day.

Identifiers that come again on another day are not counted: systems that were replaced count from the start again.
"""

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.shares import share_finding
from shotspotter_assets.quality.window import DAYS_AT_ONCE, Window, dates_of, rows_by_day

USUAL_SHARE: Final = 0.01
WHAT: Final = "came twice or with the identifier of another row of the day"
REMEDY: Final = "See whether files of the landing folder overlap, or whether the source sends corrections as new rows."


def duplicates(window: Window) -> Finding:
    """Few rows came twice, or with the identifier of another row of the day."""
    alerts, days = window.judged_alerts, window.judged
    cleaned = rows_by_day(dates_of(alerts), days)
    repeated_ids: dict[date, int] = {}
    for start in range(0, len(days), DAYS_AT_ONCE):
        of_days = days[start : start + DAYS_AT_ONCE]
        repeated_ids |= rows_by_day(_with_repeated_id(alerts, of_days[0], of_days[-1]), of_days)
    repeated = {day: window.received[day] - window.rejected[day] - cleaned[day] + repeated_ids[day] for day in days}
    return share_finding(repeated, window.received, USUAL_SHARE, WHAT, REMEDY)


def _with_repeated_id(alerts: pa.Table, first: date, last: date) -> npt.NDArray[np.datetime64]:
    """Days of the alerts from `first` to `last` with the identifier of an earlier one of their day, shape (alerts,)."""
    dates = alerts["date"]
    inside = pc.and_(pc.greater_equal(dates, pa.scalar(first)), pc.less_equal(dates, pa.scalar(last)))
    ids = alerts.select(["date", "source_id"]).filter(inside)
    frame = ids.to_pandas()
    return dates_of(ids)[(frame["source_id"].notna() & frame.duplicated()).to_numpy()]
