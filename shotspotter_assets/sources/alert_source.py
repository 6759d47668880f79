"""The base class of all readers of alerts, and the errors that they raise."""

from abc import ABC, abstractmethod
from datetime import date
from typing import ClassVar

import pyarrow as pa


class AlertSource(ABC):
    """A reader of a city's alerts by local day."""

    is_live: ClassVar[bool] = False
    """True for a source that is polled, as its rows may change."""

    address: str = ""
    """Where the rows of a live source come from, as they name it (`received_from`)."""

    @abstractmethod
    def read(self, first: date, last: date) -> pa.Table:
        """Read the alerts filed under the local days `first` to `last` (both included): `RAW_SCHEMA`, sorted by day.

        The rows of a day are the same whatever range is asked for. A row without a usable date is filed under a
        day that the source documents, so that no row is lost.

        Raises:
            SourceError: the source cannot be read, or not understood.
        """

    def named_days(self) -> set[date]:
        """Return the days in the names of landed files that are ready; empty where files hold any days."""
        return set()


class SourceError(Exception):
    """A city's source cannot be read; the message names the city, the place within the source, and the remedy."""


class NoFilesError(SourceError):
    """A landing folder is missing, or holds no file that is ready."""
