"""Landed files that cannot be read, as stored for the runs, which leave them out, and for the checks and pages."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from shotspotter_assets.storage.file_names import ARRIVALS, UNREADABLE_FILE
from shotspotter_assets.storage.store import Partition, Store

WITHOUT_FILES: Final = "without files"


@dataclass(frozen=True)
class Unreadable:
    """A landed file that cannot be read, or a folder without files: its version, and the reason."""

    version: str
    error: str

    @property
    def is_folder(self) -> bool:
        return self.version == WITHOUT_FILES


def read_unreadable(store: Store, city: str) -> dict[str, Unreadable]:
    """The unreadable files of a city, by path."""
    partition = Partition(ARRIVALS, city)
    if not store.exists(partition, UNREADABLE_FILE):
        return {}
    return {path: Unreadable(**file) for path, file in json.loads(store.read_bytes(partition, UNREADABLE_FILE)).items()}


def write_unreadable(store: Store, city: str, files: Mapping[str, Unreadable]) -> None:
    """Replace the stored files of a city."""
    content = json.dumps({path: asdict(file) for path, file in files.items()}).encode()
    store.write_bytes(Partition(ARRIVALS, city), UNREADABLE_FILE, content)


def unreadable_versions(store: Store, city: str) -> dict[str, str]:
    """The version of each unreadable file of a city, by path."""
    return {path: file.version for path, file in read_unreadable(store, city).items()}
