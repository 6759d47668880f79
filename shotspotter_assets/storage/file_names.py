"""Names of the files and metadata of the alerts' assets, and the landed files that are known to be unreadable."""

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shotspotter_assets.storage.store import Store

ALERTS_FILE: Final = "alerts.parquet"
REJECTED_FILE: Final = "rejected.parquet"
WITHDRAWN_FILE: Final = "withdrawn.parquet"
GRID_FILE: Final = "grid.parquet"

SEEN: Final = "arrivals"
"""Folder of the store with what the sensors have seen of each city: `<sensor>_<generation>.parquet`."""
UNREADABLE_FILE: Final = "unreadable.json"

SOURCE_VERSION: Final = "source_version"
"""Metadata of a day of `raw_alerts`: the live source's own version of it when it was read."""


def unreadable_files(store: "Store", city: str) -> dict[str, str]:
    """The version in which each landed file was found unreadable by a sensor, by path."""
    return {file: found["version"] for file, found in unreadable_reasons(store, city).items()}


def unreadable_reasons(store: "Store", city: str) -> dict[str, dict[str, str]]:
    """The `version` in which each landed file was found unreadable by a sensor, and the `error`, by path."""
    from shotspotter_assets.storage.store import Partition

    partition = Partition(SEEN, city)
    return json.loads(store.read_bytes(partition, UNREADABLE_FILE)) if store.exists(partition, UNREADABLE_FILE) else {}
