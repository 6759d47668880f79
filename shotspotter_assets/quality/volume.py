"""Checks of daily alerts: unusual days, silences, and fireworks."""

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.quality.finding import Finding, named_days, number_of
from shotspotter_assets.quality.usual import MIN_HISTORY_DAYS, Usual, runs, silences
from shotspotter_assets.quality.window import Window

MAX_CHANCE_OF_MANY: Final = 1e-6
MAX_CHANCE_OF_FEW: Final = 1e-4
"""Probability under the negative binomial law below which a day is far from usual. Bursts make the upper tail heavier
(1 in 24,000 days of sixteen data sets), but not the lower one."""
MAX_DAYS_DESCRIBED: Final = 5
NOT_ENOUGH_DAYS: Final = f"Not enough days to check yet: {MIN_HISTORY_DAYS} ordinary days must be stored before a day."
HALF_YEAR_DAYS: Final = 182
MIN_ORDINARY_DAYS: Final = 30
MIN_ALERTS: Final = 30
MAX_RATIO: Final = 20.0
"""Maximum alerts as a multiple of an ordinary day's. Sorted data reach 10 around 4 July and 19 at New Year; unsorted
data have 20 to 130."""


def unusual_days(window: Window) -> Finding:
    """Check that no day is far from its usual volume, except holidays and fireworks."""
    from scipy.special import betainc, betaincc

    usual = window.usual_without_silences
    size, probability = 1 / usual.dispersion, 1 / (1 + usual.dispersion * usual.mean)
    with np.errstate(invalid="ignore"):
        # Tails of the negative binomial distribution (DLMF 8.17.24), without the load time of `scipy.stats`.
        many = (usual.counts > 0) & (betaincc(size, np.maximum(usual.counts, 1), probability) < MAX_CHANCE_OF_MANY)
        few = betainc(size, usual.counts + 1, probability) < MAX_CHANCE_OF_FEW
    checked = np.array([day >= window.checked[0] for day in usual.days])
    checked &= np.isfinite(size * probability * usual.counts)
    far = checked & (many | few)
    unusual = {usual.days[at]: float(usual.counts[at]) for at in np.flatnonzero(far & ~usual.special)}
    expected = [usual.days[at] for at in np.flatnonzero(far & usual.special)]
    described = [
        f"{usual.days[at]} ({usual.counts[at]:.0f} alerts, usual {usual.mean[at]:.1f})"
        for at in np.flatnonzero(far & ~usual.special)[:MAX_DAYS_DESCRIBED]
    ]
    if len(unusual) > len(described):
        described.append(f"and {len(unusual) - len(described):,} more")
    message = f"{number_of(int(checked.sum()), 'day')} checked; none is far from its usual volume."
    if unusual:
        message = f"{number_of(len(unusual), 'day')} far from the usual volume: {', '.join(described)}."
        message += " Ask the publisher about them."
    elif not checked.any():
        message = NOT_ENOUGH_DAYS
    if expected:
        message += f" Expected on holidays: {named_days(expected)}."
    numbers: dict[str, float | int | str] = {"checked_days": int(checked.sum()), "expected_days": len(expected)}
    return Finding(not unusual, message, numbers, unusual)


def silent_days(window: Window) -> Finding:
    """Check that no run of silent days is one that the usual rate rules out."""
    usual, first, last = window.usual, window.checked[0], window.checked[-1]
    silent = silences(usual)
    missing = {usual.days[at]: 0.0 for at in np.flatnonzero(silent) if first <= usual.days[at] <= last}
    described = [
        f"{usual.days[start]} to {usual.days[stop - 1]} ({stop - start} days)"
        for start, stop in runs(silent)
        if usual.days[stop - 1] >= first
    ]
    unknown = sorted(window.unknown)
    without_alerts = int(sum(usual.counts[at] == 0 for at, day in enumerate(usual.days) if day >= first))
    message = (
        f"No alert at all from {'; from '.join(described)}: the usual rate rules that out. Ask the publisher for the "
        "missing data."
        if missing
        else "No stretch without alerts is longer than chance allows."
        if np.isfinite(usual.quiet_mean[usual.days.index(first) :]).any()
        else NOT_ENOUGH_DAYS
    )
    if unknown:
        message += f" {unknown[0]} to {unknown[-1]} are not published yet."
    numbers = {"days_without_alerts": without_alerts, "missing_days": len(missing), "not_known_days": len(unknown)}
    return Finding(not missing, message, {**numbers}, missing)


def firework_days(window: Window) -> Finding:
    """Check that Independence Day and New Year are not mostly fireworks."""
    usual, first, last = window.known_alerts, window.checked[0], window.checked[-1]
    ratios = _ratios(usual)
    checked = {name: pair for name, pair in ratios.items() if any(first <= day <= last for day in pair[0])}
    loud = {name: pair for name, pair in checked.items() if pair[1] >= MAX_RATIO}
    inside = np.array([day >= first for day in usual.days])
    on_firework_days = is_holiday_fireworks(np.array(usual.days, dtype="datetime64[D]"))
    total = np.nansum(usual.counts[inside])
    share = float(np.nansum(usual.counts[inside & on_firework_days]) / total) if total else 0.0
    message = "No firework day with enough alerts to check."
    if checked:
        message = f"Firework days have less than {MAX_RATIO:.0f} times the alerts of ordinary days."
    if loud:
        described = ", ".join(f"{name} ({ratio:.0f} times an ordinary day)" for name, (_, ratio) in loud.items())
        message = (
            f"Mostly fireworks: {described}; {share:.0%} of all alerts are on firework days. Exclude is_holiday_fireworks days "
            "from training and scores."
        )
    numbers: dict[str, float | int | str] = {"share_on_firework_days": round(share, 4)}
    numbers |= {name: round(ratio, 1) for name, (_, ratio) in checked.items()}
    loud_days = {day: ratio for days, ratio in loud.values() for day in days if first <= day <= last}
    return Finding(not loud, message, numbers, loud_days)


def _ratios(usual: Usual) -> dict[str, tuple[list[date], float]]:
    """Return days and ratio to ordinary days of each Independence Day and New Year with enough data."""
    ratios: dict[str, tuple[list[date], float]] = {}
    occasions = {f"July {year}": [date(year, 7, day) for day in (3, 4, 5)] for year in _years(usual)}
    occasions |= {f"NewYear {year}": [date(year - 1, 12, 31), date(year, 1, 1)] for year in _years(usual)}
    positions = {day: at for at, day in enumerate(usual.days)}
    for name, occasion in occasions.items():
        at = [positions[day] for day in occasion if day in positions]
        counts = usual.counts[at] if at else np.empty(0)
        if not at or np.isnan(counts).all() or np.nansum(counts) < MIN_ALERTS:
            continue
        near = slice(max(at[0] - HALF_YEAR_DAYS, 0), at[-1] + HALF_YEAR_DAYS)
        ordinary: npt.NDArray[np.float64] = usual.counts[near][~usual.special[near]]
        if np.isfinite(ordinary).sum() >= MIN_ORDINARY_DAYS and np.nanmean(ordinary) > 0:
            ratios[name] = (occasion, float(np.nanmean(counts) / np.nanmean(ordinary)))
    return ratios


def _years(usual: Usual) -> range:
    return range(usual.days[0].year, usual.days[-1].year + 2)
