"""Checks of quarters against the year before: level and area of the incidents."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.alerts.checks.spans import QUARTER_DAYS

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.window import Window

WHOLE_WEEKS_YEAR: Final = 364  # between compared quarters: whole weeks, so that equal weekdays are compared
MIN_QUARTER_INCIDENTS: Final = 30
NOT_ENOUGH_QUARTERS: Final = (
    f"Not enough days or incidents to check yet: a quarter of {MIN_QUARTER_INCIDENTS} incidents, and the year before."
)
MIN_QUARTER_DAYS: Final = 60
MAX_LEVEL_RATIO: Final = 3.0  # in a year: New York's gunfire doubled in 2020; three times is a change of measuring
MIN_STANDARD_ERRORS: Final = 4.0  # minimum standard errors of the log ratio, with the days' own dispersion
MIN_NEW_SHARE: Final = 0.12  # beyond the usual, of a quarter's incidents in cells silent for the year before
MAX_RATIO_TO_UNSEEN: Final = 2.0
MAX_NEW_CHANCE: Final = 1e-6  # maximum chance of as many in silent cells at `MAX_RATIO_TO_UNSEEN` times the usual share


def level_change(window: "Window") -> Finding:
    """Check that no quarter has several times the incidents of the year before, or a fraction."""
    import numpy as np

    daily = window.incidents_outside_silences
    counts = np.where(daily.special, np.nan, daily.counts)

    def compare(end: int) -> tuple[float, str] | None:
        """Return the ratio of the quarter up to `end` to the quarter a year before, with a text if it is far from 1."""
        stops = (end + 1, max(end + 1 - WHOLE_WEEKS_YEAR, 0))
        quarters = (counts[max(stop - QUARTER_DAYS, 0) : stop] for stop in stops)
        parts = [part[np.isfinite(part)] for part in quarters]
        if min(map(len, parts)) < MIN_QUARTER_DAYS or max(part.sum() for part in parts) < MIN_QUARTER_INCIDENTS:
            return None
        now, before = ((part.sum() + 0.5) / len(part) for part in parts)
        spread = [max(float(part.var()) / max(float(part.mean()), 1e-9), 1.0) for part in parts]
        error = np.sqrt(sum(ratio / (part.sum() + 0.5) for ratio, part in zip(spread, parts, strict=True)))
        change = abs(np.log(now / before))
        if change < np.log(MAX_LEVEL_RATIO) or change / error < MIN_STANDARD_ERRORS:
            return 0.0, ""
        quarter = f"{now:.1f} incidents a day in the quarter to {daily.days[end]}"
        return float(now / before), f"{quarter}, {before:.1f} a year before"

    sound = "No quarter has several times the incidents of a year before, or a fraction."
    remedy = "Find out whether sensors or the source changed, and train on the days since then."
    return _finding(window, compare, sound, "The level of incidents changed", remedy)


def new_area(window: "Window") -> Finding:
    """Check that incidents occur in the area of the year before."""
    import numpy as np
    from scipy.special import bdtrc

    from shotspotter_assets.grid.cells import cell_numbers, cells_at

    daily = window.incidents_outside_silences
    longitude, latitude = (window.incidents[name].to_numpy() for name in ("longitude", "latitude"))
    ordinary = ~np.isin(window.incident_dates, np.array(daily.days, dtype="datetime64[D]")[daily.special])
    row, column = cells_at(window.city, longitude, latitude)
    cell = cell_numbers(window.city, row, column)[ordinary]
    dates = window.incident_dates[ordinary]

    def compare(end: int) -> tuple[float, str] | None:
        """Return the share of the quarter's incidents in cells without one in the year before, with a text if unusual."""
        last = np.datetime64(daily.days[end])
        middle, first = (last - np.timedelta64(days, "D") for days in (QUARTER_DAYS, QUARTER_DAYS + WHOLE_WEEKS_YEAR))
        counts_before = daily.counts[max(end - QUARTER_DAYS - WHOLE_WEEKS_YEAR, 0) : end - QUARTER_DAYS + 1]
        now = cell[(dates > middle) & (dates <= last)]
        before = cell[(dates > first) & (dates <= middle)]
        too_few = min(len(now), len(before)) < MIN_QUARTER_INCIDENTS
        if too_few or np.isfinite(counts_before).sum() < WHOLE_WEEKS_YEAR * 2 // 3:
            return None
        cells_before, times = np.unique(before, return_counts=True)
        # The share of incidents that are alone in their cell estimates the share in unseen cells (Good 1953).
        unseen = float((times == 1).sum() / len(before))
        new = ~np.isin(now, cells_before)
        chance = bdtrc(new.sum() - 1, len(now), min(MAX_RATIO_TO_UNSEEN * unseen, 1.0))
        if new.mean() < unseen + MIN_NEW_SHARE or chance >= MAX_NEW_CHANCE:
            return 0.0, ""
        share = f"{new.mean():.0%} of the incidents of the quarter to {daily.days[end]}"
        where = f"{len(np.unique(now[new]))} cells without one in the year before (usual {unseen:.0%})"
        return round(float(new.mean()), 3), f"{share} are in {where}"

    sound = "Alerts come from the same area as in the year before."
    remedy = "Give the dates of new sensors in `coverage` of the city's file, or train on the days since."
    return _finding(window, compare, sound, "The area grew", remedy)


def _finding(
    window: "Window", compare: Callable[[int], tuple[float, str] | None], sound: str, problem: str, remedy: str
) -> Finding:
    """Compare quarters by their end in `usual.days`; `compare` returns number and text, None for too few incidents."""
    days = window.usual.days
    first = max(days.index(window.checked[0]), QUARTER_DAYS - 1)
    ends = range(len(days) - 1, first - 1, -QUARTER_DAYS)[::-1]
    compared = {days[end]: result for end in ends if (result := compare(end))}
    changes = {day: result for day, result in compared.items() if result[1]}
    changed = f"{problem}: {'; '.join(text for _, text in changes.values())}. {remedy}"
    message = changed if changes else sound if compared else NOT_ENOUGH_QUARTERS
    numbers = {day: number for day, (number, _) in changes.items()}
    return Finding(not changes, message, {"quarters": len(changes)}, numbers)
