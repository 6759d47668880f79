"""A fold whose test window is over, read once: what forecasts, report and pictures are made of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.history import History
from shotspotter_assets.models.records import FoldRecord


@dataclass(frozen=True)
class EvaluatedFold:
    """The record of a fold's own models, and the city's days to the last test day with the coverage of that record."""

    record: FoldRecord
    history: History

    @cached_property
    def windows(self) -> tuple[range, range, range]:
        """(training, validation, test) as indexes of the history's days."""
        return self.record.windows(len(self.history.counts))

    @property
    def cutoff(self) -> int:
        """Index of the first test day."""
        return self.windows[2].start

    @cached_property
    def test_days(self) -> npt.NDArray[np.datetime64]:
        """The days that are forecast, shape (test days,)."""
        return self.history.days()[self.cutoff :]

    @cached_property
    def observed(self) -> npt.NDArray[np.bool_]:
        """Whether a covered cell had an alert, shape (test days, cells)."""
        return self.history.observed[self.cutoff :]

    @cached_property
    def alerts(self) -> npt.NDArray[np.integer]:
        """Alerts of the test days, shape (test days, rows, columns)."""
        return self.history.alerts[self.cutoff :]
