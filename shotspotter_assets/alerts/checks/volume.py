"""Checks of volume: unusual days, silences, fireworks, and the level and area of a quarter against the year before."""

from collections.abc import Callable
from datetime import date, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Final

from shotspotter_assets.alerts.checks.finding import MIN_LEVEL_DAYS, QUARTER_DAYS, Finding, named_days
from shotspotter_assets.cities.local_time import contiguous
from shotspotter_assets.storage.wording import first_of, number_of, period

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.usual import Usual
    from shotspotter_assets.alerts.checks.window import Window


NOT_ENOUGH_DAYS: Final = (
    f"No day was checked: each needs {MIN_LEVEL_DAYS} ordinary days among the days before it that this run read."
)
MAX_CHANCE_OF_MANY: Final = 1e-6
MAX_CHANCE_OF_FEW: Final = 1e-4  # larger than for many: bursts make the upper tail heavier (1 in 24,000 days)
HALF_YEAR: Final = timedelta(days=182)
MIN_ORDINARY_DAYS: Final = 30
MIN_FIREWORK_ALERTS: Final = 30
MAX_RATIO: Final = 20.0  # multiple of an ordinary day: sorted data reach 19 at New Year, unsorted ones 20 to 130


def unusual_days(window: "Window") -> Finding:
    """Check that no day is far from its usual volume, except holidays and firework days."""
    usual = window.usual_volume(window.silences)
    at_least, at_most = usual.chances()
    checked = [index for index, day in enumerate(usual.days) if day >= window.checked[0] and isfinite(at_most[index])]
    far = [index for index in checked if at_least[index] < MAX_CHANCE_OF_MANY or at_most[index] < MAX_CHANCE_OF_FEW]
    unusual = {usual.days[index]: float(usual.counts[index]) for index in far if not usual.special[index]}
    means = dict(zip(usual.days, usual.mean.tolist(), strict=True))
    described = [f"{day} ({alerts:.0f} alerts, usual {means[day]:.1f})" for day, alerts in unusual.items()]
    message = f"{number_of(len(checked), 'day')} checked; none is far from its usual volume."
    if unusual:
        message = f"{number_of(len(unusual), 'day')} far from the usual volume: {first_of(described)}."
        message += " Ask the publisher about them."
    elif not checked:
        message = NOT_ENOUGH_DAYS
    left_out = window.unknown.intersection(window.checked)
    if left_out and not unusual:  # a warning is kept, and these days may become known
        message += f" Not known, so not checked: {named_days(left_out)}."
    if expected := [usual.days[index] for index in far if usual.special[index]]:
        message += f" Expected on holidays: {named_days(expected)}."
    return Finding(not unusual, message, {"checked_days": len(checked), "expected_days": len(expected)}, unusual)


def silent_days(window: "Window") -> Finding:
    """Check that no stretch of days without alerts is longer than chance allows."""
    usual = window.usual
    first = window.checked[0]
    silent = [day for day, is_silent in zip(usual.days, usual.silences(), strict=True) if is_silent]
    missing = {day: 0.0 for day in silent if day >= first}
    stretches = [days for days in contiguous(silent) if days[-1] >= first]
    checked = slice(usual.days.index(first), None)
    if missing:
        described = "; ".join(f"{period(days[0], days[-1])} ({number_of(len(days), 'day')})" for days in stretches)
        message = f"No alert at all on {described}: the usual rate rules that out."
        message += " Ask the publisher for the missing data."
    elif any(map(isfinite, usual.quiet_mean[checked])):
        message = "No stretch without alerts is longer than chance allows."
    else:
        message = NOT_ENOUGH_DAYS
    if window.unknown:
        message += f" Unknown: {named_days(window.unknown)}."
    without_alerts = int((usual.counts[checked] == 0).sum())
    numbers = {"missing_days": len(missing), "not_known_days": len(window.unknown)}
    return Finding(not missing, message, {"days_without_alerts": without_alerts} | numbers, missing)


