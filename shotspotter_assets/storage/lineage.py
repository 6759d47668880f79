"""Versions of each stored partition's inputs, read before these and recorded last: a change in between makes it due."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from shotspotter_assets.storage.catalogue import LINEAGE
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import Asset

UNPARTITIONED: Final = ""  # key of an asset without partitions
BEGUN: Final = "being made from "  # before the version of the inputs of a partition that a run has begun to write


class Origin(NamedTuple):
    """Versions of a stored partition's inputs (`made_from`) and of its content."""

    made_from: str
    version: str = ""


Lineage = dict[str, Origin]  # origins by partition key: a day or cutoff (ISO 8601), or `UNPARTITIONED`
_LINEAGE: Final = TypeAdapter(Lineage)


def read_lineage(store: Store, asset: Asset, city: str) -> Lineage:
    """Return the versions of an asset's stored partitions."""
    return dict(store.read_index(LINEAGE[asset], city, _LINEAGE.validate_json) or {})


def begin_lineage(store: Store, asset: Asset, city: str, made_from: Mapping[date | str, str]) -> None:
    """Claim partitions that a run is about to write: they are due until they are recorded."""

    def claimed(lineage: Lineage) -> Lineage:
        versions = {str(key): lineage.get(str(key), Origin("")).version for key in made_from}
        return {str(key): Origin(BEGUN + inputs, versions[str(key)]) for key, inputs in made_from.items()}

    _update(store, asset, city, claimed)


def record_lineage(store: Store, asset: Asset, city: str, origins: Mapping[date | str, Origin]) -> None:
    """Record freshly written partitions; those that another run claimed from other inputs stay due.

    Runs that write a partition at once from different inputs may mix their files; the next run makes it from one state.
    """

    def recorded(lineage: Lineage) -> Lineage:
        found = {}
        for key, origin in origins.items():
            claim = lineage.get(str(key), origin)
            is_contested = claim.made_from.startswith(BEGUN) and claim.made_from != BEGUN + origin.made_from
            found[str(key)] = Origin(BEGUN, claim.version) if is_contested else origin
        return found

    _update(store, asset, city, recorded)


def _update(store: Store, asset: Asset, city: str, change: Callable[[Lineage], Lineage]) -> None:
    def changed(before: Lineage | None) -> bytes:
        return _LINEAGE.dump_json((before or {}) | change(before or {}))

    store.update(LINEAGE[asset], city, _LINEAGE.validate_json, changed)
