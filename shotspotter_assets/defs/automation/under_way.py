"""The partitions that runs are yet to make or are making: none of them is asked for again before its run is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.partitions import key_of, parse_key, parse_range_tags

UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Statuses of runs that have not ended."""


@dataclass(frozen=True)
class UnderWay:
    """What the runs are of that had not ended at one moment, whoever has asked for them.

    Attributes:
        by_asset: partition keys by asset; those of runs that name no assets are under None and count for all.
    """

    by_asset: Mapping[dg.AssetKey | None, set[str]]

    @classmethod
    def of(cls, instance: dg.DagsterInstance) -> "UnderWay":
        """What is under way now: one query."""
        by_asset: dict[dg.AssetKey | None, set[str]] = {}
        for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)):
            keys = _partition_keys(run.tags)
            for asset in run.asset_selection or [None]:
                by_asset.setdefault(asset, set()).update(keys)
        return cls(by_asset)

    def keys(self, asset: dg.AssetKey) -> set[str]:
        """Partition keys of an asset."""
        return self.by_asset.get(asset, set()) | self.by_asset.get(None, set())

    def days(self, city: str, assets: Sequence[dg.AssetKey]) -> set[date]:
        """A city's days of any of the assets."""
        named = [parse_key(key) for asset in assets for key in self.keys(asset) if key.startswith(f"{city}|")]
        return {day for _, day in named}


def _partition_keys(tags: Mapping[str, str]) -> list[str]:
    named = parse_range_tags(tags)
    if named is None:
        return [tags["dagster/partition"]] if "dagster/partition" in tags else []
    city, first, last = named
    return [key_of(city, first + timedelta(days=at)) for at in range((last - first).days + 1)]
