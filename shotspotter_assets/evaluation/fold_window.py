"""The test window of a fold, its histories and its outcome, made once for all parts of the fold's report."""

from dataclasses import dataclass
from typing import Self

from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.records import FoldRecord
from shotspotter_assets.storage.arrays import Booleans, Days, Values


@dataclass(frozen=True)
class FoldWindow:
    """A fold's windows as indexes of its history's days, and the alerts of the known test days."""

    record: FoldRecord
    history: History  # from the first training day to the last test day
    hourly: HourlyHistory | None  # hours to the end of the last test day; None where no hours are forecast
    train: range
    validation: range
    test: range
    known: slice | Booleans  # selection of the known days among the test days
    days: Days  # known test days, shape (days,)
    alerts: Values  # alerts of the known test days, shape (days, rows, columns)
    observed: Booleans  # covered cells with an alert, shape (days, cells)

    @classmethod
    def of(cls, record: FoldRecord, history: History, hourly: HourlyHistory | None = None) -> Self:
        """Find the windows of a record in a history; raise ValueError if no test day is known."""
        train, validation, test = record.windows(history)
        known = history.known_in(test)
        return cls(
            record=record,
            history=history,
            hourly=hourly,
            train=train,
            validation=validation,
            test=test,
            known=known,
            days=history.days()[test.start :][known],
            alerts=history.alerts[test.start :][known],
            observed=history.observed[test.start :][known],
        )

    @classmethod
    def of_stored(cls, record: FoldRecord, stored: CityHistory, *, with_hours: bool) -> Self:
        """Make the window of a record from stored days, which end with the last test day, on the record's covered cells."""
        in_coverage = covered_mask(record.covered, stored.city.shape)
        hourly = stored.hourly(in_coverage) if with_hours else None
        return cls.of(record, stored.daily(in_coverage), hourly)

    @property
    def key(self) -> str:
        """City and cutoff, as messages name a fold."""
        return f"{self.record.city} {self.record.cutoff}"
