"""Independence Day (3-5 July) and New Year (31 December, 1 January): how many times an ordinary day's alerts each has."""

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.usual import Usual
from shotspotter_assets.quality.window import Window

HALF_YEAR_DAYS: Final = 182
MIN_ORDINARY_DAYS: Final = 30
MIN_ALERTS: Final = 30

MAX_RATIO: Final = 20.0
"""Times the ordinary day's alerts. Where firework sounds are sorted out, the days around 4 July have 1 to 10 times as
many as others and New Year up to 19 times; where they are not, 20 to 130 times."""

MAX_COMPARABLE_FACTOR: Final = 4.0
"""Years whose firework days differ by more than this cannot be compared."""


def firework_days(window: Window) -> Finding:
    """Independence Day and New Year are not mostly fireworks."""
    usual, first, last = window.known_alerts, window.judged[0], window.judged[-1]
    ratios = _ratios(usual)
    judged = {
        name: (days, ratio) for name, (days, ratio) in ratios.items() if any(first <= day <= last for day in days)
    }
    loud = {name: pair for name, pair in judged.items() if pair[1] >= MAX_RATIO}
    inside = np.array([day >= first for day in usual.days])
    on_firework_days = is_holiday_fireworks(np.array(usual.days, dtype="datetime64[D]"))
    total = np.nansum(usual.counts[inside])
    share = float(np.nansum(usual.counts[inside & on_firework_days]) / total) if total else 0.0
    message = "Firework days are not far above others, or the stretch has none."
    if loud:
        message = (
            "Mostly fireworks: "
            + ", ".join(f"{name} ({ratio:.0f} times an ordinary day)" for name, (_, ratio) in loud.items())
            + f"; {share:.0%} of all alerts are on firework days. Leave is_holiday_fireworks days out of training and scores"
        )
        quiet = [
            name
            for name, (_, ratio) in ratios.items()
            if any(
                name.split()[0] == other.split()[0] and ratio * MAX_COMPARABLE_FACTOR < loud[other][1] for other in loud
            )
        ]
        message += f"; not comparable with {', '.join(quiet)}." if quiet else "."
    numbers: dict[str, float | int | str] = {"share_on_firework_days": round(share, 4)}
    numbers |= {name: round(ratio, 1) for name, (_, ratio) in judged.items()}
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
