"""The protocols of sources of alerts, and the error that all sources raise."""

from collections.abc import Iterable, Iterator, Sequence
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
    """A source of landed files, some of which may not be readable now."""

    def unread(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths`, files of this source, that `read` does not read now."""
        ...


@runtime_checkable
class PartwiseSource(AlertSource, Protocol):
    """A source whose rows of many days need not be in memory together."""

    def read_parts(self, parts: Sequence[tuple[date, date]]) -> Iterator[pa.Table]:
        """What `read` has for the days of each part, with one scan of the source.

        Args:
            parts: first and last day of each, contiguous, in order.

        Raises:
            SourceError: see `read`.
        """
        ...


@runtime_checkable
class ChangingSource(AlertSource, Protocol):
    """A source that can be asked which days it has other rows for than before."""

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


@runtime_checkable
class DailyFileSource(AlertSource, Protocol):
    """A source of landed files, each of which may be of one day that its name tells."""

    def named_days(self) -> set[date]:
        """The days in the names of the files that are ready."""
        ...


class SimulatedTruth(AlertSource, Protocol):
    """A simulated source, which knows how likely its alerts were."""

    def true_probability(self, first: date, last: date) -> npt.NDArray[np.float64]:
        """P(at least one alert in the cell on the local day | all alerts before the day): (days, rows, columns)."""
        ...


class SourceError(Exception):
    """A city's source cannot be read; the message names the city, the place within the source, and what to do."""


class NoFilesError(SourceError):
    """A landing folder is missing, or holds no file that is ready."""
