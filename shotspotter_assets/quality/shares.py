"""Checks of shares of rows: rejected, without a type, outside coverage, and duplicates."""

from datetime import timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import dates_of, rows_by_day
from shotspotter_assets.gridding.coverage import points_in_coverage
from shotspotter_assets.quality.finding import Finding, share_finding
from shotspotter_assets.quality.window import Window

USUAL_SHARE: Final = 0.01
"""Of rejected rows, and of duplicates."""
USUAL_UNTYPED: Final = 0.05
USUAL_OUTSIDE: Final = 0.05
"""Sensors hear across a published edge: 2.8% of Washington DC's alerts lie outside its six districts with sensors."""

QUARTER_DAYS: Final = 91
YEAR_DAYS: Final = 365
"""A source that leaves out types all the time fails on every day, not now and then on days with more of them."""


def share_rejected(window: Window) -> Finding:
    """Few rows cannot be used."""
    remedy = (
        "See rejected_by_reason of these partitions and the rows in rejected.parquet; most often the box, the start or the "
        "columns in the city's file are wrong."
    )
    return share_finding(window.rejected, window.received, USUAL_SHARE, "cannot be used", remedy)


def share_outside_coverage(window: Window) -> Finding:
    """Few alerts lie where the city publishes no sensors."""
    if window.city.coverage is None:
        return Finding(True, "The city's file names no published coverage.")
    alerts = window.judged_alerts
    longitude, latitude = (alerts[name].to_numpy() for name in ("longitude", "latitude"))
    outside = ~points_in_coverage(window.city, longitude, latitude, dates_of(alerts))
    remedy = "Correct the areas or their first days under coverage in the city's file; forecasts leave such places out."
    return _of_alerts(window, outside, USUAL_OUTSIDE, "lie where the city publishes no sensors on that day", remedy)


def duplicates(window: Window) -> Finding:
    """Few rows came twice, or with the identifier of another row of the day.

    Identifiers that come again on another day do not count: systems that were replaced count from the start again.
    """
    alerts, days = window.judged_alerts, window.judged
    ids = alerts.select(["date", "source_id"]).to_pandas()
    repeats = dates_of(alerts)[(ids["source_id"].notna() & ids.duplicated()).to_numpy()]
    cleaned, repeated_ids = rows_by_day(dates_of(alerts), days), rows_by_day(repeats, days)
    repeated = {day: window.received[day] - window.rejected[day] - cleaned[day] + repeated_ids[day] for day in days}
    what = "came twice or with the identifier of another row of the day"
    remedy = "See whether files of the landing folder overlap, or whether the source sends corrections as new rows."
    return share_finding(repeated, window.received, USUAL_SHARE, what, remedy)


def share_untyped(window: Window) -> Finding:
    """Few alerts have no gunshot type, where the source gives types.

    The share of the quarter that ends with the judged days must not be too large either, nor be above the usual one after a
    year in which it was too large. Firework days, which may have the alerts of months, do not count there.
    """
    source = window.city.source
    if source.kind != "simulated" and source.columns.gunshot_type is None:
        return Finding(True, "The city's file names no column with the gunshot type: all are unknown.")
    what = "have no gunshot type"
    remedy = (
        "Add spellings that are not known (unknown_type_spellings of the partitions) to gunshot_spellings of the city's file; "
        "where the source leaves the type out, do not forecast by type for this time."
    )
    judged = _of_alerts(window, _untyped(window.judged_alerts), USUAL_UNTYPED, what, remedy)
    last, dates, untyped = window.judged[-1], dates_of(window.alerts), _untyped(window.alerts)

    def of_the_last(days: int) -> Finding:
        inside = ~is_holiday_fireworks(dates) & (dates > np.datetime64(last - timedelta(days=days)))
        counts = {last: int((inside & untyped).sum())}, {last: int(inside.sum())}
        return share_finding(*counts, USUAL_UNTYPED, what, remedy)

    quarter, year = of_the_last(QUARTER_DAYS), of_the_last(YEAR_DAYS)
    share = float(quarter.numbers["share"])
    if not judged.passed or (quarter.passed and (year.passed or share <= USUAL_UNTYPED)):
        return judged
    message = f"{share:.1%} of the alerts of the quarter to {last} {what}. {remedy}"
    return Finding(False, message, judged.numbers | {"share_of_the_quarter": share})


def _untyped(alerts: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return alerts["gunshot_type"].is_null().to_numpy()


def _of_alerts(
    window: Window, concerned: np.ndarray[tuple[int], np.dtype[np.bool_]], usual: float, what: str, remedy: str
) -> Finding:
    """The share of the judged alerts that are concerned, shape (alerts,)."""
    dates = dates_of(window.judged_alerts)
    of_day, all_rows = rows_by_day(dates[concerned], window.judged), rows_by_day(dates, window.judged)
    return share_finding(of_day, all_rows, usual, what, remedy)
