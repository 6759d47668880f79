"""Versions of each stored partition's inputs, read before these and recorded last: a change in between makes it due.

A run claims all its partitions of an asset at once and records them in batches, because each write of the file takes time
in proportion to the number of its partitions.
"""

from collections.abc import Callable, Mapping
from datetime import date
from time import monotonic
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from shotspotter_assets.storage.catalogue import LINEAGE, Asset
from shotspotter_assets.storage.progress import steps
from shotspotter_assets.storage.store import Store

UNPARTITIONED: Final = ""  # key of an asset without partitions
BEGUN: Final = "being made from "  # before the version of the inputs of a partition that a run has begun to write
BATCH_SECONDS: Final = 10.0  # a killed run loses the record of the partitions of at most this time


class Origin(NamedTuple):
    """Versions of a stored partition's inputs (`made_from`) and of its content, or of the settings of a day of alerts."""

    made_from: str
    version: str = ""


NOT_MADE: Final = Origin("never")  # origin of a partition that no run has begun
Key = date | None  # day or cutoff of a partition; None for an asset without partitions
Lineage = dict[str, Origin]  # origins by partition key: a day or cutoff (ISO 8601), or `UNPARTITIONED`
_LINEAGE: Final = TypeAdapter(Lineage)


def key_name(key: Key) -> str:
    """Return the name of a partition in a lineage."""
    return UNPARTITIONED if key is None else str(key)


def read_lineage(store: Store, asset: Asset, city: str) -> Lineage:
    """Return the versions of an asset's stored partitions."""
    return dict(store.read_index(LINEAGE[asset], city, _LINEAGE.validate_json) or {})


def begin_lineage(store: Store, asset: Asset, city: str, made_from: Mapping[Key, str]) -> None:
    """Claim partitions that a run is about to write: they are due until they are recorded."""

    def claimed(lineage: Lineage) -> Lineage:
        names = {key_name(key): inputs for key, inputs in made_from.items()}
        return {name: Origin(BEGUN + inputs, lineage.get(name, NOT_MADE).version) for name, inputs in names.items()}

    _update(store, asset, city, claimed)


def record_lineage(store: Store, asset: Asset, city: str, origins: Mapping[Key, Origin]) -> None:
    """Record freshly written partitions; those that another run claimed from other inputs stay due.

    Runs that write one partition concurrently from different inputs may mix their files; the next run rebuilds it.
    """

    def recorded(lineage: Lineage) -> Lineage:
        after = {key_name(key): origin for key, origin in origins.items()}
        for name, origin in after.items():
            claim = lineage.get(name, origin)
            if claim.made_from.startswith(BEGUN) and claim.made_from != BEGUN + origin.made_from:
                after[name] = Origin(BEGUN, claim.version)
        return after

    if origins:
        _update(store, asset, city, recorded)


def write_partitions(
    store: Store, asset: Asset, city: str, made_from: Mapping[Key, str], write: Callable[[Key], str]
) -> None:
    """Write partitions by `write`, which returns the version of the content, and record what they were made from.

    After an error, the partition that raised it is due; partitions that were not begun keep their earlier origins.
    """
    before = read_lineage(store, asset, city)
    begin_lineage(store, asset, city, made_from)
    unit = asset.spec.partitions.name.lower().removesuffix("s").replace("_", " ")
    waiting = dict(made_from)
    written: dict[Key, Origin] = {}
    recorded_at = monotonic()
    try:
        for key, inputs in steps(unit, made_from.items(), asset):
            del waiting[key]
            written[key] = Origin(inputs, write(key))
            if monotonic() - recorded_at > BATCH_SECONDS:
                record_lineage(store, asset, city, written)
                written = {}
                recorded_at = monotonic()
    finally:
        record_lineage(store, asset, city, written)
        _give_back(store, asset, city, waiting, before)


def _give_back(store: Store, asset: Asset, city: str, waiting: Mapping[Key, str], before: Lineage) -> None:
    """Restore the origins of claimed partitions that were not begun, unless another run has claimed them since."""

    def restored(lineage: Lineage) -> Lineage:
        claims = {key_name(key): BEGUN + inputs for key, inputs in waiting.items()}
        own = [name for name, claim in claims.items() if lineage.get(name, NOT_MADE).made_from == claim]
        return {name: before.get(name, NOT_MADE) for name in own}

    if waiting:
        _update(store, asset, city, restored)


def _update(store: Store, asset: Asset, city: str, change: Callable[[Lineage], Lineage]) -> None:
    def changed(before: Lineage | None) -> bytes:
        return _LINEAGE.dump_json((before or {}) | change(before or {}))

    store.update(LINEAGE[asset], city, _LINEAGE.validate_json, changed)
