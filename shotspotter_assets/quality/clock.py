"""Check of the alerts' times: exact as the city's file states, on the city's clock, and not filled in."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import dates_of, wall_clock
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE
from shotspotter_assets.quality.finding import Finding, sentence
from shotspotter_assets.quality.window import Window, blocks_back

GUNFIRE_HOURS: Final = np.array(
    [98, 87, 83, 63, 43, 26, 10, 9, 7, 8, 11, 14, 12, 16, 18, 20, 21, 28, 41, 47, 68, 84, 95, 89], dtype=np.float64
)
"""Alerts of each local hour per thousand: mean of ten US cities without firework days. Each city is within an hour of
it; police reports of shootings are within two."""
GUNFIRE_SHARES: Final = GUNFIRE_HOURS / GUNFIRE_HOURS.sum()
MIN_ALERTS: Final = 100
"""Minimum alerts of a year to check the clock: four hours off cost 0.2 nats an alert."""
MAX_SHIFT_HOURS: Final = 2
"""Maximum shift of a sound city's night from `GUNFIRE_HOURS` (2 in Philadelphia's shootings)."""
MIN_LOG_LIKELIHOOD_RATIO: Final = 20.0
"""Minimum for a wrong clock against every allowed shift."""
MONTH_DAYS: Final = 30
MIXED_SHARES: Final = (1.0, 0.5)
"""Shares of a month's alerts in the wrong zone: all, or half if a file in UTC repeats one in local time."""
MIN_MONTH_LOG_LIKELIHOOD_RATIO: Final = 30.0
"""Minimum for a wrong zone in a month; sound months of ten cities reach 29."""
MIN_SHARE_OF_BEST: Final = 0.8
"""Minimum ratio of the wrong zone, as a share of the best shift's; test shots at noon fit another shift."""
MAX_TIMES_MEAN: Final = 3
"""Maximum alerts of a counted day, as a multiple of the month's mean: one burst has one hour."""
MORNING_HOURS: Final = range(4, 10)
"""Local hours without a peak in sound records of police or sensors."""
MIN_COARSE_SHARE: Final = 0.95
"""Minimum share of coarse times: a few odd times do not make a source exact to the second."""
MAX_SHARE_AT_ONE_TIME: Final = 0.05
"""Maximum share at one time of day; a sound police source has up to 1.1% (midnight, Philadelphia)."""
CORRECT_CLOCK: Final = "correct time_zone or naive_times in the city's file and rebuild these days"
SHIFTS: Final = np.arange(-11, 13)
"""Hours by which times may be late."""
DAY_SECONDS: Final = 86_400


