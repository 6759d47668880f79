"""Alerts without a gunshot type."""

from datetime import timedelta
from typing import Final

import numpy as np

from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.quality.finding import Finding, share_finding
from shotspotter_assets.quality.window import Window, dates_of, rows_by_day

USUAL_SHARE: Final = 0.05
QUARTER_DAYS: Final = 91
YEAR_DAYS: Final = 365
"""A source that leaves out types all the time is told so all the time, not now and then on days with more of them."""

WHAT: Final = "have no gunshot type"
REMEDY: Final = (
    "Add spellings that are not known (unknown_type_spellings of the partitions) to gunshot_spellings of the city's file; "
    "where the source leaves the type out, do not forecast by type for this time."
)


def share_untyped(window: Window) -> Finding:
    """Few alerts have no gunshot type, where the source gives types."""
    alerts = window.judged_alerts
    if not window.city.source.has_gunshot_types:
        return Finding(True, "The city's file names no column with the gunshot type: all are unknown.")
    untyped = dates_of(alerts)[alerts["gunshot_type"].is_null().to_numpy()]
    all_rows = rows_by_day(dates_of(alerts), window.judged)
    judged = share_finding(rows_by_day(untyped, window.judged), all_rows, USUAL_SHARE, WHAT, REMEDY)
    return judged if not judged.passed else _of_the_quarter(window, judged)


def _of_the_quarter(window: Window, judged: Finding) -> Finding:
    """The finding of the judged days, unless too many of the quarter that ends with them have no type.

    The quarter's share is too large by itself, or above the usual one after a year in which it was too large. Firework days,
    which may have the alerts of months, are left out.
    """
    last, dates = window.judged[-1], dates_of(window.alerts)
    ordinary, untyped = ~is_holiday_fireworks(dates), window.alerts["gunshot_type"].is_null().to_numpy()

    def of_the_last(days: int) -> Finding:
        inside = ordinary & (dates > np.datetime64(last - timedelta(days=days)))
        return share_finding(
            {last: int((inside & untyped).sum())}, {last: int(inside.sum())}, USUAL_SHARE, WHAT, REMEDY
        )

    quarter, year = of_the_last(QUARTER_DAYS), of_the_last(YEAR_DAYS)
    share = float(quarter.numbers["share"])
    if quarter.passed and (year.passed or share <= USUAL_SHARE):
        return judged
    message = f"{share:.1%} of the alerts of the quarter to {last} {WHAT}. {REMEDY}"
    return Finding(False, message, judged.numbers | {"share_of_the_quarter": share})
