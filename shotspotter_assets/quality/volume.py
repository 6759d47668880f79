"""Checks of daily alerts: unusual days, silences, and fireworks."""

from datetime import date, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Final

from shotspotter_assets.quality.check import check
from shotspotter_assets.quality.finding import Finding, named_days, number_of

if TYPE_CHECKING:
    from shotspotter_assets.quality.usual import Usual
    from shotspotter_assets.quality.window import Window

MAX_CHANCE_OF_MANY: Final = 1e-6
MAX_CHANCE_OF_FEW: Final = 1e-4
"""Probability under the negative binomial law below which a day is far from usual. Bursts make the upper tail heavier
(1 in 24,000 days of sixteen data sets), but not the lower one."""
MAX_DAYS_DESCRIBED: Final = 5
HALF_YEAR: Final = timedelta(days=182)
MIN_ORDINARY_DAYS: Final = 30
MIN_ALERTS: Final = 30
MAX_RATIO: Final = 20.0
"""Maximum alerts as a multiple of an ordinary day's. Sorted data reach 10 around 4 July and 19 at New Year; unsorted
data have 20 to 130."""


@check()
def unusual_days(window: "Window") -> Finding:
    """Check that no day is far from its usual volume, except holidays and firework days."""
    from shotspotter_assets.quality.usual import NOT_ENOUGH_DAYS, chances

    usual = window.usual_without_silences
    at_least, at_most = chances(usual)
    checked = [at for at, day in enumerate(usual.days) if day >= window.checked[0] and isfinite(at_most[at])]
    far = [at for at in checked if at_least[at] < MAX_CHANCE_OF_MANY or at_most[at] < MAX_CHANCE_OF_FEW]
    unusual = [at for at in far if not usual.special[at]]
    described = [
        f"{usual.days[at]} ({usual.counts[at]:.0f} alerts, usual {usual.mean[at]:.1f})"
        for at in unusual[:MAX_DAYS_DESCRIBED]
    ]
    if len(unusual) > len(described):
        described.append(f"and {len(unusual) - len(described):,} more")
    message = f"{number_of(len(checked), 'day')} checked; none is far from its usual volume."
    if unusual:
        message = f"{number_of(len(unusual), 'day')} far from the usual volume: {', '.join(described)}."
        message += " Ask the publisher about them."
    elif not checked:
        message = NOT_ENOUGH_DAYS
    if expected := [usual.days[at] for at in far if usual.special[at]]:
        message += f" Expected on holidays: {named_days(expected)}."
    numbers = {"checked_days": len(checked), "expected_days": len(expected)}
    return Finding(not unusual, message, numbers, {usual.days[at]: float(usual.counts[at]) for at in unusual})


@check()
def silent_days(window: "Window") -> Finding:
    """Check that no stretch of days without alerts is longer than chance allows."""
    from shotspotter_assets.quality.usual import NOT_ENOUGH_DAYS, runs, silences

    usual, first, last = window.usual, window.checked[0], window.checked[-1]
    silent = silences(usual)
    missing = {day: 0.0 for day, flag in zip(usual.days, silent, strict=True) if flag and first <= day <= last}
    described = [
        f"{usual.days[start]} to {usual.days[stop - 1]} ({stop - start} days)"
        for start, stop in runs(silent)
        if usual.days[stop - 1] >= first
    ]
    unknown = sorted(window.unknown)
    checked = slice(usual.days.index(first), None)
    if missing:
        message = f"No alert at all from {'; from '.join(described)}: the usual rate rules that out."
        message += " Ask the publisher for the missing data."
    elif any(map(isfinite, usual.quiet_mean[checked])):
        message = "No stretch without alerts is longer than chance allows."
    else:
        message = NOT_ENOUGH_DAYS
    if unknown:
        message += f" {unknown[0]} to {unknown[-1]} are not published yet."
    without_alerts = int((usual.counts[checked] == 0).sum())
    numbers = {"days_without_alerts": without_alerts, "missing_days": len(missing), "not_known_days": len(unknown)}
    return Finding(not missing, message, numbers, missing)


@check()
def firework_days(window: "Window") -> Finding:
    """Check that Independence Day and New Year are not mostly fireworks."""
    usual, first, last = window.usual, window.checked[0], window.checked[-1]
    counted = zip(usual.days, usual.counts.tolist(), window.silences, strict=True)
    counts = {day: count for day, count, is_silence in counted if isfinite(count) and not is_silence}
    years = range(usual.days[0].year, usual.days[-1].year + 2)
    occasions = {f"July {year}": [date(year, 7, day) for day in (3, 4, 5)] for year in years}
    occasions |= {f"NewYear {year}": [date(year - 1, 12, 31), date(year, 1, 1)] for year in years}
    checked = {
        name: ratio
        for name, days in occasions.items()
        if any(first <= day <= last for day in days) and (ratio := _ratio(days, counts, usual)) is not None
    }
    loud = {name: ratio for name, ratio in checked.items() if ratio >= MAX_RATIO}
    total = sum(count for day, count in counts.items() if day >= first)
    on_them = sum(counts.get(day, 0.0) for days in occasions.values() for day in days if day >= first)
    share = on_them / total if total else 0.0
    message = "No firework day with enough alerts to check."
    if checked:
        message = f"Firework days have less than {MAX_RATIO:.0f} times the alerts of ordinary days."
    if loud:
        described = ", ".join(f"{name} ({ratio:.0f} times an ordinary day)" for name, ratio in loud.items())
        message = (
            f"Mostly fireworks: {described}; {share:.0%} of all alerts are on firework days. Exclude is_holiday_fireworks days "
            "from training and scores."
        )
    numbers = {"share_on_firework_days": round(share, 4)} | {name: round(ratio, 1) for name, ratio in checked.items()}
    loud_days = {day: ratio for name, ratio in loud.items() for day in occasions[name] if first <= day <= last}
    return Finding(not loud, message, numbers, loud_days)


def _ratio(days: list[date], counts: dict[date, float], usual: "Usual") -> float | None:
    """Return the alerts of `days` as a multiple of ordinary days' in the year around; None without enough data."""
    inside = [day for day in days if usual.days[0] <= day <= usual.days[-1]]
    loud = [counts[day] for day in inside if day in counts]
    if sum(loud) < MIN_ALERTS:
        return None
    since, until = inside[0] - HALF_YEAR, inside[-1] + HALF_YEAR
    ordinary = [
        counts[day]
        for day, is_special in zip(usual.days, usual.special, strict=True)
        if since <= day < until and not is_special and day in counts
    ]
    if len(ordinary) < MIN_ORDINARY_DAYS or not sum(ordinary):
        return None
    return (sum(loud) / len(loud)) / (sum(ordinary) / len(ordinary))
