"""Checks of quarters against the year before: level and area of the incidents."""

from datetime import date
from typing import TYPE_CHECKING, Final

from shotspotter_assets.quality.check import check
from shotspotter_assets.quality.finding import Finding

if TYPE_CHECKING:
    from shotspotter_assets.quality.window import Window

QUARTER_DAYS: Final = 91
WHOLE_WEEKS_YEAR: Final = 364
"""Days between compared quarters: whole weeks, so that equal weekdays and seasons are compared."""
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
MAX_NEW_CHANCE: Final = 1e-6
"""Two-sided probability of as many incidents in silent cells at the usual rate."""


@check(alerts=["user_id", "incident_id"])
def level_change(window: "Window") -> Finding:
    """Check that no quarter has several times the incidents of the year before, or a fraction."""
    import numpy as np

    daily = window.incidents_outside_silences
    counts = np.where(daily.special, np.nan, daily.counts)
    changes: list[str] = []
    compared = 0
    days: dict[date, float] = {}
    for end in _quarter_ends(window):
        now = counts[end - QUARTER_DAYS + 1 : end + 1]
        before = counts[max(end - WHOLE_WEEKS_YEAR - QUARTER_DAYS + 1, 0) : max(end - WHOLE_WEEKS_YEAR + 1, 0)]
        parts = [part[np.isfinite(part)] for part in (now, before)]
        if min(map(len, parts)) < MIN_QUARTER_DAYS or max(part.sum() for part in parts) < MIN_INCIDENTS:
            continue
        compared += 1
        rates = [(part.sum() + 0.5) / len(part) for part in parts]
        spread = [max(float(part.var()) / max(float(part.mean()), 1e-9), 1.0) for part in parts]
        error = np.sqrt(sum(one / (part.sum() + 0.5) for one, part in zip(spread, parts, strict=True)))
        ratio = rates[0] / rates[1]
        change = abs(np.log(ratio))
        if change >= np.log(MAX_LEVEL_RATIO) and change / error >= MIN_STANDARD_ERRORS:
            days[daily.days[end]] = float(ratio)
            quarter = f"{rates[0]:.1f} incidents a day in the quarter to {daily.days[end]}"
            changes.append(f"{quarter}, {rates[1]:.1f} a year before")
    message = "No quarter has several times the incidents of a year before, or a fraction."
    remedy = "Find out whether sensors or the source changed, and train on the days since then."
    found = f"The level of incidents changed: {'; '.join(changes)}. {remedy}"
    return _finding(found if days else message if compared else NOT_ENOUGH_DAYS, days)


@check(alerts=["user_id", "incident_id", "longitude", "latitude"])
def new_area(window: "Window") -> Finding:
    """Check that incidents occur in the area of the year before.

    The year's share of incidents that were the only one of their cell estimates what it left unseen (Good 1953).
    """
    import numpy as np

    from shotspotter_assets.calendar.dates import dates_of
    from shotspotter_assets.geometry.cells import cells_at
    from shotspotter_assets.quality.usual import binomial_at_least

    city, incidents, daily = window.city, window.incidents, window.incidents_outside_silences
    row, column = cells_at(city, incidents["longitude"].to_numpy(), incidents["latitude"].to_numpy())
    cell = row.astype(np.int64) * city.grid.columns + column
    dates = dates_of(incidents)
    ordinary = ~np.isin(dates, np.array(daily.days, dtype="datetime64[D]")[daily.special])
    cell, dates = cell[ordinary], dates[ordinary]
    grown: list[str] = []
    compared = 0
    days: dict[date, float] = {}
    for end in _quarter_ends(window):
        last = np.datetime64(daily.days[end])
        middle, first = last - QUARTER_DAYS, last - QUARTER_DAYS - WHOLE_WEEKS_YEAR
        counts_before = daily.counts[max(end - QUARTER_DAYS - WHOLE_WEEKS_YEAR, 0) : end - QUARTER_DAYS + 1]
        if np.isfinite(counts_before).sum() < WHOLE_WEEKS_YEAR * 2 // 3:
            continue
        now, before = cell[(dates > middle) & (dates <= last)], cell[(dates > first) & (dates <= middle)]
        if min(len(now), len(before)) < MIN_INCIDENTS:
            continue
        compared += 1
        cells_before, times = np.unique(before, return_counts=True)
        unseen = float((times == 1).sum() / len(before))
        new = ~np.isin(now, cells_before)
        chance = binomial_at_least(new.sum(), len(now), min(MAX_RATIO_TO_UNSEEN * unseen, 1.0))
        if new.mean() >= unseen + MIN_NEW_SHARE and chance < MAX_NEW_CHANCE:
            grown.append(
                f"{new.mean():.0%} of the incidents of the quarter to {daily.days[end]} are in "
                f"{len(np.unique(now[new]))} cells without one in the year before (usual {unseen:.0%})"
            )
            days[daily.days[end]] = round(float(new.mean()), 3)
    message = "Alerts come from the same area as in the year before."
    remedy = "Give the dates of new sensors in `coverage` of the city's file, or train on the days since."
    found = f"The area grew: {'; '.join(grown)}. {remedy}"
    return _finding(found if days else message if compared else NOT_ENOUGH_DAYS, days)


def _finding(message: str, days: dict[date, float]) -> Finding:
    return Finding(not days, message, {"quarters": len(days)}, days)


def _quarter_ends(window: "Window") -> list[int]:
    """Return positions in `window.usual.days` of the ends of quarters within the checked days, in order."""
    days = window.usual.days
    last, first = len(days) - 1, days.index(window.checked[0])
    return list(range(last, max(first, QUARTER_DAYS - 1) - 1, -QUARTER_DAYS))[::-1]
