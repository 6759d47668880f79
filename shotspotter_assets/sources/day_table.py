"""The table of a city's days: each day's state with its reason, its rows, and their versions. `raw_alerts` writes it."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.storage.catalogue import DAYS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store

DayState = Literal["known", "silent", "unknown", "held_back"]
"""`known`: the source has reported the day; `silent`: it has no row, which is plausible; `unknown`: not reported yet;
`held_back`: most of the rows cannot be used."""


@dataclass(frozen=True)
class Day:
    """One stored day."""

    state: DayState
    why: str
    """Reason of the state, in words."""
    rows: int
    """Number of rows that belong to the day, see `received.rows_by_day`."""
    rejected: int
    """Number of rows that cannot be used."""
    settings: str
    """Hash of the settings of the city's file with which the day was stored."""
    received: datetime | None
    """Time at which the first row of the day was received; None without rows."""
    sources: Mapping[str, str]
    """Version of the day's rows by the file or address that they came from."""
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
class DayTable:
    """The stored days of a city in order."""

    days: Mapping[date, Day] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store, city: str) -> "DayTable":
        """Read the table of a city, which is empty if no day was stored."""
        return store.read_index(DAYS, city, _decoded) or cls()

    @staticmethod
    def update(store: Store, city: str, days: Mapping[date, Day]) -> "DayTable":
        """Store days over those of the same dates; return the table."""
        with store.alone("days", city):
            table = DayTable(dict(sorted({**DayTable.read(store, city).days, **days}.items())))
            rows = [
                {**asdict(day), "date": at, "sources": [{"name": n, "version": v} for n, v in day.sources.items()]}
                for at, day in table.days.items()
            ]
            store.write_table(DAYS, pa.Table.from_pylist(rows, DAYS.schema), city)
        return table

    def require(self, city: str, days: Sequence[date]) -> None:
        """Raise ValueError if one of the days has no entry."""
        if unread := [day for day in days if day not in self.days]:
            raise ValueError(
                f"City {city}: {len(unread):,} days from {unread[0]} have no state. Materialize raw_alerts first."
            )

    def state(self, day: date) -> DayState:
        """Return the state of a day; a day that no run of `raw_alerts` stored is known."""
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


@lru_cache(maxsize=32)  # sensors read the same file every few seconds
def _decoded(content: bytes) -> DayTable:
    rows = pq.read_table(pa.BufferReader(content)).to_pylist()
    for row in rows:
        row["sources"] = {source["name"]: source["version"] for source in row["sources"]}
    return DayTable({row.pop("date"): Day(**row) for row in rows})
