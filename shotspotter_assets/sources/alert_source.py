"""The base class of all readers of alerts, and the errors that they raise."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import date
from typing import ClassVar

import pyarrow as pa

from shotspotter_assets.sources.unreadable import Unreadable


class AlertSource(ABC):
    """A reader of a city's alerts by local day. Only `read` is required; landing folders override the rest."""

    is_live: ClassVar[bool] = False
    """True for a source that is polled, as its rows may change."""

    @abstractmethod
    def read(self, first: date, last: date) -> pa.Table:
        """Read the alerts filed under the local days `first` to `last` (both included): `RAW_SCHEMA`, sorted by day.

        The rows of a day are the same whatever range is asked for. A row without a usable date is filed under a
        day that the source documents, so that no row is lost.

        Raises:
            SourceError: the source cannot be read, or not understood.
        """

    def unread(self, paths: Iterable[str]) -> set[str]:
        """Return those of `paths`, landed files of this source, that `read` does not read now."""
        return set()

    def unreadable(self) -> Mapping[str, Unreadable]:
        """Return landed files that `read` has left out, as they could not be read, by path."""
        return {}

    def named_days(self) -> set[date]:
        """Return the days in the names of landed files that are ready; empty where files hold any days."""
        return set()


class SourceError(Exception):
    """A city's source cannot be read; the message names the city, the place within the source, and the remedy."""


class NoFilesError(SourceError):
    """A landing folder is missing, or holds no file that is ready."""
