"""Versions of each stored partition's inputs, read before these and recorded last: a change in between makes it due."""

from collections.abc import Mapping
from datetime import date
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from shotspotter_assets.storage.catalogue import LINEAGE
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import Asset

UNPARTITIONED: Final = ""  # key of an asset without partitions


class Origin(NamedTuple):
    """Versions of a stored partition's inputs (`made_from`) and of its content."""

    made_from: str
    version: str = ""


Lineage = dict[str, Origin]  # origins by partition key: a day or cutoff (ISO 8601), or `UNPARTITIONED`
_LINEAGE: Final = TypeAdapter(Lineage)


def read_lineage(store: Store, asset: Asset, city: str) -> Lineage:
    """Return the versions of an asset's stored partitions."""
    return dict(store.read_index(LINEAGE[asset], city, _LINEAGE.validate_json) or {})


def record_lineage(store: Store, asset: Asset, city: str, origins: Mapping[date | str, Origin]) -> None:
    """Record the versions of freshly written partitions."""
    with store.alone(f"{asset}.lineage", city):
        lineage = read_lineage(store, asset, city) | {str(key): origin for key, origin in origins.items()}
        store.write_bytes(LINEAGE[asset], _LINEAGE.dump_json(lineage), city)
