"""Rows that came twice: duplicates that cleaning left out, and alerts with the identifier of an earlier one of the day.

Identifiers that come again on another day are not counted: systems that were replaced count from the start again.
"""

from typing import Final

from shotspotter_assets.quality.finding import Finding, share_finding
from shotspotter_assets.quality.window import Window, dates_of, rows_by_day

USUAL_SHARE: Final = 0.01
WHAT: Final = "came twice or with the identifier of another row of the day"
REMEDY: Final = "See whether files of the landing folder overlap, or whether the source sends corrections as new rows."


def duplicates(window: Window) -> Finding:
    """Few rows came twice, or with the identifier of another row of the day."""
    alerts, days = window.judged_alerts, window.judged
    ids = alerts.select(["date", "source_id"]).to_pandas()
    repeats = dates_of(alerts)[(ids["source_id"].notna() & ids.duplicated()).to_numpy()]
    cleaned, repeated_ids = rows_by_day(dates_of(alerts), days), rows_by_day(repeats, days)
    repeated = {day: window.received[day] - window.rejected[day] - cleaned[day] + repeated_ids[day] for day in days}
    return share_finding(repeated, window.received, USUAL_SHARE, WHAT, REMEDY)
