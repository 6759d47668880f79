"""The hours of gunfire in a sound city, and the likelihood of a wrong time zone compared with them."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from shotspotter_assets.storage.arrays import Array, Days, Integers

GUNFIRE_HOURS: Final = np.array(
    [98, 87, 83, 63, 43, 26, 10, 9, 7, 8, 11, 14, 12, 16, 18, 20, 21, 28, 41, 47, 68, 84, 95, 89], dtype=np.float64
)
"""Alerts of each local hour per thousand: mean of ten US cities without firework days. Each city is within an hour of
it; police reports of shootings are within two."""
GUNFIRE_SHARES: Final = GUNFIRE_HOURS / GUNFIRE_HOURS.sum()
SHIFTS: Final = np.arange(-11, 13)  # hours by which times may be late
MAX_SHIFT_HOURS: Final = 2  # maximum shift of a sound city's night from `GUNFIRE_HOURS` (2 in Philadelphia's shootings)
ALL: Final = (1.0,)  # share of the alerts in the wrong zone: all of them
ALL_OR_HALF: Final = (1.0, 0.5)  # or half of them, if a file in UTC repeats one
MIN_LOG_LIKELIHOOD_RATIO: Final = 30.0  # minimum for a wrong zone; sound months in ten cities reach 29
MIN_SHARE_OF_BEST: Final = 0.8  # minimum of the wrong zone's ratio to the best shift's: test shots at noon fit another
MAX_TIMES_MEAN: Final = 3  # maximum alerts of a counted day, as a multiple of the month's mean: one burst has one hour
REMEDY: Final = "correct naive_times in the city's file, or land the files of these days again with corrected times"


def wrong_zone(hours: Integers, dates: Days, zone: ZoneInfo, shares: Sequence[float]) -> str | None:
    """Describe hours (gunshots, by local date) of which one of the `shares` is off by the zone's offset from UTC.

    The offset is that of standard time; one hour more or less counts as well.
    """
    _, day_number, counts = np.unique(dates, return_inverse=True, return_counts=True)
    hours = hours[counts[day_number] <= MAX_TIMES_MEAN * counts.mean()]
    gain = np.max([_gain(hours, share) for share in shares], axis=0)
    midnight = datetime.combine(dates[-1].astype(date), time(), zone)
    offset = (midnight.utcoffset() or timedelta()) - (midnight.dst() or timedelta())
    distance = round(abs(offset / timedelta(hours=1)))
    by_zone = (np.abs(np.abs(SHIFTS) - distance) <= 1) & (np.abs(SHIFTS) > MAX_SHIFT_HOURS)
    best = gain[by_zone].max(initial=-np.inf)
    if best < max(MIN_LOG_LIKELIHOOD_RATIO, MIN_SHARE_OF_BEST * gain.max()):
        return None
    shift = f"{distance} hours too {'late' if SHIFTS[by_zone & (gain == best)][0] > 0 else 'early'}"
    part = "part or all of the times are" if min(shares) < 1 else "the night is"
    return f"{part} about {shift}, as in UTC: {REMEDY}"


def _gain(hours: Integers, share: float) -> Array:
    """Return for each of `SHIFTS` the log likelihood ratio of a `share` of the hours being shifted."""
    shifted = np.array([np.roll(GUNFIRE_SHARES, shift) for shift in SHIFTS])
    counts = np.bincount(hours, minlength=24)
    allowed = (np.log(shifted[np.abs(SHIFTS) <= MAX_SHIFT_HOURS]) @ counts).max()
    return np.log(share * shifted + (1 - share) * GUNFIRE_SHARES) @ counts - allowed
