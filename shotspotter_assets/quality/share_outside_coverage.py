"""Alerts where the city publishes no sensors."""

from typing import Final

from shotspotter_assets.gridding.coverage import points_in_coverage
from shotspotter_assets.quality.finding import Finding, share_finding
from shotspotter_assets.quality.window import Window, dates_of, rows_by_day

USUAL_SHARE: Final = 0.05
"""Sensors hear across a published edge: 2.8% of Washington DC's alerts lie outside its six districts with sensors."""
WHAT: Final = "lie where the city publishes no sensors on that day"
REMEDY: Final = (
    "Correct the areas or their first days under coverage in the city's file; forecasts leave such places out."
)


def share_outside_coverage(window: Window) -> Finding:
    """Few alerts lie where the city publishes no sensors."""
    if window.city.coverage is None:
        return Finding(True, "The city's file names no published coverage.")
    alerts = window.judged_alerts
    dates, longitude, latitude = dates_of(alerts), alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy()
    outside = dates[~points_in_coverage(window.city, longitude, latitude, dates)]
    all_rows = rows_by_day(dates, window.judged)
    return share_finding(rows_by_day(outside, window.judged), all_rows, USUAL_SHARE, WHAT, REMEDY)
