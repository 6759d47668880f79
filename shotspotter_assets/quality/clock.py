"""Check of the alerts' times: exact as the city's file states, on the city's clock, and not filled in."""

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Final

from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE
from shotspotter_assets.quality.check import check
from shotspotter_assets.quality.finding import Finding, sentence

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from shotspotter_assets.quality.window import Window

MIN_ALERTS: Final = 100
"""Minimum alerts of a year to check the clock: four hours off cost 0.2 nats an alert."""
MONTH_DAYS: Final = 30
MIN_COARSE_SHARE: Final = 0.95
"""Minimum share of coarse times: a few odd times do not make a source exact to the second."""
MAX_SHARE_AT_ONE_TIME: Final = 0.05
"""Maximum share at one time of day; a sound police source has up to 1.1% (midnight, Philadelphia)."""
DAY_SECONDS: Final = 86_400


@check(alerts=["time_utc", "gunshot_type"])
def clock(window: "Window") -> Finding:
    """Check that times are as exact as the city's file states, on the city's clock, and not filled in."""
    from shotspotter_assets.calendar.dates import dates_of, is_holiday_fireworks, wall_clock
    from shotspotter_assets.quality.night import mixed_zones, wrong_hours

    city, alerts = window.city, window.alerts
    dates = dates_of(alerts)
    seconds = (wall_clock(alerts["time_utc"], city.zone).astype("int64") % (DAY_SECONDS * 10**6)) / 1e6
    hours, ordinary = (seconds // 3600).astype("int64"), ~is_holiday_fireworks(dates)
    is_gunshot = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy() <= UNKNOWN_TYPE_CODE
    problems: dict[str, list[str]] = {}
    days: dict[date, float] = {}
    precision = None
    for block in window.blocks():
        inside = block.holds(dates)
        if inside.sum() < MIN_ALERTS:
            continue
        precision = _precision(seconds[inside])
        found = []
        if precision != "day":
            of_block = inside & ordinary
            found.append(wrong_hours(hours[of_block & is_gunshot], hours[of_block & ~is_gunshot], MIN_ALERTS))
        for month in window.blocks(MONTH_DAYS) if found == [None] else []:
            inside_month = month.holds(dates) & ordinary & is_gunshot
            if block.first <= month.last <= block.last and inside_month.any():
                problem = mixed_zones(hours[inside_month], dates[inside_month], city.zone)
                if problem is not None:
                    problems.setdefault(problem, []).append(str(month))
                    days[month.last] = float(inside_month.sum())
        if precision not in {"hour", "day"}:
            found.append(_filled_in(seconds[inside]))
        elif precision != city.time_precision:
            found.append(f"all times are whole {precision}s: set time_precision in the city's file to {precision}")
        for problem in filter(None, found):
            problems.setdefault(problem, []).append(str(block))
            days[block.last] = float(inside.sum())
    if precision is None:
        return Finding(True, f"Fewer than {MIN_ALERTS} alerts a year: too few to check the clock.")
    message = sentence(problems) if problems else f"Times are exact to the {precision}, and on the city's clock."
    return Finding(not problems, message, {"precision": precision}, days)


def _precision(seconds: "npt.NDArray[np.float64]") -> str:
    for name, step in (("day", DAY_SECONDS), ("hour", 3600), ("minute", 60)):
        if (seconds % step == 0).mean() >= MIN_COARSE_SHARE:
            return name
    return "second"


def _filled_in(seconds: "npt.NDArray[np.float64]") -> str | None:
    time, count = max(Counter(seconds.tolist()).items(), key=lambda item: (item[1], -item[0]))
    if count / len(seconds) < MAX_SHARE_AT_ONE_TIME:
        return None
    hour, minute = divmod(int(time) // 60, 60)
    return f"{count / len(seconds):.0%} of the alerts are at exactly {hour:02d}:{minute:02d}, a time that was filled in"
