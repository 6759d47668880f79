"""The table of a city's days: the state of each day, and the rows from which it follows (`known_days`)."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.storage.catalogue import DAYS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store, opened_parquet, parquet_bytes

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DayState = Literal["known", "silent", "unknown", "held_back"]
"""`known`: it has rows, or its silence was reported; `silent`: an answer that came late enough has no rows of it;
`unknown`: no usable file or answer has come; `held_back`: its rows cannot be used, or wait for a person's word."""


class Decision(NamedTuple):
    """State of a day, and the reason for it."""

    state: DayState
    why: str  # in words
    is_unusual: bool = False  # True for a day held back because it has far more alerts than usual

    @property
    def in_words(self) -> str:
        """State, as the end of a sentence, and reason."""
        return f"{self.state.replace('_', ' ')}. {self.why.removesuffix('.')}."


@dataclass(frozen=True)
class Day:
    """One stored day."""

    state: DayState
    why: str  # reason of the state, in words
    rows: int  # number of rows that belong to the day, see `schema.rows_by_origin`
    rejected: int  # number of rows that cannot be used
    settings: str  # hash of the settings of the city's file with which the day was stored
    received: datetime | None  # time at which the first row of the day was received; None without rows
    sources: Mapping[str, str]  # version of the day's rows by the folder or address that they came from
    max_share_rejected: float = 0.5
    is_unusual: bool = False  # True for a day held back because it has far more alerts than usual
    is_box_doubted: bool = False  # True if rows outside the city's box counted as unusable

    @property
    def held_back(self) -> str:
        """Reason why the rows cannot be used; empty where they can."""
        return self.why if self.state == "held_back" and not self.is_unusual else ""

    @property
    def origins(self) -> Collection[str]:
        """Files and addresses that the rows came from."""
        return self.sources.keys()

    @property
    def is_counted(self) -> bool:
        """True if the day counts in histories: its alerts, or their absence, are known."""
        return self.state in ("known", "silent")

    @cached_property
    def rows_version(self) -> str:
        """Version of the rows, whatever the state."""
        return sha256("".join(sorted(f"{name}:{version};" for name, version in self.sources.items())))[:12]

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
    origins: Collection[str] = ()  # files and addresses that they come from
    rejected: int = 0  # number of them that cannot be used, once that is counted


Found = Mapping[date, Day] | Mapping[date, DayRows] | Mapping[date, Day | DayRows]  # days with rows


@dataclass(frozen=True)
class DayTable:
    """The stored days of a city in order."""

    days: Mapping[date, Day] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store, city: str, *, is_needed: bool = False) -> "DayTable":
        """Read a city's table of days, an empty one if none is stored; CorruptObjectError if `is_needed` and damaged."""
        table = store.read_index(DAYS, city, _decoded)
        if table is None and is_needed and store.exists(DAYS, city):
            raise store.corrupt(DAYS, city, None, "it is not a table of days")
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
        stored = {day: table.days[day] for day in days if day in table.days}
        claims = {
            day: replace(before, sources={"": f"being written: {days[day].rows_version}"})
            for day, before in stored.items()
            if before.sources != days[day].sources
        }
        return DayTable.update(store, city, claims) if claims else table

    @staticmethod
    def finish(store: Store, city: str, days: Mapping[date, Day], claimed: "DayTable") -> None:
        """Store written days; those that another run has written since `claim` from other rows stay due."""

        def changed(table: DayTable | None) -> bytes:
            stored = table or DayTable()
            finished = dict(days)
            for day, written in days.items():
                before = stored.days.get(day)
                if before != claimed.days.get(day) and (before is None or before.sources != written.sources):
                    finished[day] = replace(written, sources={"": "written by two runs at once"})
            return stored.with_days(finished).content()

        store.update(DAYS, city, _decoded, changed)

    def with_days(self, days: Mapping[date, Day]) -> "DayTable":
        """Return the table with days instead of those of the same dates."""
        return DayTable(dict(sorted({**self.days, **days}.items())))

    def content(self) -> bytes:
        """Return the content of the stored table."""
        rows = [{**asdict(day), "date": key, "sources": list(day.sources.items())} for key, day in self.days.items()]
        return parquet_bytes(DAYS, pa.Table.from_pylist(rows, DAYS.schema))

    def require(self, city: str, days: Sequence[date]) -> None:
        """Raise ValueError if one of the days has no entry."""
        if left := [day for day in days if day not in self.days]:
            raise ValueError(f"City {city}: {len(left):,} days from {left[0]} lack a state; materialize raw_alerts.")

    def state(self, day: date) -> DayState:
        """Return the state of a day; a day without an entry is known, because its rows were stored."""
        return self.days[day].state if day in self.days else "known"

    def is_counted(self, days: Iterable[date]) -> npt.NDArray[np.bool_]:
        """Flag the days that count in histories, shape (days,)."""
        return np.array([self.state(day) in ("known", "silent") for day in days], dtype=bool)

    def last_counted(self, last: date) -> date | None:
        """Return the last stored day to `last` that counts in histories; None without one."""
        return next((day for day in reversed(list(self.days)) if day <= last and self.days[day].is_counted), None)

    @property
    def last_of_full_month(self) -> date | None:
        """The end of the last month whose days are over and stored; None without stored days."""
        following = max(self.days, default=None)
        return None if following is None else (following + ONE_DAY).replace(day=1) - ONE_DAY

    def in_state(self, *states: DayState) -> dict[date, Day]:
        """Return the days in some states."""
        return {key: day for key, day in self.days.items() if day.state in states}

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
        return list(self.days), [f"{key}{day.version}" for key, day in self.days.items()]


def _decoded(content: bytes) -> DayTable:
    """Return the table of a file's bytes. Raises ValueError with the problem of a damaged file."""
    try:
        table = opened_parquet(content).read()
        columns = {
            name: table[name].to_pylist() for name in table.column_names if name not in ("date", "received", "sources")
        }
        # Arrow imports pandas for instants, which takes half a second.
        since_1970 = table["received"].cast(pa.int64()).to_pylist()
        columns["received"] = [
            None if number is None else EPOCH + timedelta(microseconds=number) for number in since_1970
        ]
        # Read by their parts: a column of lists of structs alone takes ten times as long.
        sources = table["sources"].combine_chunks()
        names, versions = (sources.values.field(name).to_pylist() for name in ("name", "version"))
        bounds = pairwise(sources.offsets.to_pylist())
        columns["sources"] = [dict(zip(names[start:stop], versions[start:stop], strict=True)) for start, stop in bounds]
        values = zip(*columns.values(), strict=True)
        days = [Day(**dict(zip(columns, day, strict=True))) for day in values]
        return DayTable(dict(zip(table["date"].to_pylist(), days, strict=True)))
    except (pa.ArrowException, OSError, LookupError, TypeError, ArithmeticError) as error:
        raise ValueError(str(error)) from error
