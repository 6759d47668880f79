"""The table of a city's days, and how the states of its days follow from the rows of all days together.

At the end, days without rows are silent if the silence is plausible at the city's usual rate and their rows are due by now.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shotspotter_assets.calendar.local_time import ONE_DAY, days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.tabular_settings import LandingSettings
from shotspotter_assets.storage.catalogue import DAYS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store, parquet_bytes

DayState = Literal["known", "silent", "unknown", "held_back"]
"""`known`: the source has reported the day; `silent`: it has no row, which is plausible; `unknown`: not reported yet;
`held_back`: most of the rows cannot be used."""
MIN_CHANCE: Final = 1e-3  # silences less likely than this count as days that are not published yet
YEAR_DAYS: Final = 365
ARRIVAL_DAYS: Final = 120  # number of days from whose arrivals lateness is learned
LEVEL_DAYS: Final = 56  # follows the seasons, and is exact to about 10% at ten alerts a day
MIN_DISPERSION, MAX_DISPERSION = 0.05, 2.0  # limits of (variance - mean) / mean squared; New York has 0.05
MIN_ARRIVALS: Final = 5  # minimum number of days with newer rows from which lateness is learned
CAP_QUANTILE: Final = 0.98  # counts above are cut: one extreme day must neither widen the range nor excuse silence
MIN_SHARE_OF_FILES: Final = 0.9  # minimum share of days with a file for a missing one to count as not landed


@dataclass(frozen=True)
class Day:
    """One stored day."""

    state: DayState
    why: str  # reason of the state, in words
    rows: int  # number of rows that belong to the day, see `schema.rows_by_origin`
    rejected: int  # number of rows that cannot be used
    settings: str  # hash of the settings of the city's file with which the day was stored
    received: datetime | None  # time at which the first row of the day was received; None without rows
    sources: Mapping[str, str]  # version of the day's rows by the file or address that they came from
    max_share_rejected: float = 0.5

    @property
    def held_back(self) -> str:
        """Reason why the rows cannot be used; empty where they can."""
        return self.why if self.state == "held_back" else ""

    @property
    def is_counted(self) -> bool:
        """True if the day counts in histories: its alerts, or their absence, are known."""
        return self.state in ("known", "silent")

    @cached_property
    def rows_version(self) -> str:
        """Version of the rows, whatever the state."""
        return sha256(*sorted(f"{name}:{version};" for name, version in self.sources.items()))[:12]

    @cached_property
    def version(self) -> str:
        """Version of the rows, the settings and the state as models use it."""
        return f"{self.rows_version}{self.settings[:8]}{'' if self.is_counted else self.state}"


@dataclass(frozen=True)
class DayRows:
    """Rows that the sources hold for a day, which differ from the stored ones."""

    rows: int = 0
    received: datetime | None = None  # time at which the first of them was received
    held_back: str = ""  # reason why the rows cannot be used; empty where they can


@dataclass(frozen=True)
class DayTable:
    """The stored days of a city in order."""

    days: Mapping[date, Day] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store, city: str, *, is_needed: bool = False) -> "DayTable":
        """Read a city's table of days, an empty one if none is stored; CorruptObjectError if `is_needed` and damaged."""
        table = store.read_index(DAYS, city, _decoded)
        if table is None and is_needed and store.exists(DAYS, city):
            raise store.corrupt(DAYS, city, None, "it is no table of days")
        return table or cls()

    @staticmethod
    def update(store: Store, city: str, days: Mapping[date, Day]) -> "DayTable":
        """Store days over those of the same dates; return the table."""
        table = DayTable()

        def changed(before: DayTable | None) -> bytes:
            nonlocal table
            table = (before or DayTable()).with_days(days)
            return table.content()

        store.update(DAYS, city, _decoded, changed)
        return table

    @staticmethod
    def claim(store: Store, city: str, days: Mapping[date, Day]) -> "DayTable":
        """Mark stored days whose rows a run is about to replace: they are due until `finish`. Return the table."""
        table = DayTable.read(store, city)
        changing = {
            at: before for at, day in days.items() if (before := table.days.get(at)) and before.sources != day.sources
        }
        claims = {
            at: replace(day, sources={"": f"being written: {days[at].rows_version}"}) for at, day in changing.items()
        }
        return DayTable.update(store, city, claims) if claims else table

    @staticmethod
    def finish(store: Store, city: str, days: Mapping[date, Day], claimed: "DayTable") -> None:
        """Store written days; those that another run has written since `claim` from other rows stay due."""

        def changed(table: DayTable | None) -> bytes:
            table = table or DayTable()
            found = {at: _finished(day, table.days.get(at), claimed.days.get(at)) for at, day in days.items()}
            return table.with_days(found).content()

        store.update(DAYS, city, _decoded, changed)

    def with_days(self, days: Mapping[date, Day]) -> "DayTable":
        """Return the table with days in place of those of the same dates."""
        return DayTable(dict(sorted({**self.days, **days}.items())))

    def content(self) -> bytes:
        """Return the content of the stored table."""
        rows = [{**asdict(day), "date": at, "sources": list(day.sources.items())} for at, day in self.days.items()]
        return parquet_bytes(DAYS, pa.Table.from_pylist(rows, DAYS.schema))

    def require(self, city: str, days: Sequence[date]) -> None:
        """Raise ValueError if one of the days has no entry."""
        if left := [day for day in days if day not in self.days]:
            raise ValueError(f"City {city}: {len(left):,} days from {left[0]} lack a state; materialize raw_alerts.")

    def state(self, day: date) -> DayState:
        """Return the state of a day; a day without an entry is known, as its rows were stored."""
        return self.days[day].state if day in self.days else "known"

    def is_counted(self, days: Iterable[date]) -> npt.NDArray[np.bool_]:
        """Flag the days that count in histories, shape (days,)."""
        return np.array([self.state(day) in ("known", "silent") for day in days], dtype=bool)

    def last_counted(self, last: date) -> date | None:
        """Return the last stored day to `last` that counts in histories; None without one."""
        return max((at for at, day in self.days.items() if at <= last and day.is_counted), default=None)

    def in_state(self, *states: DayState) -> dict[date, Day]:
        """Return the days in some states."""
        return {at: day for at, day in self.days.items() if day.state in states}

    def made_from(self, day: date) -> str:
        """Return the version of the inputs of a day's cleaned alerts: its rows and those of the day before."""
        eve = self.days.get(day - ONE_DAY)
        return f"{self.days[day].version}-{'' if eve is None else eve.rows_version}"

    def version(self, first: date, last: date) -> str:
        """Return the version of the stored days of a window, as histories use them."""
        days, versions = self._versions
        return sha256(str(first), "".join(versions[bisect_left(days, first) : bisect_right(days, last)]))[:16]

    @cached_property
    def _versions(self) -> tuple[list[date], list[str]]:
        return list(self.days), [f"{at}{day.version}" for at, day in self.days.items()]


