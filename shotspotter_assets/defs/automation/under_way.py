"""The partitions that runs are yet to make or are making: none of them is asked for again before its run is over."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
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

WILL_RETRY: Final = "dagster/will_retry"
"""Tag of a failed run: whether Dagster starts it again itself."""
RETRIED_AS: Final = "dagster/auto_retry_run_id"
"""Tag of a failed run that has been started again."""

LONGEST_UNTIL_RETRY: Final = timedelta(minutes=10)
"""From a run's failure to the next look of Dagster's daemon, which may have to be started again first."""


@dataclass(frozen=True)
class UnderWay:
    """What the runs are of that had not ended at one moment, or are about to be retried, whoever has asked for them.

    Attributes:
        by_asset: partition keys by asset; those of runs that name no assets are under None and count for all.
    """

    by_asset: Mapping[dg.AssetKey | None, set[str]]

    @classmethod
    def of(cls, instance: dg.DagsterInstance) -> "UnderWay":
        """What is under way now: two queries."""
        by_asset: dict[dg.AssetKey | None, set[str]] = {}
        for run in [*instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)), *_to_be_retried(instance)]:
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


def _to_be_retried(instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
    """Failed runs whose retry Dagster has not created yet, or has created since other runs were looked up."""
    if not instance.run_retries_enabled:
        return
    since = datetime.now(UTC) - LONGEST_UNTIL_RETRY
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)):
        if run.tags.get(WILL_RETRY) == "false":
            continue  # without the tag, Dagster is about to say it
        retry = run.tags.get(RETRIED_AS)
        again = instance.get_run_by_id(retry) if retry else None
        if again is None or not again.is_finished:
            yield run


def _partition_keys(tags: Mapping[str, str]) -> list[str]:
    named = parse_range_tags(tags)
    if named is None:
        return [tags["dagster/partition"]] if "dagster/partition" in tags else []
    city, first, last = named
    return [key_of(city, first + timedelta(days=at)) for at in range((last - first).days + 1)]
