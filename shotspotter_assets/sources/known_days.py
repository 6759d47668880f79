"""The known days of a city: days for which the source has reported, be it no alerts.

A day is known if it has rows or a later day has, if it came in a daily file or from a simulation, if the source answers
at once, or if the silence since the last row is plausible at the city's usual rate and the rule of publication does not
say that its rows are yet to come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.local_time import dates_of, local_dates, today
from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.alert_source import AlertSource
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Partition, Store

KNOWN: Final = "known"
"""Key of the schema's metadata of a day's stored tables, with a `DayState`."""

DayState = Literal["answered", "silent", "unknown"]
"""`answered`: the source has said what happened; `silent`: it had no row, which was plausible then; `unknown`: not yet."""

MIN_CHANCE: Final = 1e-3
"""Silences less likely than this count as days that are not published yet."""

YEAR_DAYS: Final = 365
ARRIVAL_DAYS: Final = 120
"""Stored days from whose arrivals lateness is learned."""

LEVEL_DAYS: Final = 56
MIN_DISPERSION: Final = 0.05
MAX_DISPERSION: Final = 2.0
MIN_ARRIVALS: Final = 5
"""Days on which newer rows came, from which on lateness is learned."""

CAP_QUANTILE: Final = 0.98
"""Counts above it are cut, so that the Fourth of July does not make silence plausible."""


@dataclass(frozen=True)
class KnownDays:
    """The last known day, and why the days after it are not known, or the silent ones before it are."""

    through: date
    why: str


def known_days(
    city: City,
    first: date,
    counts: npt.NDArray[np.integer],
    states: Mapping[date, str] | None = None,
    complete_through: date | None = None,
) -> KnownDays:
    """The known ones of contiguous days, as of the day after the last of them.

    Args:
        city: how its source publishes.
        first: the first day.
        counts: rows of each day, shape (days,).
        states: the `DayState` that was stored of silent days at the end, where there is one.
        complete_through: see `complete_through`; by default the rule of the city's file on the day after the last.
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
    complete = complete_through or city.publication.complete_through(last + timedelta(days=1))
    bound = min([last, *([complete] if complete is not None else []), *(day - timedelta(days=1) for day in unknown)])
    if bound <= through:
        return KnownDays(through, f"The source has no row after {newest}, and later ones are yet to come.")
    days = (last - newest).days
    chance = silence_chance(counts[: len(counts) - days], days)
    if chance < MIN_CHANCE:
        return KnownDays(through, f"{days} days without a row since {newest} are no chance at the city's usual rate.")
    return KnownDays(bound, f"{days} days without a row since {newest} are plausible at the city's usual rate.")


def answers_fully(city: City) -> bool:
    """Return True if each answer of the sources is complete: simulations, and gateways that answer at once."""
    return city.publication.answers_at_once or all(source.kind == "simulated" for source in city.all_sources)


def silence_chance(counts: npt.NDArray[np.integer], days: int) -> float:
    """Probability of that many days without a row after days with `counts`, of which the last year is usual.

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


def learned_days_late(days: npt.NDArray[np.datetime64], received_at: pa.ChunkedArray, city: City) -> int | None:
    """Days between the end of a day and its first rows, at the best of the arrivals; None of too few arrivals.

    A first reading of a history is one arrival; a quiet city's newest row is older than its source is late, so the
    smallest of all differences counts.

    Args:
        days: the day of each row, datetime64[D].
        received_at: when each row was first seen.
    """
    if not len(days):
        return None
    received_on = local_dates(received_at, city.zone).to_numpy().astype("datetime64[D]")
    order = np.lexsort((days, received_on))
    received_on, newest = received_on[order], np.maximum.accumulate(days[order].astype("datetime64[D]"))
    is_last = np.r_[received_on[1:] != received_on[:-1], True]
    received_on, newest = received_on[is_last], newest[is_last]
    is_newer = np.r_[True, newest[1:] > newest[:-1]]
    late = (received_on - newest)[is_newer].astype(np.int64) - 1
    return max(int(late.min()), 0) if len(late) >= MIN_ARRIVALS else None


def mark_states(tables: Mapping[date, pa.Table], states: Mapping[date, str], key: str = KNOWN) -> dict[date, pa.Table]:
    """Tables by day, with an entry in their schema's metadata for the days that have a value."""
    return {
        day: table.replace_schema_metadata({**(table.schema.metadata or {}), key: states[day]})
        if day in states
        else table
        for day, table in tables.items()
    }