def _finished(day: Day, stored: Day | None, claimed: Day | None) -> Day:
    is_ours = stored == claimed or (stored is not None and stored.sources == day.sources)
    return day if is_ours else replace(day, sources={"": "written by two runs at once"})


def _decoded(content: bytes) -> DayTable:
    try:
        rows = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read().to_pylist()
        for row in rows:
            row["sources"] = {source["name"]: source["version"] for source in row["sources"]}
        return DayTable({row.pop("date"): Day(**row) for row in rows})
    except (pa.ArrowException, OSError, LookupError, TypeError, ArithmeticError) as error:
        raise ValueError(str(error)) from error


Found = Mapping[date, Day] | Mapping[date, DayRows] | Mapping[date, Day | DayRows]  # days with rows
States = dict[date, tuple[DayState, str]]  # state and its reason by day


def day_states(city: City, found: Found, named: Collection[date], last: date, today: date) -> States:
    """Return state and reason of each day to `last`, when asked on `today`; files of the days `named` have landed."""
    days, no_rows = days_between(city.start, last), DayRows()
    rows = [found.get(day, no_rows) for day in days]
    counts = np.array([0 if of_day.held_back else of_day.rows for of_day in rows], dtype=np.int64)
    with_rows = np.flatnonzero(counts)
    first, newest = (int(with_rows[0]), int(with_rows[-1])) if len(with_rows) else (len(days), -1)
    # No live source is asked for earlier days. Without later rows of other sources, none has them.
    asked = bisect_left(days, min(city.live_since, default=city.start))
    last_before = int(with_rows[with_rows < asked].max(initial=-1))
    silent, why_silent = date.min, ""
    if newest < len(days) - 1:
        complete = rows_due(city, {} if city.source.kind == "simulated" else found, today)
        silent, why_silent = _known_silence(counts[: newest + 1], days, complete)
    why_early = "It lies before the first row of the source." if len(with_rows) else "No day has rows."
    # Simulations and gateways that answer at once answer completely; a folder without a file is no answer.
    # Of several sources, the first one decides.
    is_gateway = city.publication.answers_at_once and city.source.kind != "landing"
    answers = is_gateway or all(source.kind == "simulated" for source in city.all_sources)
    has_file = [day in named for day in days[: newest + 1]]
    expected = has_file[has_file.index(True) :] if any(has_file) else []
    is_daily = isinstance(city.source, LandingSettings) and city.source.file_date is not None
    needs_files = is_daily and sum(expected) >= MIN_SHARE_OF_FILES * len(expected)
    states: States = {}
    for at, (day, of_day) in enumerate(zip(days, rows, strict=True)):
        if of_day.held_back:
            states[day] = "held_back", of_day.held_back
        elif of_day.rows:
            states[day] = "known", "It has rows."
        elif last_before < at < asked and day not in named:
            states[day] = "unknown", "No source has this day."
        elif day in named or (answers and at >= asked):
            states[day] = "known", "The source reports no alerts."
        elif needs_files:
            states[day] = "unknown", "Its daily file has not landed."
        elif at < first:
            states[day] = "unknown", why_early
        elif at < newest:
            states[day] = "known", "Later days have rows."
        else:
            states[day] = "silent" if day <= silent else "unknown", why_silent
    return states


