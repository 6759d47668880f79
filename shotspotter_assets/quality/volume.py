"""Checks of the alerts by day: days far from their usual volume, silences, and days of fireworks."""

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
"""Probability, under the usual negative binomial law, below which a day is far from usual. Bursts give the upper tail
more days than the law has (1 in 24,000 days of sixteen data sets); the lower tail has none."""
MAX_DAYS_DESCRIBED: Final = 5

NOT_ENOUGH_DAYS: Final = f"Not enough days to check yet: {MIN_HISTORY_DAYS} ordinary days must be stored before a day."

HALF_YEAR_DAYS: Final = 182
MIN_ORDINARY_DAYS: Final = 30
MIN_ALERTS: Final = 30

MAX_RATIO: Final = 20.0
"""Times the ordinary day's alerts. Where firework sounds are sorted out, the days around 4 July have 1 to 10 times as
many as others and New Year up to 19 times; where they are not, 20 to 130 times."""


def unusual_days(window: Window) -> Finding:
    """No day is far from its usual volume; holidays and fireworks are expected."""
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
        message = (
            f"{number_of(len(unusual), 'day')} far from the usual volume: {', '.join(described)}. Ask the "
            "publisher about them."
        )
    elif not checked.any():
        message = NOT_ENOUGH_DAYS
    if expected:
        message += f" Expected on holidays: {named_days(expected)}."
    numbers: dict[str, float | int | str] = {"checked_days": int(checked.sum()), "expected_days": len(expected)}
    return Finding(not unusual, message, numbers, unusual)


def silent_days(window: Window) -> Finding:
    """No run of days without alerts that the usual rate rules out."""
    usual, first, last = window.usual, window.checked[0], window.checked[-1]
    silent = silences(usual)
    missing = {
        day: 0.0 for day, is_silent in zip(usual.days, silent, strict=True) if is_silent and first <= day <= last
    }
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
    return Finding(
        not missing,
        message,
        {"days_without_alerts": without_alerts, "missing_days": len(missing), "not_known_days": len(unknown)},
        missing,
    )


def firework_days(window: Window) -> Finding:
    """Independence Day and New Year are not mostly fireworks."""
    usual, first, last = window.known_alerts, window.checked[0], window.checked[-1]
    ratios = _ratios(usual)
    checked = {
        name: (days, ratio) for name, (days, ratio) in ratios.items() if any(first <= day <= last for day in days)
    }
    loud = {name: pair for name, pair in checked.items() if pair[1] >= MAX_RATIO}
    inside = np.array([day >= first for day in usual.days])
    on_firework_days = is_holiday_fireworks(np.array(usual.days, dtype="datetime64[D]"))
    total = np.nansum(usual.counts[inside])
    share = float(np.nansum(usual.counts[inside & on_firework_days]) / total) if total else 0.0
    message = (
        f"Firework days have less than {MAX_RATIO:.0f} times the alerts of ordinary days."
        if checked
        else "No firework day with enough alerts to check."
    )
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
    """Days and ratio to ordinary days within half a year, of each Independence Day and New Year with enough data."""
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
