"""Input of the forecasters of hours: a city's hourly counts, the cells to forecast, and the city's clock."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.dates import DAY_HOURS, HourlyClock, hour_starts
from shotspotter_assets.storage.arrays import Booleans, Integers


class HourlyHistoryError(ValueError):
    """The arrays of an hourly history do not fit together, or the city's times are too coarse for hours."""


@dataclass(frozen=True)
class HourlyHistory:
    """A city's hours from a local midnight on; HourlyHistoryError for days only, unfit shapes or no covered cell."""

    city: City
    first_day: date  # local day whose first hour is `counts[0]`
    counts: npt.NDArray[np.integer]  # alerts of the covered cells, shape (hours, layers, cells)
    in_coverage: Booleans  # cells that are forecast, shape (rows, columns)
    is_known: Booleans | None = None  # False for hours of unknown days, set to zero, shape (hours,)
    lead: int = 1  # days from the last usable day to the day whose types are forecast, at least 1

    def __post_init__(self) -> None:
        """Check the shapes, and set counts of unknown hours to zero."""
        if self.city.time_precision == "day":
            raise HourlyHistoryError(
                f"City {self.city.name}: its alerts have a day but no hour (time_precision: day), so the next hours cannot be "
                "forecast. Forecast the next day."
            )
        cells = int(self.in_coverage.sum())
        if self.in_coverage.shape != self.city.shape or self.counts.shape[2:] != (cells,) or not cells:
            raise HourlyHistoryError(
                f"City {self.city.name}: the coverage has shape {self.in_coverage.shape} and {cells} cells, the grid "
                f"{self.city.shape}, the counts {self.counts.shape[2:]} cells; estimate the coverage on training days with alerts."
            )
        if self.is_known is not None and self.is_known.all():
            object.__setattr__(self, "is_known", None)
        elif self.is_known is not None and self.counts[~self.is_known].any():
            # No sum may hold counts of an unknown hour.
            object.__setattr__(self, "counts", (self.counts.T * self.is_known).T)

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def alerts(self) -> npt.NDArray[np.uint16]:
        """Alerts of the forecast types in the covered cells, shape (hours, cells)."""
        total = np.zeros((len(self.counts), self.counts.shape[2]), dtype=np.uint16)
        for code in self.city.forecast_codes:  # several times as fast as a sum over the axis
            total += self.counts[:, code]
        return total

    @cached_property
    def occupied(self) -> Booleans:
        """True if a covered cell had any alert of the forecast types, shape (hours, cells)."""
        return self.alerts > 0

    @cached_property
    def starts(self) -> npt.NDArray[np.datetime64]:
        """Instants (datetime64[s], UTC) at which the hours begin, with `lead` days more than counted hours."""
        clock_changes = int(self.lead > 1)
        return hour_starts(self.first_day, len(self) + DAY_HOURS * self.lead + clock_changes, self.city.zone)

    @cached_property
    def clock(self) -> HourlyClock:
        """Hours, days and seasons of the city's clock at `starts`."""
        return HourlyClock.of_hours(self.starts, self.city.zone, has_fireworks=self.city.is_of_gunfire)

    def hour_at(self, instant: datetime) -> int:
        """Return the first hour that begins at or after an instant, which has a zone."""
        return int(np.searchsorted(self.starts, np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "s")))

    def until(self, instant: datetime) -> "HourlyHistory":
        """Return the hours that had begun before an instant: windows of whole days hold zeros for hours to come."""
        stop = self.hour_at(instant)
        known = None if self.is_known is None else self.is_known[:stop]
        return replace(self, counts=self.counts[:stop], is_known=known)

    def are_known(self, issues: Integers, horizon: int = 1) -> Booleans:
        """Return True if all of the `horizon` hours from an issue on are known, shape (issues,)."""
        if self.is_known is None:
            return np.ones(len(issues), dtype=bool)
        return np.all([self.is_known[issues + step] for step in range(horizon)], axis=0)

    def issues(self, hours: range, horizon: int) -> Integers:
        """Return the known hours at local multiples of `horizon` from which all of it is known and in `hours`."""
        issues = np.arange(hours.start, hours.stop - horizon + 1)
        issues = issues[self.clock.hour[issues] % horizon == 0]
        return issues[self.are_known(issues, horizon)]

    def day_issues(self, hours: Integers) -> Integers:
        """Return the hour from which the day of each of some hours is forecast: its first hour, or `lead - 1` days earlier."""
        clock_hour = self.clock.hour
        first = np.flatnonzero((clock_hour == 0) & np.r_[True, clock_hour[:-1] != 0])
        return first[np.maximum(np.searchsorted(first, hours, "right") - self.lead, 0)]

    def alerts_within(self, issues: Integers, horizon: int) -> Integers:
        """Return alerts of each cell in the `horizon` hours from each issue on, shape (issues, cells)."""
        return np.sum([self.alerts[issues + step] for step in range(horizon)], axis=0, dtype=np.int64)

    def occupied_within(self, horizon: int) -> Booleans:
        """Return True if a cell has an alert in the `horizon` hours from each hour on, shape (hours - horizon + 1, cells)."""
        stop = len(self) - horizon + 1
        within = self.occupied[:stop].copy()
        for step in range(1, horizon):
            within |= self.occupied[step : stop + step]
        return within