def _known_silence(counts: npt.NDArray[np.integer], days: list[date], complete: date | None) -> tuple[date, str]:
    """Return the last day of the silence after `counts` that counts as known, and why; before the silence if none does."""
    newest, last = days[len(counts) - 1] if len(counts) else days[0] - ONE_DAY, days[-1]
    bound = last if complete is None else min(last, complete)
    if bound <= newest:
        return newest, f"The source has no row after {newest}, and later ones are yet to come."
    silent = (last - newest).days
    if not len(counts) or silence_chance(counts, silent) < MIN_CHANCE:
        return newest, f"{silent} days without a row since {newest} are implausible at the city's usual rate."
    return bound, f"{silent} days without a row since {newest} are plausible at the city's usual rate."


def silence_chance(counts: npt.NDArray[np.integer], days: int) -> float:
    """Return the probability (negative binomial) of that many days without a row after a year or less with `counts`."""
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


def rows_due(city: City, found: Found, today: date) -> date | None:
    """Return the last day whose rows must be there by the city's rule, or else as learned; None with too few arrivals.

    The learned lateness is the minimum number of days between a day's end and its first rows, as the newest row of a quiet
    city may be older. A history that is read at once is one arrival.
    """
    if (complete := city.publication.complete_through(today)) is not None:
        return complete
    newest_on: dict[date, date] = {}
    for day in sorted(found)[-ARRIVAL_DAYS:]:
        if (received := found[day].received) is not None:
            newest_on[received.astimezone(city.zone).date()] = day
    late, newest = [], date.min
    for received_on, day in sorted(newest_on.items()):
        if day > newest:
            late.append((received_on - day).days - 1)
            newest = day
    return today - timedelta(days=1 + max(min(late), 0)) if len(late) >= MIN_ARRIVALS else None
