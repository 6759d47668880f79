"""The format of stored data: one number in the store's marker, in each record and in each table.

Format 1 is that of 0.2.0 and earlier, which wrote no number. Increase `FORMAT_VERSION` with a change after which
programs cannot read each other's files, such as a new field of a record or a new column, and add a conversion from the
format before it (`migration`).
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from pydantic import AwareDatetime, BaseModel, ValidationError

from shotspotter_assets.storage.catalogue import Asset, OtherFolder
from shotspotter_assets.storage.errors import StoreError, error_reason

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.storage.objects import Objects

FORMAT_VERSION: Final = 2
FIRST_FORMAT: Final = 1  # format of a store without a marker
MARKER: Final = "format.json"  # at the root of the store
TABLE_ENTRY: Final = b"format_version"  # entry of a Parquet file's metadata
MIGRATE: Final = "Stop the daemon, and run `shotspotter migrate`."


class FormatError(StoreError):
    """A store or a file of another format than the program's."""


class StoreFormat(BaseModel, frozen=True):
    """The marker of a store; fields of newer programs are left out."""

    format_version: int
    program: str = ""  # version of the program that wrote the marker
    migrating_to: int | None = None  # format that a migration has begun to write
    owner: str = ""  # process that migrates the store now, with its machine
    seen_at: AwareDatetime | None = None  # last sign of life of the owner

    @property
    def is_present(self) -> bool:
        """True for a whole store in the present format."""
        return self.format_version == FORMAT_VERSION and self.migrating_to is None

    def content(self) -> bytes:
        """Return the content of the marker's file."""
        return self.model_dump_json(indent=1, exclude_defaults=True).encode()


def present_format() -> StoreFormat:
    """Return the marker of a store in the present format."""
    return StoreFormat(format_version=FORMAT_VERSION, program=version("shotspotter_assets"))


def read_marker(objects: "Objects") -> StoreFormat | None:
    """Return the marker of a store; None without one, FormatError if it is damaged."""
    try:
        content = objects.read(MARKER)
    except FileNotFoundError:
        return None
    return decoded_marker(content, objects.uri(MARKER))


def decoded_marker(content: bytes, uri: str) -> StoreFormat:
    """Return the content of the marker at an address; raise FormatError if it is damaged."""
    try:
        return StoreFormat.model_validate_json(content)
    except ValidationError as error:
        raise FormatError(
            f"The format of the store is unknown because {uri} is damaged ({error_reason(error)}). Restore it from a backup."
        ) from error


def found_format(objects: "Objects") -> StoreFormat | None:
    """Return the marker of a store, that of the first format for files without one, and None for an empty store.

    Raises FormatError if the marker is damaged, or if the format is newer than the program's.
    """
    marker = read_marker(objects)
    if marker is None:
        if objects.folders().isdisjoint({*Asset, *OtherFolder}):
            return None
        # The first file may have been written since; the marker comes before it.
        marker = read_marker(objects) or StoreFormat(format_version=FIRST_FORMAT)
    newest = max(marker.format_version, marker.migrating_to or FIRST_FORMAT)
    if newest > FORMAT_VERSION:
        raise FormatError(f"Cannot use the store {objects.name}: {_newer(newest)}")
    return marker


def has_present_format(objects: "Objects") -> bool:
    """Return True for a store in the present format, and False for an empty one; raise FormatError for another one."""
    marker = found_format(objects)
    if marker is None:
        return False
    if marker.migrating_to is not None:
        raise FormatError(f"The store {objects.name} is half migrated to format {marker.migrating_to}. {MIGRATE}")
    if marker.format_version < FORMAT_VERSION:
        raise FormatError(
            f"The store {objects.name} has the older format {marker.format_version}; this program has format "
            f"{FORMAT_VERSION}. {MIGRATE}"
        )
    return True


def mark_store(objects: "Objects") -> None:
    """Write the marker of an empty store; raise FormatError for a store in another format."""
    if not has_present_format(objects):
        objects.update(MARKER, lambda before: before or present_format().content())


def checked_version(found: int) -> int:
    """Return the format of a file; raise FormatError if it is newer than the program's."""
    if found > FORMAT_VERSION:
        raise FormatError(_newer(found))
    return found


def check_table(metadata: Mapping[bytes, bytes] | None) -> None:
    """Raise FormatError for the metadata of a Parquet file in a newer format."""
    checked_version(int((metadata or {}).get(TABLE_ENTRY, FIRST_FORMAT)))


def marked_table(table: "pa.Table") -> "pa.Table":
    """Return a table with the present format in its metadata."""
    entries = {**(table.schema.metadata or {}), TABLE_ENTRY: str(FORMAT_VERSION).encode()}
    return table.replace_schema_metadata(entries)


def _newer(found: int) -> str:
    return f"format {found} is newer than format {FORMAT_VERSION} of this program. Update the program."
