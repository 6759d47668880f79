"""The level of a city: incidents per ordinary day of each quarter against the same quarter a year before."""

from datetime import date
from typing import Final

import numpy as np

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.window import MIN_INCIDENTS, QUARTER_DAYS, YEAR_DAYS, Window, quarter_ends

MIN_QUARTER_DAYS: Final = 60
"""Ordinary days with data that a quarter needs."""

MAX_RATIO: Final = 3.0
"""Gunfire itself doubled in a year in New York in 2020; three times within a year is the measuring."""

MIN_STANDARD_ERRORS: Final = 4.0
"""Of the log ratio, with the days' own dispersion."""


def level_change(window: Window) -> Finding:
    """No quarter has several times the alerts of the year before, or a fraction."""
    daily = window.known_incidents
    counts = np.where(daily.special, np.nan, daily.counts)
    changes: list[str] = []
    days: dict[date, float] = {}
    for end in quarter_ends(window):
        now = counts[end - QUARTER_DAYS + 1 : end + 1]
        before = counts[max(end - YEAR_DAYS - QUARTER_DAYS + 1, 0) : max(end - YEAR_DAYS + 1, 0)]
        if min(np.isfinite(now).sum(), np.isfinite(before).sum()) < MIN_QUARTER_DAYS:
            continue
        sums = np.nansum(now), np.nansum(before)
        if max(sums) < MIN_INCIDENTS:
            continue
        rates = (sums[0] + 0.5) / np.isfinite(now).sum(), (sums[1] + 0.5) / np.isfinite(before).sum()
        spread = [max(float(np.nanvar(part)) / max(float(np.nanmean(part)), 1e-9), 1.0) for part in (now, before)]
        error = np.sqrt(spread[0] / (sums[0] + 0.5) + spread[1] / (sums[1] + 0.5))
        ratio = rates[0] / rates[1]
        if abs(np.log(ratio)) >= np.log(MAX_RATIO) and abs(np.log(ratio)) / error >= MIN_STANDARD_ERRORS:
            days[daily.days[end]] = float(ratio)
            changes.append(
                f"{rates[0]:.1f} incidents a day in the quarter to {daily.days[end]}, {rates[1]:.1f} a year before"
            )
    message = (
        f"The level changed several-fold: {'; '.join(changes)}. Find out whether sensors were added or removed or the "
        "source changed, and train on the days since then."
        if changes
        else "No quarter is several times, or a fraction of, the same quarter a year before."
    )
    return Finding(not changes, message, {"quarters": len(changes)}, days)
