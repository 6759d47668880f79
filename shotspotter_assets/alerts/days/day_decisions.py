"""The state of each day of a city: the rules of `known_days`, and a hold on days that are far from the usual.

A day with more than `MAX_RATIO` * (usual number + 1) alerts is held back until a person accepts it, or is used, depending on
`unusual_days` in the city's file. Used days with more than `NOTED_RATIO` * (usual number + 1) are named above the forecast.
Ordinary days are usual if they are like earlier ordinary days, days around fireworks and public holidays if they are like
those of earlier years. Days without such a history pass.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import numpy as np

from shotspotter_assets.alerts.checks.usual import usual_volume
from shotspotter_assets.alerts.days.day_table import Day, DayRows, DayTable, Decision, Found
from shotspotter_assets.alerts.days.day_words import Words
from shotspotter_assets.alerts.days.known_days import HAS_ROWS, LEVEL_DAYS, Decisions, SourceReport, decide_days
from shotspotter_assets.alerts.sources.snapshot import Snapshot
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.storage.wording import first_of

MAX_RATIO: Final = 20  # holds one of 33,000 real days: Springfield, MA, 30 June 2012, 205 alerts, usually 7.9
SEASON_DAYS: Final = 350  # minimum age of days of fireworks and holidays by which others are judged: those of last year
ACCEPTED: Final = Decision("known", "A person accepts its number of alerts.")
NOTED_RATIO: Final = 5  # names 137 of those days, 100 of them of fireworks and holidays


def day_decisions(city: City, reports: Sequence[SourceReport], words: Words, found: Found, last: date) -> Decisions:
    """Return the state of each day up to `last`, with the reason; see `decide_days` for `reports` and `found`."""
    decisions = decide_days(city, reports, words.quiet, found, last)
    accepted = {day for day in words.accepted if day in found and decisions.get(day) == HAS_ROWS}
    decisions |= dict.fromkeys(accepted, ACCEPTED)
    counts = tuple(
        _usable(found.get(day)) if decision.state in ("known", "silent") else np.nan
        for day, decision in decisions.items()
    )
    for index, mean in _unusual(city.holidays, city.start, counts, frozenset(words.accepted)).items():
        day = city.start + timedelta(days=index)
        alerts = f"{counts[index]:,} alerts are far above the usual {mean:.1f}"
        said = f"{alerts}; if they are right, run: shotspotter accept {city.name} {day}."
        decisions[day] = Decision("held_back" if city.unusual_days == "hold" else "known", said, is_unusual=True)
    return decisions


def snapshot_decisions(
    city: City, snapshot: Snapshot, table: DayTable, last: date, read: Mapping[date, DayRows] = MappingProxyType({})
) -> Decisions:
    """Return the state of each day up to `last` from stored rows, rows in a snapshot, and rows `read` just now."""
    rows = {**snapshot.day_rows(table, snapshot.stored_days(table)), **read}
    return day_decisions(city, snapshot.reports, snapshot.words, rows, last)


def unusual_sentences(holidays: str, table: DayTable) -> list[str]:
    """Return sentences about days with far more alerts than usual that count, and may still lift the forecast."""
    newest = dict(list(table.days.items())[-LEVEL_DAYS:])
    counts = {key: float(_usable(day)) for key, day in table.days.items() if day.is_counted}
    if not any(counts.get(day, 0) > NOTED_RATIO for day in newest):
        return []
    usual = usual_volume(counts, days_between(min(counts), max(counts)), holidays)
    is_far = usual.counts > NOTED_RATIO * (usual.mean + 1)
    means = {day: mean for day, mean, far in zip(usual.days, usual.mean, is_far, strict=True) if far and day in newest}
    waiting = [f"{key}: {day.why}" for key, day in newest.items() if day.is_unusual and day.is_counted]
    passed = [day for day in reversed(means) if not newest[day].is_unusual]
    noted = [f"{day.day} {day:%B %Y} ({counts[day]:,.0f}, usually {means[day]:.1f})" for day in passed]
    return [*waiting, *([f"Far more alerts than usual: {first_of(noted)}."] if noted else [])]


def _usable(rows: Day | DayRows | None) -> int:
    return rows.rows - rows.rejected if rows is not None else 0


@lru_cache(maxsize=64)  # sensors ask every few seconds
def _unusual(holidays: str, start: date, counts: tuple[float, ...], accepted: frozenset[date]) -> dict[int, float]:
    """Return the usual number of alerts, learned without unusual days, for each unusual day by its position."""
    is_far = np.zeros(len(counts), dtype=bool)
    if not any(count > MAX_RATIO for count in counts):
        return {}
    import pandas as pd

    days = days_between(start, start + timedelta(days=len(counts) - 1))
    while True:
        usual = usual_volume(dict(zip(days, counts, strict=True)), days, holidays, is_far)
        loudest = (
            pd.Series(np.where(usual.special & ~is_far, usual.counts, np.nan)).expanding().max().shift(SEASON_DAYS)
        )
        level = np.where(usual.special, np.maximum(loudest, usual.mean), usual.mean)
        is_above = usual.counts > MAX_RATIO * (level + 1)
        is_above &= np.array([day not in accepted for day in days])
        if not (is_above & ~is_far).any():
            return {index: float(level[index]) for index in np.flatnonzero(is_far).tolist()}
        is_far |= is_above