def firework_days(window: "Window") -> Finding:
    """Check that Independence Day and New Year are not mostly fireworks."""
    usual = window.usual
    counted = zip(usual.days, usual.counts.tolist(), window.silences, strict=True)
    counts = {day: count for day, count, is_silence in counted if isfinite(count) and not is_silence}
    occasions = _occasions(usual.days[0].year, usual.days[-1].year + 1)
    checked = {}
    for name, days in occasions.items():
        ratio = _ratio(days, counts, usual)
        if ratio is not None and any(day in window.checked for day in days):
            checked[name] = ratio
    loud = {name: ratio for name, ratio in checked.items() if ratio >= MAX_RATIO}
    since_checked = {day: count for day, count in counts.items() if day >= window.checked[0]}
    on_firework_days = sum(since_checked.get(day, 0.0) for days in occasions.values() for day in days)
    share = on_firework_days / (sum(since_checked.values()) or 1.0)
    message = "No firework day with enough alerts to check."
    if loud:
        described = ", ".join(f"{name} ({ratio:.0f} times an ordinary day)" for name, ratio in loud.items())
        remedy = "Exclude is_holiday_fireworks days from training and scores."
        message = f"Mostly fireworks: {described}; {share:.0%} of all alerts are on firework days. {remedy}"
    elif checked:
        message = f"Firework days have less than {MAX_RATIO:.0f} times the alerts of ordinary days."
    numbers = {"share_on_firework_days": round(share, 4)} | {name: round(ratio, 1) for name, ratio in checked.items()}
    loud_days = {day: ratio for name, ratio in loud.items() for day in occasions[name] if day in window.checked}
    return Finding(not loud, message, numbers, loud_days)


def _occasions(first_year: int, last_year: int) -> dict[str, list[date]]:
    """Return the days of fireworks by occasion."""
    years = range(first_year, last_year + 1)
    july = {f"July {year}": [date(year, 7, day) for day in (3, 4, 5)] for year in years}
    return july | {f"NewYear {year}": [date(year - 1, 12, 31), date(year, 1, 1)] for year in years}


def _ratio(days: list[date], counts: dict[date, float], usual: "Usual") -> float | None:
    """Return the alerts of `days` as a multiple of ordinary days in the year around them; None without enough data."""
    inside = [day for day in days if usual.days[0] <= day <= usual.days[-1]]
    loud = [counts[day] for day in inside if day in counts]
    if sum(loud) < MIN_FIREWORK_ALERTS:
        return None
    around = [day for day in counts if inside[0] - HALF_YEAR <= day < inside[-1] + HALF_YEAR]
    ordinary = [counts[day] for day in around if not usual.special[(day - usual.days[0]).days]]
    if len(ordinary) < MIN_ORDINARY_DAYS or not sum(ordinary):
        return None
    return (sum(loud) / len(loud)) / (sum(ordinary) / len(ordinary))


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

    daily = window.ordinary_incidents

    def compare(end: int) -> tuple[float, str] | None:
        """Return the ratio of the quarter up to `end` to the quarter a year before, with a text if it is far from 1."""
        stops = (end + 1, max(end + 1 - WHOLE_WEEKS_YEAR, 0))
        quarters = (daily.counts[max(stop - QUARTER_DAYS, 0) : stop] for stop in stops)
        parts = [part[np.isfinite(part)] for part in quarters]
        if min(map(len, parts)) < MIN_QUARTER_DAYS or max(part.sum() for part in parts) < MIN_QUARTER_INCIDENTS:
            return None
        now, before = ((part.sum() + 0.5) / len(part) for part in parts)
        spread = [max(float(part.var()) / max(float(part.mean()), 1e-9), 1.0) for part in parts]
        error = np.sqrt(sum(ratio / (part.sum() + 0.5) for ratio, part in zip(spread, parts, strict=True)))
        change = abs(np.log(now / before))
        if change < np.log(MAX_LEVEL_RATIO) or change / error < MIN_STANDARD_ERRORS:
            return 0.0, ""
        quarter = f"{now:.1f} incidents on an ordinary day of the quarter to {daily.days[end]}"
        return float(now / before), f"{quarter}, {before:.1f} a year before"

    sound = "No quarter has several times the incidents of a year before, or a fraction."
    remedy = "Find out whether sensors or the source changed, and train on the days since then."
    return _finding(window, compare, sound, "The level of incidents changed", remedy)


def new_area(window: "Window") -> Finding:
    """Check that incidents on ordinary days occur in the area of the year before."""
    import numpy as np
    from scipy.special import bdtrc

    from shotspotter_assets.grid.cells import cell_numbers, cells_at

    daily = window.ordinary_incidents
    longitude, latitude = (window.incidents[name].to_numpy() for name in ("longitude", "latitude"))
    ordinary = np.isin(window.incident_dates, np.array(daily.days, dtype="datetime64[D]")[np.isfinite(daily.counts)])
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
        share = f"{new.mean():.0%} of the incidents on ordinary days of the quarter to {daily.days[end]}"
        number = number_of(len(np.unique(now[new])), "cell")
        where = f"{number} without one on ordinary days of the year before (usual {unseen:.0%})"
        return round(float(new.mean()), 3), f"{share} are in {where}"

    sound = "Incidents on ordinary days come from the same area as in the year before."
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
