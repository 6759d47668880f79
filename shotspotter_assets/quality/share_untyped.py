"""Alerts without a gunshot type."""

from typing import Final

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.shares import share_finding
from shotspotter_assets.quality.window import Window, dates_of, rows_by_day

USUAL_SHARE: Final = 0.05
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
    return share_finding(rows_by_day(untyped, window.judged), all_rows, USUAL_SHARE, "have no gunshot type", REMEDY)
