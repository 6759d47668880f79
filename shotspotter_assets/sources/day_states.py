"""Which of the days that a run has read are known: what the sources have later rows for, and what the store has seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.alert_source import AlertSource
from shotspotter_assets.sources.known_days import (
    YEAR_DAYS,
    DayState,
    answers_fully,
    known_days,
    learned_days_late,
    silent_at_end,
)
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Partition, Store

ARRIVAL_DAYS: Final = 120
"""Stored days from whose arrivals lateness is learned."""

RAW: Final = "raw_alerts"


@dataclass(frozen=True)
class DayStates:
    """The days without rows at the end of a run, and how late the source publishes."""

    states: dict[date, DayState]
    why: str
    """Why those days are known, or not."""
    publishes: str
    """In words; empty where nothing is known of it."""


def day_states(
    store: Store, city: City, readers: Sequence[AlertSource], rows: pa.Table, days: Sequence[date]
) -> DayStates:
    """What is known of contiguous days that were read just now, before they are stored.

    Of several sources, the first one tells which days are known.

    Args:
        rows: `RAW_SCHEMA`, all rows of the days.

    Raises:
        SourceError: the source cannot be read, or not understood.
    """
    late, publishes = _lateness(store, city, rows, days)
    silent = silent_at_end(rows["date"], days)
    if not silent:
        return DayStates({}, "", publishes)
    told = None if answers_fully(city) else readers[0].newest_day()
    yesterday = today(city.zone) - timedelta(days=1)
    # Of a source that tells its newest row, the days after the run are silent too.
    last = days[-1] if told is None or told > days[-1] else max(days[-1], min(yesterday, city.end or yesterday))
    with_rows = max(rows["date"].unique().to_pylist(), default=None)
    newest = max((day for day in (told, with_rows, _newest_stored(store, city, days[-1])) if day), default=None)
    named = readers[0].named_days()
    answered = {day for day in silent if answers_fully(city) or day in named or (newest is not None and day <= newest)}
    states: dict[date, DayState] = dict.fromkeys(answered, "answered")
    if len(answered) == len(silent):
        return DayStates(states, "The source has said that there was nothing.", publishes)
    first, counts = _counts(store, city, rows, days, last)
    complete = city.publication.complete_through(yesterday + timedelta(days=1))
    if complete is None and late is not None:
        complete = yesterday - timedelta(days=late)
    known = known_days(city, first, counts, states, complete)
    states |= {day: "silent" if day <= known.through else "unknown" for day in silent if day not in answered}
    return DayStates(states, known.why, publishes)


def _lateness(store: Store, city: City, rows: pa.Table, days: Sequence[date]) -> tuple[int | None, str]:
    """(days late as learned from the arrivals, in words); the city's file is not asked for what it says."""
    publication = city.publication
    if publication.is_given:
        period = publication.every or (f"{publication.period_days} days" if publication.period_days else None)
        together = f", a {period} at a time" if period else ""
        return None, f"{publication.days_late or 0} days late{together}, as the city's file says"
    if city.source.kind == "simulated":
        return None, ""
    stored = _stored_before(store, city, days[0], ARRIVAL_DAYS, "received_at")
    seen = rows.select(["date", "received_at"])
    if stored is not None:
        seen = pa.concat_tables([stored.cast(seen.schema), seen])
    late = learned_days_late(seen["date"].to_numpy().astype("datetime64[D]"), seen["received_at"], city)
    return late, "" if late is None else f"about {late} days late, as its rows have come so far"


def _newest_stored(store: Store, city: City, after: date) -> date | None:
    """The newest stored day with rows after those of the run; None without one."""
    later = sorted((day for day in store.days_present(RAW, city.name, ALERTS_FILE) if day > after), reverse=True)
    for day in later:
        if store.read_table(Partition(RAW, city.name, "date", day), ALERTS_FILE, ["received_row"]).num_rows:
            return day
    return None


def _counts(
    store: Store, city: City, rows: pa.Table, days: Sequence[date], last: date
) -> tuple[date, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """(first day, rows of each day to `last`), from the stored days of the year before and those of the run."""
    stored = _stored_before(store, city, days[0], YEAR_DAYS, "received_row")
    since = days[0] if stored is None else max(city.start, days[0] - timedelta(days=YEAR_DAYS))
    tables = [rows] if stored is None else [stored, rows]
    dates = np.concatenate([table["date"].to_numpy().astype("datetime64[D]") for table in tables])
    at = (dates - np.datetime64(since, "D")).astype(np.int64)
    return since, np.bincount(at[at >= 0], minlength=(last - since).days + 1).astype(np.int64)


def _stored_before(store: Store, city: City, day: date, days: int, column: str) -> pa.Table | None:
    """A column of the rows stored of the days before a day; None of none, or where a file is damaged."""
    first, last = max(city.start, day - timedelta(days=days)), day - timedelta(days=1)
    try:
        return store.read_present(RAW, city.name, ALERTS_FILE, first, last, [column]) if first <= last else None
    except CorruptObjectError:
        return None
