"""Checks of quarters against the year before: level and area of the alerts."""

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.local_time import dates_of
from shotspotter_assets.geometry.cells import cells_at
from shotspotter_assets.quality.finding import Finding, binomial_at_least
from shotspotter_assets.quality.window import Window

QUARTER_DAYS: Final = 91
YEAR_DAYS: Final = 364
"""Whole weeks, so that equal weekdays and seasons are compared."""
MIN_INCIDENTS: Final = 30
"""Minimum incidents of a compared quarter."""
NOT_ENOUGH_DAYS: Final = (
    f"Not enough days or incidents to check yet: a quarter of {MIN_INCIDENTS} incidents, and the year before."
)
MIN_QUARTER_DAYS: Final = 60
"""Minimum ordinary days with data in a quarter."""
MAX_LEVEL_RATIO: Final = 3.0
"""Maximum change within a year: New York's gunfire doubled in 2020; three times is a change of measuring."""
MIN_STANDARD_ERRORS: Final = 4.0
"""Minimum standard errors of the log ratio, with the days' own dispersion."""
MIN_NEW_SHARE: Final = 0.12
"""Minimum share, beyond the usual, of a quarter's incidents in cells silent for the year before."""
MAX_RATIO_TO_UNSEEN: Final = 2.0
MAX_CHANCE: Final = 1e-6
"""Two-sided probability of as many incidents in silent cells at the usual rate."""


def level_change(window: Window) -> Finding:
    """Check that no quarter has several times the alerts of the year before, or a fraction."""
    daily = window.known_incidents
    counts = np.where(daily.special, np.nan, daily.counts)
    changes: list[str] = []
    compared = 0
    days: dict[date, float] = {}
    for end in _quarter_ends(window):
        now = counts[end - QUARTER_DAYS + 1 : end + 1]
        before = counts[max(end - YEAR_DAYS - QUARTER_DAYS + 1, 0) : max(end - YEAR_DAYS + 1, 0)]
        if min(np.isfinite(now).sum(), np.isfinite(before).sum()) < MIN_QUARTER_DAYS:
            continue
        sums = np.nansum(now), np.nansum(before)
        if max(sums) < MIN_INCIDENTS:
            continue
        compared += 1
        rates = (sums[0] + 0.5) / np.isfinite(now).sum(), (sums[1] + 0.5) / np.isfinite(before).sum()
        spread = [max(float(np.nanvar(part)) / max(float(np.nanmean(part)), 1e-9), 1.0) for part in (now, before)]
        error = np.sqrt(spread[0] / (sums[0] + 0.5) + spread[1] / (sums[1] + 0.5))
        ratio = rates[0] / rates[1]
        if abs(np.log(ratio)) >= np.log(MAX_LEVEL_RATIO) and abs(np.log(ratio)) / error >= MIN_STANDARD_ERRORS:
            days[daily.days[end]] = float(ratio)
            quarter = f"{rates[0]:.1f} incidents a day in the quarter to {daily.days[end]}"
            changes.append(f"{quarter}, {rates[1]:.1f} a year before")
    message = (
        f"The level of incidents changed: {'; '.join(changes)}. Find out whether sensors or the source changed, and train on "
        "the days since then."
        if changes
        else "No quarter has several times the incidents of a year before, or a fraction."
        if compared
        else NOT_ENOUGH_DAYS
    )
    return Finding(not changes, message, {"quarters": len(changes)}, days)


def new_area(window: Window) -> Finding:
    """Check that alerts come from the area of the year before.

    The year's share of incidents that were the only one of their cell estimates what it left unseen (Good 1953).
    """
    city, incidents, daily = window.city, window.incidents, window.known_incidents
    row, column = cells_at(city, incidents["longitude"].to_numpy(), incidents["latitude"].to_numpy())
    cell = row.astype(np.int64) * city.grid.columns + column
    dates = dates_of(incidents)
    special = np.array(daily.days, dtype="datetime64[D]")[daily.special]
    ordinary = ~np.isin(dates, special)
    cell, dates = cell[ordinary], dates[ordinary]
    grown: list[str] = []
    compared = 0
    days: dict[date, float] = {}
    for end in _quarter_ends(window):
        last = np.datetime64(daily.days[end])
        middle, first = last - QUARTER_DAYS, last - QUARTER_DAYS - YEAR_DAYS
        counts_before = daily.counts[max(end - QUARTER_DAYS - YEAR_DAYS, 0) : end - QUARTER_DAYS + 1]
        if np.isfinite(counts_before).sum() < YEAR_DAYS * 2 // 3:
            continue
        now, before = cell[(dates > middle) & (dates <= last)], cell[(dates > first) & (dates <= middle)]
        if min(len(now), len(before)) < MIN_INCIDENTS:
            continue
        compared += 1
        known_cells, times = np.unique(before, return_counts=True)
        unseen = float((times == 1).sum() / len(before))
        new = ~np.isin(now, known_cells)
        chance = binomial_at_least(new.sum(), len(now), min(MAX_RATIO_TO_UNSEEN * unseen, 1.0))
        if new.mean() >= unseen + MIN_NEW_SHARE and chance < MAX_CHANCE:
            area = len(np.unique(now[new]))
            grown.append(
                f"{new.mean():.0%} of the incidents of the quarter to {daily.days[end]} are in {area} cells without one in "
                f"the year before (usual {unseen:.0%})"
            )
            days[daily.days[end]] = round(float(new.mean()), 3)
    message = (
        f"The area grew: {'; '.join(grown)}. Give the dates of new sensors in `coverage` of the city's file, or train on "
        "the days since."
        if grown
        else "Alerts come from the same area as in the year before."
        if compared
        else NOT_ENOUGH_DAYS
    )
    return Finding(not grown, message, {"quarters": len(grown)}, days)


def _quarter_ends(window: Window) -> npt.NDArray[np.int64]:
    """Return positions in `window.known_incidents` of the ends of quarters within the checked days, in order."""
    days = window.known_incidents.days
    last, first = len(days) - 1, days.index(window.checked[0])
    return np.arange(last, max(first, QUARTER_DAYS - 1) - 1, -QUARTER_DAYS)[::-1]
