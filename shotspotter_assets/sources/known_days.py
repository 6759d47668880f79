"""Which of a city's days are known: of which the source has said what happened, be it nothing.

A day is known if it has rows or a later day has, if it came in a daily file or from a simulation, if the source answers
at once, or if the silence since the last row is plausible at the city's usual rate and the rule of publication does not
say that its rows are yet to come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City

KNOWN: Final = "known"
"""Key of the schema's metadata of a day's stored tables, with a `DayState`."""

DayState = Literal["answered", "silent", "unknown"]
"""`answered`: the source has said what happened; `silent`: it had no row, which was plausible then; `unknown`: not yet."""

MIN_CHANCE: Final = 1e-3
"""Of a silence, below which it is taken for days that are not published yet."""

YEAR_DAYS: Final = 365
LEVEL_DAYS: Final = 56
MIN_DISPERSION: Final = 0.05
MAX_DISPERSION: Final = 2.0
CAP_QUANTILE: Final = 0.98
"""Counts above it are cut, so that the Fourth of July does not make silence plausible."""


@dataclass(frozen=True)
class KnownDays:
    """The last known day, and why the days after it are not known, or the silent ones before it are."""

    through: date
    why: str


def known_days(
    city: City, first: date, counts: npt.NDArray[np.integer], states: Mapping[date, str] | None = None
) -> KnownDays:
    """The known ones of contiguous days, as of the day after the last of them.

    Args:
        city: how its source publishes.
        first: the first day.
        counts: rows of each day, shape (days,).
        states: the `DayState` that was stored of silent days at the end, where there is one.
    """
    last = first + timedelta(days=len(counts) - 1)
    with_rows = np.flatnonzero(counts)
    newest = first + timedelta(days=int(with_rows[-1])) if len(with_rows) else first - timedelta(days=1)
    if newest == last:
        return KnownDays(last, "The last day has rows.")
    silent = [newest + timedelta(days=at + 1) for at in range((last - newest).days)]
    answered = [day for day in silent if (states or {}).get(day) == "answered"]
    through = max([newest, *answered])
    if through == last or answers_fully(city):
        return KnownDays(last, "The source has said that there was nothing.")
    unknown = [day for day in silent if day > through and (states or {}).get(day) == "unknown"]
    complete = city.publication.complete_through(last + timedelta(days=1))
    bound = min([last, *([complete] if complete is not None else []), *(day - timedelta(days=1) for day in unknown)])
    if bound <= through:
        return KnownDays(through, f"The source has no row after {newest}, and later ones are yet to come.")
    days = (last - newest).days
    chance = silence_chance(counts[: len(counts) - days], days)
    if chance < MIN_CHANCE:
        return KnownDays(through, f"{days} days without a row since {newest} are no chance at the city's usual rate.")
    return KnownDays(bound, f"{days} days without a row since {newest} are plausible at the city's usual rate.")


def answers_fully(city: City) -> bool:
    """Whether each answer of the city's sources is complete: simulations, and gateways that answer at once."""
    return city.publication.answers_at_once or all(source.kind == "simulated" for source in city.all_sources)


def silence_chance(counts: npt.NDArray[np.integer], days: int) -> float:
    """Of so many days without a row after days with `counts`, whose last year tells what is usual.

    Negative binomial: days vary around the mean of the eight weeks about them by more than chance does.
    """
    year = counts[-YEAR_DAYS:].astype(np.float64)
    if not year.any():
        return 1.0
    capped = np.minimum(year, max(np.ceil(np.quantile(year, CAP_QUANTILE)), 1))
    width = min(LEVEL_DAYS, len(capped))
    window = np.ones(width)
    level = np.convolve(capped, window, "same") / np.convolve(np.ones(len(capped)), window, "same")
    excess = float(((capped - level) ** 2 - level).sum() / max((level**2).sum(), 1e-9))
    dispersion = min(max(excess, MIN_DISPERSION), MAX_DISPERSION)
    mean = min(float(capped.mean()), float(capped[-LEVEL_DAYS:].mean()))
    return float(np.exp(-days * np.log1p(dispersion * mean) / dispersion))
