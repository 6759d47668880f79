"""Lets the pages of partitions take the parts of a key from its text.

Dagster makes an object of each key of an asset to find its city and its day: seconds for hundred thousands of partitions, for each
asset that a page or the dialog of a backfill shows, and twice as many where keys are remembered (see `remembered_keys`), as these
are too many for it.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import dagster as dg
import dagster_graphql.schema  # noqa: F401  # first, as its modules import each other
from dagster_graphql.implementation import fetch_asset_checks, fetch_assets

from shotspotter_assets.dagster_patches.guard import known

STOCK: Final = known(
    "dagster_graphql.implementation.partition_status_utils:build_multi_partition_ranges_generic",
    parameters="subsets, partitions_def, dynamic_partitions_store, build_secondary_dim",
    sources=("75fc6bca28eb",),
    purpose="the pages of partitions of many cities open in seconds",
)


class _Parts(NamedTuple):
    """What the stock function asks of a key."""

    keys_by_dimension: Mapping[str, str]


class _FromTexts:
    """What the stock function asks of partitions of two dimensions."""

    def __init__(self, partitions: dg.MultiPartitionsDefinition) -> None:
        self.primary_dimension = partitions.primary_dimension
        self.secondary_dimension = partitions.secondary_dimension
        self.is_valid_key_format = partitions.is_valid_key_format
        self._names = partitions.partition_dimension_names

    def get_partition_key_from_str(self, key: str) -> _Parts:
        """The parts of a key that is valid."""
        return _Parts(dict(zip(self._names, key.split("|"), strict=True)))


def apply() -> None:
    """Let the web server of this process lay out partitions so."""
    # mypy takes what a module has imported for no part of it.
    fetch_assets.build_multi_partition_ranges_generic = _from_texts  # type: ignore[assignment, attr-defined]
    fetch_asset_checks.build_multi_partition_ranges_generic = _from_texts  # type: ignore[assignment, attr-defined]


def _from_texts(subsets: Any, partitions_def: Any, *further: Any) -> Any:
    return STOCK(subsets, _FromTexts(partitions_def), *further)
