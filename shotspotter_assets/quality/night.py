"""The hours of gunfire in a sound city, and likelihoods of a wrong clock compared with them."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from shotspotter_assets.arrays import Array, Days, Integers

GUNFIRE_HOURS: Final = np.array(
    [98, 87, 83, 63, 43, 26, 10, 9, 7, 8, 11, 14, 12, 16, 18, 20, 21, 28, 41, 47, 68, 84, 95, 89], dtype=np.float64
)
"""Alerts of each local hour per thousand: mean of ten US cities without firework days. Each city is within an hour of
it; police reports of shootings are within two."""
GUNFIRE_SHARES: Final = GUNFIRE_HOURS / GUNFIRE_HOURS.sum()
SHIFTS: Final = np.arange(-11, 13)  # hours by which times may be late
MAX_SHIFT_HOURS: Final = 2  # maximum shift of a sound city's night from `GUNFIRE_HOURS` (2 in Philadelphia's shootings)
MIN_CLOCK_LOG_LIKELIHOOD_RATIO: Final = 20.0
MIXED_SHARES: Final = (1.0, 0.5)  # shares of a month's alerts in the wrong zone: half if a file in UTC repeats one
MIN_MONTH_LOG_LIKELIHOOD_RATIO: Final = 30.0  # minimum for a wrong zone in a month; sound months of ten cities reach 29
MIN_SHARE_OF_BEST: Final = 0.8  # minimum of the wrong zone's ratio to the best shift's: test shots at noon fit another
MAX_TIMES_MEAN: Final = 3  # maximum alerts of a counted day, as a multiple of the month's mean: one burst has one hour
MORNING_HOURS: Final = range(4, 10)  # local hours without a peak in sound records of police or sensors
MIN_PEAK_DEVIATIONS: Final = 4.0  # standard deviations of a peak over hours that are all alike, which have no clock
CORRECT_CLOCK: Final = "correct time_zone or naive_times in the city's file and rebuild these days"


def wrong_hours(gunshots: Integers, others: Integers, min_alerts: int) -> str | None:
    """Describe wrong hours of the day: gunshots are checked by the shape of their night, other events by their peak."""
    if len(gunshots) >= min_alerts:
        gain = _gain(gunshots, share=1.0)
        shift = int(SHIFTS[gain.argmax()])
        if abs(shift) > MAX_SHIFT_HOURS and gain.max() > MIN_CLOCK_LOG_LIKELIHOOD_RATIO:
            return f"the night is about {_shift(shift)}: {CORRECT_CLOCK}"
    if len(others) >= min_alerts:
        three_hours = np.sum([np.roll(np.bincount(others, minlength=24), by) for by in (-1, 0, 1)], axis=0)
        peak = int(np.argmax(three_hours))
        even = len(others) / 8  # three of 24 hours
        if peak in MORNING_HOURS and three_hours[peak] > even + MIN_PEAK_DEVIATIONS * np.sqrt(even * 7 / 8):
            return f"most incidents are at {peak:02d}:00 local time, when there are least: {CORRECT_CLOCK}"
    return None


def mixed_zones(hours: Integers, dates: Days, zone: ZoneInfo) -> str | None:
    """Describe a month of which all or half of the times are off by the zone's distance to UTC."""
    _, day, counts = np.unique(dates, return_inverse=True, return_counts=True)
    hours = hours[counts[day] <= MAX_TIMES_MEAN * counts.mean()]
    gain = np.max([_gain(hours, share) for share in MIXED_SHARES], axis=0)
    offset = datetime.combine(dates[-1].astype(date), time(), zone).utcoffset() or timedelta()
    distance = round(abs(offset / timedelta(hours=1)))
    by_zone = (np.abs(np.abs(SHIFTS) - distance) <= 1) & (np.abs(SHIFTS) > MAX_SHIFT_HOURS)
    best = gain[by_zone].max(initial=-np.inf)
    if best < max(MIN_MONTH_LOG_LIKELIHOOD_RATIO, MIN_SHARE_OF_BEST * gain.max()):
        return None
    shift = _shift(distance if SHIFTS[by_zone & (gain == best)][0] > 0 else -distance)
    remedy = "land the files of these days again with corrected times, under their old names"
    return f"part or all of the times are about {shift}, as in UTC: {remedy}"


def _gain(hours: Integers, share: float) -> Array:
    """Return for each of `SHIFTS` the log likelihood ratio of a `share` of the hours being shifted."""
    shifted = np.array([np.roll(GUNFIRE_SHARES, shift) for shift in SHIFTS])
    counts = np.bincount(hours, minlength=24)
    allowed = (np.log(shifted[np.abs(SHIFTS) <= MAX_SHIFT_HOURS]) @ counts).max()
    return np.log(share * shifted + (1 - share) * GUNFIRE_SHARES) @ counts - allowed


def _shift(hours: int) -> str:
    return f"{abs(hours)} hours too {'late' if hours > 0 else 'early'}"
