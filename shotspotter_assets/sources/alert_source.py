"""The base class of all readers of alerts, and the errors that they raise."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import date
from typing import ClassVar

import pyarrow as pa

from shotspotter_assets.sources.schema import versions_of_days


class AlertSource(ABC):
    """A reader of a city's alerts by local day. Only `read` is required; the rest has defaults."""

    is_live: ClassVar[bool] = False
    """Whether the source is polled: its rows may change, and `changed_days` returns their versions."""
    counts_by_day: bool = False
    """Whether `changed_days` costs less than reading all rows of the days."""

    @abstractmethod
    def read(self, first: date, last: date) -> pa.Table:
        """Read the alerts filed under the local days `first` to `last` (both included): `RAW_SCHEMA`, sorted by day.

        The rows of a day are the same whatever range is asked for. A row without a usable date is filed under a
        day that the source documents, so that no row is lost.

        Raises:
            SourceError: the source cannot be read, or not understood.
        """

    def changed_days(self, first: date, last: date) -> dict[date, str]:
        """Return a version of each day from `first` to `last` that has rows: a text that changes when the rows change.

        It may also change although the rows do not, as with a publisher that rewrites its whole data set.

        Raises:
            SourceError: the source cannot be read, or not understood.
        """
        return versions_of_days(self.read(first, last))

    def newest_day(self) -> date | None:
        """Ask for the local day of the newest row, today at the latest.

        None without rows, or where the answer needs more than one small request.

        Raises:
            SourceError: the source cannot be read, or not understood.
        """
        return None

    def unread(self, paths: Iterable[str]) -> set[str]:
        """Return those of `paths`, landed files of this source, that `read` does not read now."""
        return set()

    def named_days(self) -> set[date]:
        """Return the days in the names of landed files that are ready; empty where files hold any days."""
        return set()


class SourceError(Exception):
    """A city's source cannot be read; the message names the city, the place within the source, and the remedy."""


class NoFilesError(SourceError):
    """A landing folder is missing, or holds no file that is ready."""
