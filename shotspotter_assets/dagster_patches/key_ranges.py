"""Partitions of two dimensions that remember the keys of the last range that was asked for, and the last sets of them.

Dagster lists a run's whole range again for every partition whose metadata is added: 1,826 days would list three
million keys. Metadata of single partitions can be added in no other way. And each tick of the automation conditions reads
anew which partitions of an asset are made, which is the same as before, but for a few.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import dagster as dg

from shotspotter_assets.dagster_patches.guard import known
from shotspotter_assets.dagster_patches.unknown_keys import ExplainingPartitions

STOCK = known(
    "dagster:MultiPartitionsDefinition.get_partition_keys_in_range",
    parameters="self, partition_key_range, dynamic_partitions_store",
    sources=("2f624885278f",),
    purpose="the keys of a run over years are listed once",
)


MAX_REMEMBERED_SETS: Final = 16
"""As many as there are assets by city and day, and some; 100 MB for each million of keys."""


class RangeRememberingPartitions(ExplainingPartitions):
    """Partitions of two dimensions with a memory of the last range, and of the last sets of keys that were read."""

    def deserialize_subset(self, serialized: str) -> Any:
        remembered = self.__dict__.setdefault("_remembered_sets", {})
        name = sha256(serialized.encode()).digest()
        subset = remembered.pop(name, None) or super().deserialize_subset(serialized)
        remembered[name] = subset  # as the newest
        # The threads of a code server share it: another one may have dropped the oldest.
        for oldest in list(remembered)[:-MAX_REMEMBERED_SETS]:
            remembered.pop(oldest, None)
        return subset

    def get_partition_keys_in_range(
        self, partition_key_range: dg.PartitionKeyRange, dynamic_partitions_store: Any = None
    ) -> Sequence[dg.MultiPartitionKey]:
        remembered = self.__dict__.setdefault("_remembered", {})
        if partition_key_range not in remembered:
            keys = STOCK(self, partition_key_range, dynamic_partitions_store)
            remembered.clear()
            remembered[partition_key_range] = keys
        return remembered[partition_key_range]
