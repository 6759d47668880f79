"""Lineage: the versions that each stored partition was made from, in one small file per asset and city.

An asset reads the versions of its inputs before it reads the inputs, and records them after its last write. If an input
changes in between, the recorded version is the old one, and the partition is due again.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Partition, Store

LINEAGE_FILE: Final = "_lineage.json"
"""The underscore keeps the file out of data sets that readers of Parquet folders open."""
UNPARTITIONED: Final = ""
"""The key of an asset without partitions."""


class Origin(NamedTuple):
    """The versions of one stored partition.

    Attributes:
        made_from: of its inputs.
        version: of its content, for the assets that are made from it.
    """

    made_from: str
    version: str = ""


Lineage = dict[str, Origin]
"""By partition key: a day or a cutoff (ISO 8601), or `UNPARTITIONED`."""

_LINEAGE: Final = TypeAdapter(Lineage)


def read_lineage(store: Store, asset: str, city: str) -> Lineage:
    """Return the versions of an asset's stored partitions; none where it was never made."""
    try:
        return _LINEAGE.validate_json(store.read_bytes(Partition(asset, city), LINEAGE_FILE))
    except MissingObjectError:
        return {}


def record_lineage(store: Store, asset: str, city: str, origins: Mapping[date | str, Origin]) -> None:
    """Record the versions of partitions that were just written."""
    with store.alone(f"{asset}.lineage", city):
        lineage = read_lineage(store, asset, city) | {str(key): origin for key, origin in origins.items()}
        store.write_bytes(Partition(asset, city), LINEAGE_FILE, _LINEAGE.dump_json(lineage))
