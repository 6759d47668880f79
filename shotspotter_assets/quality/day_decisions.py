"""The state of each day of a city: the rules of `known_days`, and a hold on days that are far from the usual.

A day with more than `MAX_RATIO` times the usual number of alerts plus one is held back until a person accepts it, or stands
above the forecast, as `unusual_days` of the city's file says. Days of fireworks and public holidays pass. So do the first
days of a city, which has no usual number yet.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

import numpy as np

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.quality.usual import usual_volume
from shotspotter_assets.sources.day_table import Day, DayRows, DayTable, Decision, Found
from shotspotter_assets.sources.day_words import Words
from shotspotter_assets.sources.known_days import LEVEL_DAYS, Decisions, SourceReport, decide_days

MAX_RATIO: Final = 50  # the largest real one is 23: 205 alerts in Springfield, MA, on 30 June 2012, usual are 7.9


def day_decisions(city: City, reports: Sequence[SourceReport], words: Words, found: Found, last: date) -> Decisions:
    """Return the state of each day to `last`, and why; see `decide_days` for `reports` and `found`."""
    decisions = decide_days(city, reports, words.quiet, found, last)
    counts = tuple(
        _usable(found.get(day)) if decision.state in ("known", "silent") else np.nan
        for day, decision in decisions.items()
    )
    for at, mean in _unusual(city.holidays, city.start, counts, frozenset(words.accepted)).items():
        day = city.start + timedelta(days=at)
        alerts = f"{counts[at]:,} alerts are {counts[at] / max(mean, 0.1):,.0f} times the usual {mean:.1f}"
        said = f"{alerts}; if they are right, run: shotspotter accept {city.name} {day}"
        decisions[day] = Decision("held_back" if city.unusual_days == "hold" else "known", said, is_unusual=True)
    return decisions


def unusual_sentences(table: DayTable) -> list[str]:
    """Return a sentence for each unusual day that counts, and may still lift the forecast."""
    newest = list(table.days.items())[-LEVEL_DAYS:]
    return [f"{at}: {day.why}." for at, day in newest if day.is_unusual and day.is_counted]


def _usable(rows: Day | DayRows | None) -> int:
    return rows.rows - rows.rejected if rows is not None else 0


@lru_cache(maxsize=64)  # sensors ask every few seconds
def _unusual(holidays: str, start: date, counts: tuple[float, ...], accepted: frozenset[date]) -> dict[int, float]:
    """Return the usual number of alerts of the days that are far above it by position, learned without such days."""
    is_far = np.zeros(len(counts), dtype=bool)
    if not any(count > MAX_RATIO for count in counts):
        return {}
    days = days_between(start, start + timedelta(days=len(counts) - 1))
    while True:
        usual = usual_volume(dict(zip(days, counts, strict=True)), days, holidays, is_far)
        is_above = ~usual.special & (usual.counts > MAX_RATIO * (usual.mean + 1))
        is_above &= np.array([day not in accepted for day in days])
        if not (is_above & ~is_far).any():
            return {at: float(usual.mean[at]) for at in np.flatnonzero(is_far).tolist()}
        is_far |= is_above
