"""The usual level of a city: expected alerts of each day, the longest usual silence, and chances of deviations.

The usual hours of gunfire show times in a wrong zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np

from shotspotter_assets.alerts.checks.finding import MIN_LEVEL_DAYS
from shotspotter_assets.alerts.days.known_days import (
    CAP_QUANTILE,
    LEVEL_DAYS,
    MIN_CHANCE_OF_REPORTED,
    MIN_DISPERSION,
    MIN_SILENCE_DAYS,
    YEAR_DAYS,
    silences,
)
from shotspotter_assets.grid.dates import month_days, public_holidays, weekdays
from shotspotter_assets.storage.arrays import Array, Booleans, Days, Integers

if TYPE_CHECKING:
    import pandas as pd


QUIET_QUANTILE: Final = 0.05  # quantile of the year's eight-week means, for silences in quiet winters
FIREWORK_SEASONS: Final = ((701, 707), (1230, 1231), (101, 102))  # first and last day (month * 100 + day)


@dataclass(frozen=True)
class Usual:
    """Expected alerts of contiguous days, each learned from earlier days alone; arrays have shape (days,)."""

    days: list[date]
    counts: Array
    special: Booleans
    mean: Array  # NaN, as is `dispersion`, for too short a history
    quiet_mean: Array  # mean of the quietest eight weeks of the year before
    dispersion: Array  # variance = mean + dispersion * mean squared

    def silences(self) -> Booleans:
        """Flag days in silent runs too long to be chance, given the usual volume before the run; shape (days,)."""
        result = np.zeros(len(self.days), dtype=bool)
        for run in silences(self.counts):
            result[run.start : run.stop] = _is_impossible(
                self.quiet_mean[run.start], self.dispersion[run.start], len(run)
            )
        return result

    def all_silences(self) -> Booleans:
        """Flag `silences`, and early ones that the days after them rule out; shape (days,)."""
        result = self.silences()
        for run in silences(self.counts)[::-1]:
            after = self.counts[run.stop :][~(self.special | result)[run.stop :]]
            after = after[np.isfinite(after)]
            if np.isfinite(self.quiet_mean[run.start] * self.dispersion[run.start]) or len(after) < LEVEL_DAYS:
                continue
            mean = max(float(after.mean()), 1e-3)
            dispersion = max((float(after.var()) - mean) / mean**2, MIN_DISPERSION)
            quiet = np.quantile(np.convolve(after, np.full(LEVEL_DAYS, 1 / LEVEL_DAYS), "valid"), QUIET_QUANTILE)
            result[run.start : run.stop] = _is_impossible(quiet, dispersion, len(run))
        return result

    def chances(self) -> tuple[Array, Array]:
        """Return the probabilities of at least and of at most each day's count (negative binomial, DLMF 8.17.24)."""
        from scipy.special import betainc, betaincc

        size = 1 / self.dispersion
        probability = 1 / (1 + self.dispersion * self.mean)
        at_least = np.where(self.counts > 0, betaincc(size, np.maximum(self.counts, 1), probability), 1.0)
        return at_least, betainc(size, self.counts + 1, probability)


def special_days(days: Sequence[date], country: str) -> Booleans:
    """Flag days of fireworks, and public holidays with the days around them (nights span two days); shape (days,)."""
    dates = np.array(days, dtype="datetime64[D]")
    public = public_holidays(country, dates)
    one_day = np.timedelta64(1, "D")
    special = np.isin(dates, np.concatenate([public - one_day, public, public + one_day]))
    for first, last in FIREWORK_SEASONS:
        special |= (month_days(dates) >= first) & (month_days(dates) <= last)
    return special


def usual_volume(
    counts: Mapping[date, float], days: list[date], holidays: str, missing: Booleans | bool = False
) -> Usual:
    """Return the usual volume of each of the contiguous `days`, learned from the days before it.

    The level is the mean of eight weeks, the weekday's factor that of a year (shrunk by a month's worth of days), the
    dispersion the method of moments over a year. Special, unlisted and `missing` days are left out.
    """
    import pandas as pd

    special = special_days(days, holidays)
    number = np.array([counts.get(day, np.nan) for day in days], dtype=np.float64)
    ordinary = pd.Series(np.where(special | np.isnan(number) | missing, np.nan, number))
    cap = ordinary.rolling(YEAR_DAYS, min_periods=MIN_LEVEL_DAYS).quantile(CAP_QUANTILE).shift(1)
    capped = np.minimum(ordinary, np.maximum(np.ceil(cap), 1).fillna(np.inf))
    year_mean = capped.rolling(YEAR_DAYS, min_periods=MIN_LEVEL_DAYS).mean().shift(1)
    factor = _weekday_factor(capped, year_mean, weekdays(np.array(days, dtype="datetime64[D]")))
    level = (capped / factor).rolling(LEVEL_DAYS, min_periods=LEVEL_DAYS // 2).mean()
    mean = np.maximum(level.shift(1) * factor, 1e-3)
    excess = ((capped - mean) ** 2 - mean).rolling(YEAR_DAYS, min_periods=MIN_LEVEL_DAYS).sum().shift(1)
    square = (mean**2).where(capped.notna()).rolling(YEAR_DAYS, min_periods=MIN_LEVEL_DAYS).sum().shift(1)
    quiet = level.rolling(YEAR_DAYS, min_periods=1).quantile(QUIET_QUANTILE).shift(1)
    dispersion = (excess / square).clip(lower=MIN_DISPERSION).to_numpy()
    mean = mean.where(year_mean.notna())
    return Usual(days, number, special, mean.to_numpy(), np.minimum(quiet, mean).to_numpy(), dispersion)


def _is_impossible(mean: float, dispersion: float, days: int) -> bool:
    """Flag a silence that a negative binomial law rules out; False if mean or dispersion is NaN."""
    chance = np.exp(-days * np.log1p(dispersion * mean) / dispersion)
    return days >= MIN_SILENCE_DAYS and chance < MIN_CHANCE_OF_REPORTED


def _weekday_factor(capped: "pd.Series[float]", year_mean: "pd.Series[float]", weekday: Integers) -> "pd.Series[float]":
    import pandas as pd

    factor = pd.Series(1.0, index=capped.index)
    weeks = YEAR_DAYS / 7
    prior = 4  # weeks, at the level of all weekdays
    for number in range(7):
        weekday_mean = capped.where(weekday == number).rolling(YEAR_DAYS, min_periods=8).mean().shift(1)
        share = (weekday_mean / year_mean * weeks + prior) / (weeks + prior)
        factor = factor.where(weekday != number, share)
    return factor.fillna(1.0).clip(0.3, 3.0)


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
