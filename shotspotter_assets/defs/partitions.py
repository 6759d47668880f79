"""Daily and fold partitions of a city, mappings between them, and the partitions of a run.

A daily partition is a local civil day of the city and exists once that day is over there; an issue date exists once it
has begun. A fold is named by its cutoff: it trains on days before the cutoff and is tested on days from the cutoff on.
"""

import warnings
from datetime import date, timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import Cities
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.stored_file import SAME, Days, Partitions, Whole

PARTITION: Final = "dagster/partition"
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"
DAYS_FORMAT: Final = "%Y-%m-%d"
RunContext = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


SINGLE_RUN: Final = dg.BackfillPolicy.single_run()  # one run for all days, which reads the source once
MAX_EDGE_DAYS: Final = 14  # days of an edge to many days: Dagster ignores edges to 100 or more; lineage has all of them


def partitions_of(city: City, asset: Asset) -> dg.PartitionsDefinition | None:
    """Return the partitions of a city's asset; None for an asset without partitions.

    Scores have the partitions of issue dates, because one run can only build assets of the same partitions.
    """
    match asset.spec.partitions:
        case Partitions.DAYS:
            return day_partitions(city)
        case Partitions.ISSUE_DATES | Partitions.SCORED_DAYS:
            return issue_dates(city)
        case Partitions.FOLDS:
            return fold_partitions(city, tested=Whole.TEST_WINDOW in asset.inputs.values())
        case Partitions.YEARS:
            return year_partitions(city)
    return None


def mapping_of(city: City, asset: Asset, source: Asset) -> dg.PartitionMapping | None:
    """Return the mapping of an asset's partitions to those of an input; None for Dagster's own, as for equal partitions."""
    relation = asset.inputs[source]
    if relation is Whole.TEST_WINDOW:
        return _window(0, city.folds.test_cutoffs - 1)
    if relation is Whole.OWN_YEAR:
        return _window(0, 0)
    if not isinstance(relation, Days) or relation == SAME:
        return None
    if asset.spec.partitions is Partitions.FOLDS:
        return _window(-1, -1)  # the period before the cutoff, for all earlier days
    first = 1 - MAX_EDGE_DAYS if relation.first is None else max(relation.first, 1 - MAX_EDGE_DAYS)
    return _window(first, relation.last)


def _window(first: int, last: int) -> dg.TimeWindowPartitionMapping:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # the pinned version and the tests of the windows stand for it
        return dg.TimeWindowPartitionMapping(first, last, allow_nonexistent_upstream_partitions=True)


def asset_key(city: City, asset: Asset) -> dg.AssetKey:
    """Return the key of a city's asset."""
    return dg.AssetKey([city.name, str(asset)])


def day_partitions(city: City, first: date | None = None) -> dg.DailyPartitionsDefinition:
    """Return the city's local days, from its start, or from `first`, to its end or to yesterday."""
    return _days(city, first or city.start)


def issue_dates(city: City) -> dg.DailyPartitionsDefinition:
    """Return the issue dates of live models, forecasts and products of these, to the current day."""
    return _days(city, city.first_issue_date, end_offset=1)


def _days(city: City, first: date, end_offset: int = 0) -> dg.DailyPartitionsDefinition:
    end = None if city.end is None else (city.end + timedelta(days=1)).isoformat()
    return dg.DailyPartitionsDefinition(first.isoformat(), end_date=end, timezone=city.time_zone, end_offset=end_offset)


def fold_partitions(city: City, *, tested: bool = False) -> dg.TimeWindowPartitionsDefinition:
    """Return the city's folds whose cutoff has passed, or only `tested` folds, whose test window is over."""
    return dg.TimeWindowPartitionsDefinition(
        start=city.folds.first_cutoff(city.start).isoformat(),
        end=None if city.end is None else city.folds.next_cutoff(city.end).isoformat(),
        fmt=DAYS_FORMAT,
        cron_schedule=city.folds.cron,
        timezone=city.time_zone,
        end_offset=1 - city.folds.test_cutoffs if tested else 1,
    )


def year_partitions(city: City) -> dg.TimeWindowPartitionsDefinition:
    """Return the calendar years of the city's service to the current one, named by their 1 January."""
    return dg.TimeWindowPartitionsDefinition(
        start=f"{city.start.year}-01-01",
        end=None if city.end is None else f"{city.end.year + 1}-01-01",
        fmt=DAYS_FORMAT,
        cron_schedule="0 0 1 1 *",
        timezone=city.time_zone,
        end_offset=1,
    )


def week_partitions(cities: Cities) -> dg.TimeWindowPartitionsDefinition:
    """Return the weeks of all cities to the current one, named by their Monday."""
    start = min(city.start for city in cities.values())
    monday = (start + timedelta(days=7 - start.weekday())).isoformat()
    return dg.TimeWindowPartitionsDefinition(monday, DAYS_FORMAT, cron_schedule="0 0 * * 1", end_offset=1)


def range_tags(first: date, last: date) -> dict[str, str]:
    """Return the tags of one run over the partitions from `first` to `last`.

    Dagster resolves no `partition_key` of assets that begin on different days (`first_forecast`), but takes tags.
    """
    if first == last:
        return {PARTITION: first.isoformat()}
    return {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}


def run_days(context: RunContext, city: City) -> list[date]:
    """Return the contiguous days of a run, sorted. Raises ValueError for none, gaps, or fewer than its tags name."""
    days = sorted(map(date.fromisoformat, context.partition_keys))
    if not days:
        raise ValueError(f"{city.name}: the run names no partition that exists: {dict(context.run.tags)}.")
    tags = {RANGE_START: str(days[0]), RANGE_END: str(days[-1]), **context.run.tags}
    first = date.fromisoformat(tags[RANGE_START])
    last = date.fromisoformat(tags[RANGE_END])
    # A job's backfill gives each run only the first key of its range (Dagster issue 28861).
    if len(days) < (last - first).days + 1:
        raise ValueError(
            f"{city.name}: the run is for all days from {first} to {last} but was given {len(days)} of them. Launch the "
            "backfill of contiguous days from the asset's page: a job's runs process only the first partition of a range."
        )
    return days


def run_day(context: RunContext) -> date:
    """Return the day of a run, or the cutoff of its fold."""
    return date.fromisoformat(context.partition_key)