def stored_states(store: Store, asset: str, city: str, file: str, days: Sequence[date]) -> dict[date, str]:
    """The `DayState` stored with days; those with rows have none."""
    partitions = {day: Partition(asset, city, "date", day) for day in days}
    metadata = {day: store.read_table(of_day, file).schema.metadata or {} for day, of_day in partitions.items()}
    return {day: of_day[KNOWN.encode()].decode() for day, of_day in metadata.items() if KNOWN.encode() in of_day}


def silent_at_end(dates: pa.ChunkedArray, days: Sequence[date]) -> list[date]:
    """The last ones of sorted days, after the newest of the rows' dates."""
    newest = max(dates.unique().to_pylist(), default=None)
    return [day for day in days if newest is None or day > newest]


def state_version(version: str, state: str | None) -> str:
    """The data version of a day: another one as long as it is not known, though it has the rows of a day without any."""
    return f"{version} unknown" if state == "unknown" else version


RAW: Final = "raw_alerts"


@dataclass(frozen=True)
class DayStates:
    """The days without rows at the end of a run, and why they are known, or not."""

    states: dict[date, DayState]
    why: str = ""


def day_states(
    store: Store, city: City, readers: Sequence[AlertSource], rows: pa.Table, days: Sequence[date]
) -> DayStates:
    """The states of contiguous days that were read just now, before they are stored.

    Of several sources, the first one decides which days are known.

    Args:
        rows: `date` and `received_at` of all rows of the days.

    Raises:
        SourceError: the source cannot be read, or not understood.
    """
    silent = silent_at_end(rows["date"], days)
    if not silent:
        return DayStates({})
    newest, named = _newest_stored(store, city, days[-1]), readers[0].named_days()
    answered = {day for day in silent if answers_fully(city) or day in named or (newest is not None and day <= newest)}
    states: dict[date, DayState] = dict.fromkeys(answered, "answered")
    if len(answered) == len(silent):
        return DayStates(states, "The source has said that there was nothing.")
    first, counts = _counts(store, city, rows, days)
    known = known_days(city, first, counts, states, _complete_through(store, city, rows, days))
    states |= {day: "silent" if day <= known.through else "unknown" for day in silent if day not in answered}
    return DayStates(states, known.why)


def _complete_through(store: Store, city: City, rows: pa.Table, days: Sequence[date]) -> date | None:
    """The last day whose rows must be there, by the city's file, or else as learned from the arrivals; None if unknown."""
    now = today(city.zone)
    if city.publication.is_given or city.source.kind == "simulated":
        return city.publication.complete_through(now)
    stored = _stored_before(store, city, days[0], ARRIVAL_DAYS, "received_at")
    seen = rows.select(["date", "received_at"])
    if stored is not None:
        seen = pa.concat_tables([stored.cast(seen.schema), seen])
    late = learned_days_late(dates_of(seen), seen["received_at"], city)
    return None if late is None else now - timedelta(days=late + 1)


def _newest_stored(store: Store, city: City, after: date) -> date | None:
    """The newest stored day with rows after those of the run; None without one."""
    later = sorted((day for day in store.days_present(RAW, city.name, ALERTS_FILE) if day > after), reverse=True)
    files = ((day, Partition(RAW, city.name, "date", day)) for day in later)
    return next(
        (day for day, of_day in files if store.read_table(of_day, ALERTS_FILE, ["received_row"]).num_rows), None
    )


def _counts(store: Store, city: City, rows: pa.Table, days: Sequence[date]) -> tuple[date, npt.NDArray[np.int64]]:
    """(first day, rows of each day), from the stored days of the year before and those of the run."""
    stored = _stored_before(store, city, days[0], YEAR_DAYS, "received_row")
    since = days[0] if stored is None else max(city.start, days[0] - timedelta(days=YEAR_DAYS))
    tables = [rows] if stored is None else [stored, rows]
    dates = np.concatenate([dates_of(table) for table in tables])
    at = (dates - np.datetime64(since, "D")).astype(np.int64)
    return since, np.bincount(at[at >= 0], minlength=(days[-1] - since).days + 1).astype(np.int64)


def _stored_before(store: Store, city: City, day: date, days: int, column: str) -> pa.Table | None:
    """A column of the stored rows of the days before a day; None without any, or where a file is damaged."""
    first, last = max(city.start, day - timedelta(days=days)), day - timedelta(days=1)
    try:
        return store.read_present(RAW, city.name, ALERTS_FILE, first, last, [column]) if first <= last else None
    except CorruptObjectError:
        return None
