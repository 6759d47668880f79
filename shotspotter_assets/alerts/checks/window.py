"""Input of the checks: the checked days and the stored days before them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.checks.finding import QUARTER_DAYS, Block
from shotspotter_assets.alerts.checks.usual import Usual, usual_volume
from shotspotter_assets.alerts.cleaning import BEFORE_START, OTHER_EVENT
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.alerts.days.known_days import YEAR_DAYS
from shotspotter_assets.alerts.days.stored_states import UNDATED
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.grid.dates import dates_of, rows_by_day
from shotspotter_assets.storage.arrays import Booleans, Days
from shotspotter_assets.storage.catalogue import CLEANED, RAW_ROWS, REJECTED
from shotspotter_assets.storage.store import Store

CONTEXT_DAYS: Final = YEAR_DAYS + 2 * QUARTER_DAYS  # a year, the compared quarter, and a quarter for its silences
BLOCK_DAYS: Final = 365  # span of checks that need many rows: a defect of one year must not be diluted


@dataclass(frozen=True)
class Window:
    """Days to check, and the stored days before them. Tables have the local `date`."""

    city: City
    checked: list[date]  # contiguous
    stored: list[date]  # sorted days with a cleaned file, the checked ones last; days missing among them are unknown
    alerts: pa.Table  # cleaned alerts of all stored days
    raw: pa.Table  # received rows of the checked days
    rejected_rows: pa.Table  # rejected rows of the checked days
    unknown: frozenset[date] = frozenset()  # stored days that are not reported yet, or held back

    @classmethod
    def load(cls, store: Store, city: City, checked: list[date]) -> "Window":
        """Load the tables; raise MissingPartitionsError if a checked day has no raw or rejected rows."""
        first = checked[0]
        last = checked[-1]
        since = first - timedelta(days=CONTEXT_DAYS)
        raw = store.read_window(RAW_ROWS, city.name, first, last)
        rejected = store.read_window(REJECTED, city.name, first, last)
        alerts = store.read_present(CLEANED, city.name, since, last)
        assert alerts is not None
        stored = store.days_present(CLEANED, city.name, since, last)
        unknown = frozenset(DayTable.read(store, city.name, is_needed=True).in_state("unknown", "held_back"))
        return cls(city, checked, sorted({*stored, *checked}), alerts, raw, rejected, unknown.intersection(stored))

    @cached_property
    def dates(self) -> Days:
        """Local date of each alert, shape (alerts,)."""
        return dates_of(self.alerts)

    @cached_property
    def is_checked(self) -> Booleans:
        """Flags of the alerts on checked days, shape (alerts,)."""
        return self.dates >= np.datetime64(self.checked[0])

    @cached_property
    def incidents(self) -> pa.Table:
        """First alert of each incident."""
        return self.alerts.filter(pc.equal(self.alerts["user_id"], self.alerts["incident_id"]))

    @property
    def incident_dates(self) -> Days:
        """Local date of each incident, shape (incidents,)."""
        return dates_of(self.incidents)

    @cached_property
    def received(self) -> dict[date, int]:
        """Rows received for each checked day, without undated rows filed under the city's first day."""
        return self._of_their_day(self.raw)

    @cached_property
    def rejected(self) -> dict[date, int]:
        """Unusable rows among `received`, by checked day."""
        return self._of_their_day(self.rejected_rows)

    @property
    def ignored_rows(self) -> pa.Table:
        """Rejected rows of events that the city's file does not name."""
        return self.rejected_rows.filter(pc.field("reason") == OTHER_EVENT)

    @cached_property
    def undated(self) -> int:
        """Number of undated rows filed under the city's first day."""
        return int(pc.sum(pc.not_equal(self._of_no_day["reason"], BEFORE_START)).as_py() or 0)

    def by_day(self, flags: Booleans | None = None, days: Sequence[date] | None = None) -> dict[date, int]:
        """Count the flagged `alerts` of each day, by default all alerts of the checked days."""
        return rows_by_day(self.dates if flags is None else self.dates[flags], days or self.checked)

    def blocks(self, length: int = BLOCK_DAYS) -> list[Block]:
        """Return blocks of `length` days from the last checked day back to the first, or to earlier stored days; in order."""
        last = self.checked[-1]
        first = max(min(self.stored[0], self.checked[0]), min(self.checked[0], last - timedelta(days=length - 1)))
        edges = [last + timedelta(days=1)]
        # A remainder shorter than half a block joins the block after it.
        while (edges[-1] - first).days > 1.5 * length:
            edges.append(edges[-1] - timedelta(days=length))
        return [Block(start, end - timedelta(days=1)) for end, start in pairwise([*edges, first])][::-1]

    def full_blocks(self, dates: Days, min_rows: int) -> Iterator[tuple[Block, Booleans]]:
        """Yield the blocks with enough rows, given the date of each row, with the flags of their rows."""
        for block in self.blocks():
            inside = block.holds(dates)
            if inside.sum() >= min_rows:
                yield block, inside

    @cached_property
    def usual(self) -> Usual:
        """Usual volume of all days from the first stored one."""
        return self.usual_volume()

    @cached_property
    def silences(self) -> Booleans:
        """Flags of the days of `usual` on which data are missing."""
        return self.usual.all_silences()

    @cached_property
    def ordinary_incidents(self) -> Usual:
        """`usual` for counts of incidents on ordinary days; NaN on other days, unknown days and in silences."""
        counts = self._counts(self.incident_dates)
        number = np.array([counts.get(day, np.nan) for day in self.usual.days], dtype=np.float64)
        return replace(self.usual, counts=np.where(self.silences | self.usual.special, np.nan, number))

    @cached_property
    def _of_no_day(self) -> pa.Table:
        reason = pc.field("reason")
        is_first = pc.field("date") == pa.scalar(self.city.start)
        return self.rejected_rows.filter((reason == BEFORE_START) | (is_first & reason.isin(list(UNDATED))))

    def _of_their_day(self, rows: pa.Table) -> dict[date, int]:
        of_all, of_none = (rows_by_day(dates_of(table), self.checked) for table in (rows, self._of_no_day))
        return {day: of_all[day] - of_none[day] for day in self.checked}

    def usual_volume(self, missing: Booleans | bool = False) -> Usual:
        """Return the usual volume of all days from the first stored one, learned without the `missing` days."""
        days = days_between(self.stored[0], self.stored[-1])
        return usual_volume(self._counts(self.dates), days, self.city.holidays, missing)

    def _counts(self, dates: Days) -> dict[date, int]:
        counts = rows_by_day(dates, self.stored)
        return {day: number for day, number in counts.items() if day not in self.unknown}
