"""What a source of alerts is, and the errors that all sources share."""

from datetime import date
from typing import Protocol

import pyarrow as pa


class AlertSource(Protocol):
    """Anything that can hand over a city's alerts for a range of local days."""

    def read(self, first: date, last: date) -> pa.Table:
        """The alerts filed under the local days `first` to `last` (both included), as `RAW_SCHEMA`, sorted by day.

        The rows of a day are the same whatever range is asked for. A row without a usable date is filed under a
        day that the source documents, so that no row is lost.

        Raises:
            SourceError: the source cannot be read, or not understood.
        """
        ...


class SourceError(Exception):
    """A city's source cannot be read; the message names the city, the place within the source, and what to do."""
