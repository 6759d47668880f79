"""Which of a city's days were known on an earlier day: what a replay may use, and nothing that came later.

Rows that came within a fortnight of their day tell when the day came. A history that was read at once tells nothing of
that; of its days the rule of publication counts, or how late the source was learned to be since, or else all were there
when they were over. Of days that were known then, the rows count as they are stored, corrections included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.local_time import local_dates
from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.known_days import DayState, known_days, learned_days_late, stored_states
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Store

RAW: Final = "raw_alerts"

MAX_LIVE_DAYS: Final = 14
"""An arrival is taken for live if most of the days that it brings first lie no further back."""


@dataclass(frozen=True)
class KnownThen:
    """When a city's days came."""

    store: Store
    city: City
    came_on: Mapping[date, date]
    """The local day on which the first rows of a day came, of live arrivals."""
    days_late: int | None
    """As learned from live arrivals; None where they are too few."""

    @classmethod
    def load(cls, store: Store, city: City) -> "KnownThen":
        """From the stored raw alerts."""
        rows = store.read_present(RAW, city.name, ALERTS_FILE, city.start, date.max, ["received_at"])
        if rows is None or not rows.num_rows or city.source.kind == "simulated":
            return cls(store, city, {}, None)
        days = rows["date"].to_numpy().astype("datetime64[D]")
        received_on = local_dates(rows["received_at"], city.zone).to_numpy().astype("datetime64[D]")
        order = np.lexsort((received_on, days))
        new_days, first_of_day = np.unique(days[order], return_index=True)
        came_on = received_on[order][first_of_day]
        arrivals, arrival = np.unique(came_on, return_inverse=True)
        is_recent = new_days >= came_on - np.timedelta64(MAX_LIVE_DAYS, "D")
        share_recent = np.bincount(arrival, is_recent, len(arrivals)) / np.bincount(arrival, minlength=len(arrivals))
        is_live = share_recent[arrival] > 0.5
        live_rows = np.isin(days, new_days[is_live])
        late = learned_days_late(days[live_rows], rows["received_at"].filter(pa.array(live_rows)), city)
        return cls(store, city, dict(zip(new_days[is_live].tolist(), came_on[is_live].tolist(), strict=True)), late)

    def came(self, days: Sequence[date], issue_date: date) -> npt.NDArray[np.bool_]:
        """Whether each day's rows had come, if it has any, by the end of the day after the issue date."""
        complete, asked_on = self._complete_through(issue_date), issue_date + timedelta(days=1)
        return np.array(
            [self.came_on[day] <= asked_on if day in self.came_on else day <= complete for day in days], dtype=bool
        )

    def through(self, first: date, counts: npt.NDArray[np.integer]) -> date:
        """The last day that was known of contiguous days, on the day after the last of them.

        Args:
            first: the first day.
            counts: rows of each day that had come by then, shape (days,).
        """
        issue_date = first + timedelta(days=len(counts) - 1)
        complete = self._complete_through(issue_date)
        with_rows = np.flatnonzero(counts)
        silent = [first + timedelta(days=at) for at in range(with_rows[-1] + 1 if len(with_rows) else 0, len(counts))]
        # What is stored of days without rows was found out later, but for the empty daily files, which were there.
        states: dict[date, str] = {}
        if self.city.source.kind == "landing" and self.city.source.file_date is not None:
            due = [day for day in silent if day <= complete]
            stored = stored_states(self.store, RAW, self.city.name, ALERTS_FILE, due)
            answered: DayState = "answered"
            states = {day: state for day, state in stored.items() if state == answered}
        return known_days(self.city, first, counts, states, complete).through

    def _complete_through(self, issue_date: date) -> date:
        """The last day of a history whose rows had come by the end of the day after the issue date."""
        complete = self.city.publication.complete_through(issue_date + timedelta(days=1))
        return complete or issue_date - timedelta(days=self.days_late or 0)
