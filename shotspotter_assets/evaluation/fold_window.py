"""The test window of a fold and its outcome, made once for all parts of the fold's report."""

from dataclasses import dataclass
from typing import Self

from shotspotter_assets.arrays import Booleans, Days, Values
from shotspotter_assets.models.history import History
from shotspotter_assets.models.records import FoldRecord


@dataclass(frozen=True)
class FoldWindow:
    """A fold's windows as indexes of its history's days, and the alerts of the known test days."""

    record: FoldRecord
    history: History  # from the first training day to the last test day
    train: range
    validation: range
    test: range
    known: slice | Booleans  # selection of the known days among the test days
    days: Days  # known test days, shape (days,)
    alerts: Values  # alerts of the known test days, shape (days, rows, columns)
    observed: Booleans  # covered cells with an alert, shape (days, cells)

    @classmethod
    def of(cls, record: FoldRecord, history: History) -> Self:
        """Find the windows of a record in a history; raise ValueError if no test day is known."""
        train, validation, test = record.windows(history)
        known = history.known_in(test)
        return cls(
            record=record,
            history=history,
            train=train,
            validation=validation,
            test=test,
            known=known,
            days=history.days()[test.start :][known],
            alerts=history.alerts[test.start :][known],
            observed=history.observed[test.start :][known],
        )

    @property
    def key(self) -> str:
        """City and cutoff, as messages name a fold."""
        return f"{self.record.city} {self.record.cutoff}"
