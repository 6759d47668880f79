"""The format of stored data: one number in the store's marker, in each record and in each table.

Increase `FORMAT_VERSION` with a change after which programs cannot read each other's files, and convert the files of the
format before.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ValidationError

from shotspotter_assets.storage.errors import StoreError, error_reason

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.storage.objects import Objects

FORMAT_VERSION: Final = 2
MARKER: Final = "format.json"  # at the root of the store
TABLE_ENTRY: Final = b"format_version"  # entry of a Parquet file's metadata


class FormatError(StoreError):
    """A store or a file of another format than the program's."""


class StoreFormat(BaseModel, frozen=True):
    """The marker of a store; fields of newer programs are left out."""

    format_version: int
    program: str = ""  # version of the program that wrote the marker

    def content(self) -> bytes:
        """Return the content of the marker's file."""
        return self.model_dump_json(indent=1).encode()


def present_format() -> StoreFormat:
    """Return the marker of a store in the present format."""
    return StoreFormat(format_version=FORMAT_VERSION, program=version("shotspotter_assets"))


def has_present_format(objects: "Objects") -> bool:
    """Return True for a store in the present format, and False for one without a marker; raise FormatError for another one."""
    try:
        found = StoreFormat.model_validate_json(objects.read(MARKER)).format_version
    except FileNotFoundError:
        return False
    except ValidationError as error:
        raise FormatError(
            f"The format of the store is unknown because {objects.uri(MARKER)} is damaged ({error_reason(error)}). Restore "
            "it from a backup."
        ) from error
    try:
        checked_version(found)
    except FormatError as error:
        raise FormatError(f"Cannot use the store {objects.name}: {error}") from error
    return True


def mark_store(objects: "Objects") -> None:
    """Write the marker of a store without one; raise FormatError for a store in another format."""
    if not has_present_format(objects):
        objects.update(MARKER, lambda before: before or present_format().content())


def checked_version(found: int) -> int:
    """Return the format of a store or file; raise FormatError if the program has another one."""
    if found > FORMAT_VERSION:
        raise FormatError(f"format {found} is newer than format {FORMAT_VERSION} of this program. Update the program.")
    if found < FORMAT_VERSION:
        raise FormatError(
            f"format {found} is older than format {FORMAT_VERSION} of this program, which cannot read it."
        )
    return found


def check_table(metadata: Mapping[bytes, bytes] | None) -> None:
    """Raise FormatError for the metadata of a Parquet file in another format."""
    checked_version(int((metadata or {}).get(TABLE_ENTRY, FORMAT_VERSION)))


def marked_table(table: "pa.Table") -> "pa.Table":
    """Return a table with the present format in its metadata."""
    entries = {**(table.schema.metadata or {}), TABLE_ENTRY: str(FORMAT_VERSION).encode()}
    return table.replace_schema_metadata(entries)
