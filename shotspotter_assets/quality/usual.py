"""What is usual for a city: the alerts to expect on each day, the days far from it, silent stretches, late cities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from shotspotter_assets.calendar.public_holidays import public_holidays
from shotspotter_assets.calendar.weekdays import weekdays
from shotspotter_assets.calendar.year import month_days
from shotspotter_assets.cities.city import City
from shotspotter_assets.quality.finding import Finding, named_days

LEVEL_DAYS: Final = 56
"""The present level is the mean of the eight weeks before: short enough to follow the seasons, long enough to be known
to about 10% at ten alerts a day."""

YEAR_DAYS: Final = 365
MIN_DAYS: Final = 56
"""Days of history, without holidays, that a day needs to be judged."""

CAP_QUANTILE: Final = 0.98
"""Counts above this quantile of the year before are cut to it, so that one extreme day does not widen what is usual."""

MIN_DISPERSION: Final = 0.05
"""Least (variance - mean) / mean squared of a day: the steadiest city (New York's shootings) has 0.05. A forecast of
the level is never exact."""

UNUSUALLY_MANY: Final = 1e-6
UNUSUALLY_FEW: Final = 1e-4
"""Probability, under the usual negative binomial law, below which a day is far from usual. Bursts give the upper tail
more days than the law has (see docs/data.md for the measured rate); the lower tail has none."""

IMPOSSIBLE_SILENCE: Final = 1e-6
"""Probability below which a run of silent days is taken for missing data."""

MIN_SILENT_DAYS: Final = 3
"""A shorter silence is a matter of `unusual_days`; many publishers are two days late."""

QUIETEST: Final = 0.05
"""Silence is judged against the quietest eight weeks of the year before (this quantile), as winters are quiet."""

ENDED_DAYS: Final = 365
"""A source that is silent for longer than a year is not late: it has ended."""

FIREWORK_SEASONS: Final = ((701, 707), (1230, 1231), (101, 102))
"""(month, day) as month * 100 + day, first and last, of the days around Independence Day and New Year on which
fireworks make many alerts: about as early and late as the real data show."""


@dataclass(frozen=True)
class Usual:
    """What was to be expected of each of contiguous days, from the days before it alone.

    All arrays are of shape (days,): `mean` and `dispersion` (variance = mean + dispersion * mean squared) are NaN where
    the history is too short; `quiet_mean` is the mean of the quietest eight weeks of the year before.
    """

    days: list[date]
    counts: npt.NDArray[np.float64]
    special: npt.NDArray[np.bool_]
    mean: npt.NDArray[np.float64]
    quiet_mean: npt.NDArray[np.float64]
    dispersion: npt.NDArray[np.float64]


def special_days(days: Sequence[date], country: str) -> npt.NDArray[np.bool_]:
    """Days of fireworks, and public holidays with the day before and after (a night belongs to both); shape (days,).

    Args:
        days: contiguous days.
        country: `US`, or with a subdivision `US-DC`.
    """
    dates = np.array(days, dtype="datetime64[D]")
    public = public_holidays(country, dates)
    special = np.isin(dates, np.concatenate([public - 1, public, public + 1]))
    for first, last in FIREWORK_SEASONS:
        special |= (month_days(dates) >= first) & (month_days(dates) <= last)
    return special


def usual_volume(
    counts: Mapping[date, int], days: Sequence[date], city: City, missing: npt.NDArray[np.bool_] | None = None
) -> Usual:
    """The usual volume of each of contiguous `days`, from those before it.

    The level is the mean over the eight weeks before, the weekday's factor that of the year before (shrunk by a month's
    worth of days), the dispersion the method of moments over the year before. Special days and days that are not in
    `counts` or `missing` teach nothing.
    """
    special = special_days(days, city.holidays)
    number = np.array([counts.get(day, np.nan) for day in days], dtype=np.float64)
    unknown = np.isnan(number) | (missing if missing is not None else False)
    ordinary = pd.Series(np.where(special | unknown, np.nan, number))
    cap = ordinary.rolling(YEAR_DAYS, min_periods=MIN_DAYS).quantile(CAP_QUANTILE).shift(1)
    capped = np.minimum(ordinary, np.maximum(np.ceil(cap), 1).fillna(np.inf))
    of_year = capped.rolling(YEAR_DAYS, min_periods=MIN_DAYS).mean().shift(1)
    factor = _weekday_factor(capped, of_year, weekdays(np.array(days, dtype="datetime64[D]")))
    level = (capped / factor).rolling(LEVEL_DAYS, min_periods=LEVEL_DAYS // 2).mean()
    mean = np.maximum(level.shift(1) * factor, 1e-3)
    excess = ((capped - mean) ** 2 - mean).rolling(YEAR_DAYS, min_periods=MIN_DAYS).sum().shift(1)
    square = (mean**2).where(capped.notna()).rolling(YEAR_DAYS, min_periods=MIN_DAYS).sum().shift(1)
    quiet = level.rolling(YEAR_DAYS, min_periods=1).quantile(QUIETEST).shift(1)
    dispersion = (excess / square).clip(lower=MIN_DISPERSION)
    mean = mean.where(of_year.notna())
    return Usual(
        list(days), number, special, mean.to_numpy(), np.minimum(quiet, mean).to_numpy(), dispersion.to_numpy()
    )


def unusual_days(usual: Usual, stretch: Sequence[date]) -> Finding:
    """Days of the stretch far from their usual volume; holidays and firework days are named as expected."""
    from scipy.stats import nbinom

    size, probability = 1 / usual.dispersion, 1 / (1 + usual.dispersion * usual.mean)
    with np.errstate(invalid="ignore"):
        many = nbinom.sf(usual.counts - 1, size, probability) < UNUSUALLY_MANY
        few = nbinom.cdf(usual.counts, size, probability) < UNUSUALLY_FEW
    inside = np.array([day >= stretch[0] for day in usual.days])
    judged = inside & np.isfinite(size * probability * usual.counts)
    far = judged & (many | few)
    found = {usual.days[at]: float(usual.counts[at]) for at in np.flatnonzero(far & ~usual.special)}
    expected = [usual.days[at] for at in np.flatnonzero(far & usual.special)]
    of_day = [
        f"{usual.days[at]} ({usual.counts[at]:.0f} alerts, usual {usual.mean[at]:.1f})"
        for at in np.flatnonzero(far & ~usual.special)[:5]
    ]
    message = (
        f"{len(found):,} days are far from their usual volume: {', '.join(of_day)}. Compare them with the publisher; if it "
        "says otherwise, materialise raw_alerts for them again. If the numbers are right, leave them, and know that they "
        "weigh on training."
        if found
        else f"{judged.sum():,} days judged, none is far from its usual volume."
    )
    if expected:
        message += f" Expected on holidays: {named_days(expected)}."
    return Finding(
        "unusual_days", not found, message, {"judged_days": int(judged.sum()), "expected_days": len(expected)}, found
    )


def silences(usual: Usual) -> npt.NDArray[np.bool_]:
    """Days within runs of silent days that are too long to be chance, shape (days,); the usual is that before the run."""
    silent = usual.counts == 0
    edges = np.flatnonzero(np.diff(np.r_[False, silent, False]))
    found = np.zeros(len(silent), dtype=bool)
    for start, end in edges.reshape(-1, 2):
        if end - start >= MIN_SILENT_DAYS and _probability_of_silence(usual, start, end - start) < IMPOSSIBLE_SILENCE:
            found[start:end] = True
    return found


def silent_days(usual: Usual, stretch: Sequence[date]) -> Finding:
    """Runs of days without an alert that the usual rate rules out."""
    gap = silences(usual)
    edges = np.flatnonzero(np.diff(np.r_[False, gap, False])).reshape(-1, 2)
    found = {
        day: 0.0 for day, silent in zip(usual.days, gap, strict=True) if silent and stretch[0] <= day <= stretch[-1]
    }
    runs = [
        f"{usual.days[start]} to {usual.days[end - 1]} ({end - start} days)"
        for start, end in edges
        if usual.days[end - 1] >= stretch[0]
    ]
    silent = int(sum(usual.counts[at] == 0 for at, day in enumerate(usual.days) if day >= stretch[0]))
    message = (
        f"No alert at all from {'; from '.join(runs)}: the usual rate rules that out, so the data are missing. Ask the "
        "publisher; until they come, leave these days out of training and tests."
        if found
        else "No stretch without alerts that is longer than chance allows."
    )
    return Finding(
        "silent_days", not found, message, {"days_without_alerts": silent, "missing_days": len(found)}, found
    )


def late_by(usual: Usual, last_day_over: date) -> int | None:
    """Days since the last day with alerts when chance does not explain them, else None.

    Args:
        usual: of the stored days.
        last_day_over: yesterday, on the city's clock.
    """
    with_alerts = np.flatnonzero(usual.counts > 0)
    if len(with_alerts) == 0:
        return None
    silence = (last_day_over - usual.days[with_alerts[-1]]).days
    after = min(with_alerts[-1] + 1, len(usual.days) - 1)
    if silence < MIN_SILENT_DAYS:
        return None
    if not np.isfinite(usual.quiet_mean[after] * usual.dispersion[after]):
        return silence
    return silence if _probability_of_silence(usual, after, silence) < UNUSUALLY_FEW else None


def late_cities(cities: Mapping[str, Usual | None], last_days_over: Mapping[str, date]) -> Finding:
    """Cities whose newest alerts are older than their rhythm allows; sources silent for a year have ended.

    Args:
        cities: the usual volume of each city's stored raw alerts, None where nothing is stored.
        last_days_over: yesterday on each city's clock.
    """
    late: dict[str, int] = {}
    ended: dict[str, int] = {}
    for name, usual in cities.items():
        silence = None if usual is None else late_by(usual, last_days_over[name])
        if silence is not None:
            (ended if silence > ENDED_DAYS else late)[name] = silence
    of_city = ", ".join(
        f"{name} ({silence} days, usual {cities[name].mean[-1]:.1f} alerts a day)"  # type: ignore[union-attr]
        for name, silence in sorted(late.items(), key=lambda item: -item[1])
    )
    message = (
        f"Late: {of_city}. See whether the publisher has newer alerts and whether raw_alerts was materialised for the last "
        "days; forecasts of these cities rest on old data."
        if late
        else f"{len(cities)} cities looked at, none is late."
    )
    if ended:
        message += f" Ended more than a year ago: {', '.join(sorted(ended))}."
    numbers: dict[str, float | int | str] = {f"days_late_{name}": silence for name, silence in late.items()}
    return Finding("late_cities", not late, message, numbers)


def _weekday_factor(capped: pd.Series, of_year: pd.Series, weekday: npt.NDArray[np.int64]) -> pd.Series:
    """Each day's weekday mean over the year before as a share of the mean of all days, shrunk towards 1."""
    factor = pd.Series(1.0, index=capped.index)
    weeks, prior = YEAR_DAYS / 7, 4
    for number in range(7):
        of_weekday = capped.where(weekday == number).rolling(YEAR_DAYS, min_periods=8).mean().shift(1)
        share = (of_weekday / of_year * weeks + prior) / (weeks + prior)
        factor = factor.where(weekday != number, share)
    return factor.fillna(1.0).clip(0.3, 3.0)


def _probability_of_silence(usual: Usual, start: int, days: int) -> float:
    """Of `days` days without an alert from day `start` on: days are independent given the quietest usual level."""
    mean, dispersion = usual.quiet_mean[start], usual.dispersion[start]
    if not np.isfinite(mean * dispersion):
        return 1.0
    return float(np.exp(-days * np.log1p(dispersion * mean) / dispersion))
