"""The protocols of sources of alerts, and the error that all sources raise."""

from collections.abc import Iterable
from datetime import date
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class AlertSource(Protocol):
    """Anything that has a city's alerts by local day."""

    def read(self, first: date, last: date) -> pa.Table:
        """The alerts filed under the local days `first` to `last` (both included), as `RAW_SCHEMA`, sorted by day.

        The rows of a day are the same whatever range is asked for. A row without a usable date is filed under a
        day that the source documents, so that no row is lost.

        Raises:
            SourceError: the source cannot be read, or not understood.
        """
        ...


@runtime_checkable
class FileSource(AlertSource, Protocol):
    """A source of landed files."""

    def unread(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths`, files of this source, that `read` does not read now."""
        ...

    def named_days(self) -> set[date]:
        """The days in the names of the files that are ready; empty where files hold any days."""
        ...


@runtime_checkable
class ChangingSource(AlertSource, Protocol):
    """A source that returns a version of each day."""

    @property
    def counts_by_day(self) -> bool:
        """Whether `changed_days` is answered without handing over all rows of the days."""
        ...

    def changed_days(self, first: date, last: date) -> dict[date, str]:
        """A version of each day from `first` to `last` that has rows: a short text that changes when the rows change.

        It may also change although the rows do not, as with a publisher that rewrites its whole data set.

        Raises:
            SourceError: the source cannot be read, or not understood.
        """
        ...


@runtime_checkable
class DatedSource(AlertSource, Protocol):
    """A source that can be asked for its newest row at the cost of one small answer."""

    def newest_day(self) -> date | None:
        """The local day of the newest row, today at the latest; None without rows, or where only reading all would tell.

        Raises:
            SourceError: the source cannot be read, or not understood.
        """
        ...


class SimulatedTruth(AlertSource, Protocol):
    """A simulated source, which returns the probabilities that its alerts were drawn from."""

    def true_probability(self, first: date, last: date) -> npt.NDArray[np.float64]:
        """P(at least one alert in the cell on the local day | all alerts before the day): (days, rows, columns)."""
        ...


class SourceError(Exception):
    """A city's source cannot be read; the message names the city, the place within the source, and what to do."""


class NoFilesError(SourceError):
    """A landing folder is missing, or holds no file that is ready."""