def clock(window: Window) -> Finding:
    """Check that times are exact as the city's file states, and on the city's clock."""
    city, alerts = window.city, window.alerts
    dates = dates_of(alerts)
    seconds = (wall_clock(alerts["time_utc"], city.zone).astype(np.int64) % (DAY_SECONDS * 10**6)) / 1e6
    hours, ordinary = (seconds // 3600).astype(np.int64), ~is_holiday_fireworks(dates)
    kind = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy()
    problems: dict[str, list[str]] = {}
    days: dict[date, float] = {}
    precision = None
    months = blocks_back(window.stored, window.checked, MONTH_DAYS)
    for block in window.blocks:
        inside = block.holds(dates)
        if inside.sum() < MIN_ALERTS:
            continue
        precision = _precision(seconds[inside])
        found = [] if precision == "day" else [_wrong_hours(hours[inside & ordinary], kind[inside & ordinary])]
        for month in months if found == [None] else []:
            inside_month = month.holds(dates) & ordinary & (kind <= UNKNOWN_TYPE_CODE)
            if block.first <= month.last <= block.last and inside_month.any():
                problem = _mixed_zones(hours[inside_month], dates[inside_month], city.zone)
                if problem is not None:
                    problems.setdefault(problem, []).append(str(month))
                    days[month.last] = float(inside_month.sum())
        if precision in {"hour", "day"} and precision != city.time_precision:
            found.append(f"all times are whole {precision}s: set time_precision in the city's file to {precision}")
        elif precision not in {"hour", "day"}:
            found.append(_filled_in(seconds[inside]))
        for problem in filter(None, found):
            problems.setdefault(problem, []).append(str(block))
            days[block.last] = float(inside.sum())
    if precision is None:
        return Finding(True, f"Fewer than {MIN_ALERTS} alerts a year: too few to check the clock.")
    if problems:
        return Finding(False, sentence(problems), {"precision": precision}, days)
    return Finding(True, f"Times are exact to the {precision}, and on the city's clock.", {"precision": precision})


def _gain(hours: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.float64]:
    shifted = np.array([np.roll(GUNFIRE_SHARES, shift) for shift in SHIFTS])
    counts = np.bincount(hours, minlength=24)
    allowed = (np.log(shifted[np.abs(SHIFTS) <= MAX_SHIFT_HOURS]) @ counts).max()
    return np.log(share * shifted + (1 - share) * GUNFIRE_SHARES) @ counts - allowed


def _mixed_zones(hours: npt.NDArray[np.int64], dates: npt.NDArray[np.datetime64], zone: ZoneInfo) -> str | None:
    _, day, counts = np.unique(dates, return_inverse=True, return_counts=True)
    hours = hours[counts[day] <= MAX_TIMES_MEAN * counts.mean()]
    gain = np.max([_gain(hours, share) for share in MIXED_SHARES], axis=0)
    offset = datetime.combine(dates[-1].astype(date), time(), zone).utcoffset() or timedelta()
    distance = round(abs(offset / timedelta(hours=1)))
    by_zone = (np.abs(np.abs(SHIFTS) - distance) <= 1) & (np.abs(SHIFTS) > MAX_SHIFT_HOURS)
    best = gain[by_zone].max(initial=-np.inf)
    if best < max(MIN_MONTH_LOG_LIKELIHOOD_RATIO, MIN_SHARE_OF_BEST * gain.max()):
        return None
    is_late = SHIFTS[by_zone & (gain == best)][0] > 0
    shift = _shift(distance if is_late else -distance)
    remedy = "land the files of these days again with corrected times, under their old names"
    return f"part or all of the times are about {shift}, as in UTC: {remedy}"


def _shift(hours: int) -> str:
    return f"{abs(hours)} hours too {'late' if hours > 0 else 'early'}"


def _precision(seconds: npt.NDArray[np.float64]) -> str:
    for name, step in (("day", DAY_SECONDS), ("hour", 3600), ("minute", 60)):
        if np.mean(seconds % step == 0) >= MIN_COARSE_SHARE:
            return name
    return "second"


def _filled_in(seconds: npt.NDArray[np.float64]) -> str | None:
    times, counts = np.unique(seconds, return_counts=True)
    share = counts.max() / len(seconds)
    if share < MAX_SHARE_AT_ONE_TIME:
        return None
    hour, minute = divmod(int(times[counts.argmax()]) // 60, 60)
    return f"{share:.0%} of the alerts are at exactly {hour:02d}:{minute:02d}, a time that was filled in"


def _wrong_hours(hours: npt.NDArray[np.int64], kind: npt.NDArray[np.int8]) -> str | None:
    """Describe wrong hours of the day; gunshots are checked by the shape of their night, other events by their peak."""
    gunshots = kind <= UNKNOWN_TYPE_CODE
    if gunshots.sum() >= MIN_ALERTS:
        gain = _gain(hours[gunshots], share=1.0)
        shift = int(SHIFTS[gain.argmax()])
        if abs(shift) > MAX_SHIFT_HOURS and gain.max() > MIN_LOG_LIKELIHOOD_RATIO:
            return f"the night is about {_shift(shift)}: {CORRECT_CLOCK}"
    others = hours[~gunshots]
    if len(others) >= MIN_ALERTS:
        three_hours = sum(np.roll(np.bincount(others, minlength=24), by) for by in (-1, 0, 1))
        peak = int(np.argmax(three_hours))
        if peak in MORNING_HOURS:
            return f"most incidents are at {peak:02d}:00 local time, when there are least: {CORRECT_CLOCK}"
    return None
