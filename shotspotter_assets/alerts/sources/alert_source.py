"""The base class of readers of sources, what they need, and their errors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.alerts.days.known_days import SourceReport
    from shotspotter_assets.storage.store import Store


@dataclass(frozen=True)
class Access:
    """Folders, secrets, clients and the store of the deployment."""

    store: "Store"
    landing_root: str  # folder of the landing folders: a local path or `s3://bucket/prefix`
    environ: Mapping[str, str] = field(repr=False)  # environment with the tokens of APIs
    s3_client: Callable[[], Any] | None = None  # maker of a boto3 client, for landing folders on S3


class AlertSource(ABC):
    """A reader of a city's alerts by local day."""

    is_live: ClassVar[bool] = False  # True for a source that is polled, because its rows may change

    address: str = ""  # the `received_from` of a live source's rows, or the name of a landing folder
    since: date = date.min  # first day that a live source is asked for

    @abstractmethod
    def read(self, first: date, last: date) -> "pa.Table":
        """Return the alerts filed under the local days `first` to `last` (both included): `RAW_SCHEMA`, sorted by day.

        The rows of a day are the same whatever range is asked for. A row without a usable date is filed under a
        day that the source documents, so that no row is lost. Raises SourceError if the source cannot be read.
        """

    def gives(self, origin: str) -> bool:
        """Return True for the folder or address of rows that come from the source."""
        return origin == self.address

    def report(self) -> "SourceReport":
        """Return the reports of the source about days without rows."""
        from shotspotter_assets.alerts.days.known_days import SourceReport

        return SourceReport(self.gives)


class SourceError(Exception):
    """A city's source cannot be read; the message names the city, the place within the source, and the remedy."""


class UnusableFilesError(SourceError):
    """No file of a landing folder can be used; the message is that of the first file."""


class NoFilesError(SourceError):
    """A landing folder is missing, or holds no file that is ready."""
