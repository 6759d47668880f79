"""Rows that cleaning could not use."""

from typing import Final

from shotspotter_assets.quality.finding import Finding, share_finding
from shotspotter_assets.quality.window import Window

USUAL_SHARE: Final = 0.01
REMEDY: Final = (
    "See rejected_by_reason of these partitions and the rows in rejected.parquet; most often the box, the start or the "
    "columns in the city's file are wrong."
)


def share_rejected(window: Window) -> Finding:
    """Few rows cannot be used."""
    return share_finding(window.rejected, window.received, USUAL_SHARE, "cannot be used", REMEDY)
