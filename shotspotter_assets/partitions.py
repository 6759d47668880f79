"""The partition dimensions (city, date, fold) and the mappings between them.

A date partition is a local civil day of its city. All cities share one label calendar, because mapped time windows
must share a time zone; which instants belong to a day is the city's own clock's matter. A fold is named by its
cutoff: it trains on the days before it and is tested on the days from it to the next cutoff.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.dagster_patches.key_ranges import RangeRememberingPartitions

FOLD_CRON = "0 0 1 */3 *"
"""Quarterly cutoffs: four folds test every season."""

ALL_BEFORE = -100
"""Start offset, in folds, of a window that reaches back to the first day: mapped windows are clamped to the days there are."""


@dataclass(frozen=True)
class Partitions:
    """The partitions definitions of one set of cities."""

    city_date: dg.MultiPartitionsDefinition
    city_fold: dg.MultiPartitionsDefinition
    """Folds that can be trained: also the one whose cutoff is the last day that is over."""
    city_tested_fold: dg.MultiPartitionsDefinition
    """Folds whose test window is over."""
    cities: dg.StaticPartitionsDefinition


def build_partitions(cities: Mapping[str, City]) -> Partitions:
    """Partitions from the earliest start of all cities on; they never depend on the present date."""
    start = min(city.start for city in cities.values())
    city = dg.StaticPartitionsDefinition(list(cities))
    first_cutoff = next_cutoff(start).isoformat()
    folds = {
        end_offset: dg.TimeWindowPartitionsDefinition(
            start=first_cutoff, fmt="%Y-%m-%d", cron_schedule=FOLD_CRON, end_offset=end_offset
        )
        for end_offset in (0, 1)
    }
    return Partitions(
        city_date=RangeRememberingPartitions({"city": city, "date": dg.DailyPartitionsDefinition(start.isoformat())}),
        city_fold=dg.MultiPartitionsDefinition({"city": city, "fold": folds[1]}),
        city_tested_fold=dg.MultiPartitionsDefinition({"city": city, "fold": folds[0]}),
        cities=city,
    )


def next_cutoff(day: date) -> date:
    """The first quarterly cutoff after `day`."""
    month = (day.month - 1) // 3 * 3 + 4
    return date(day.year + month // 13, (month - 1) % 12 + 1, 1)


def fold_days(city: City, cutoff: date) -> tuple[list[date], list[date]]:
    """(days before the cutoff, days of the test window) of a city's fold."""
    before = [city.start + timedelta(days=at) for at in range((cutoff - city.start).days)]
    return before, [cutoff + timedelta(days=at) for at in range((next_cutoff(cutoff) - cutoff).days)]


def _from_days(last_fold: int) -> dg.MultiPartitionMapping:
    """Days of the same city from the first one to the end of the test window of the fold `last_fold` later."""
    window = dg.TimeWindowPartitionMapping(
        start_offset=ALL_BEFORE, end_offset=last_fold, allow_nonexistent_upstream_partitions=True
    )
    return dg.MultiPartitionMapping(
        {
            "city": dg.DimensionPartitionMapping("city", dg.IdentityPartitionMapping()),
            "date": dg.DimensionPartitionMapping("fold", window),
        }
    )


# Dagster calls these features beta; the pinned version and the tests of the windows stand for them.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)

    ONE_RUN = dg.BackfillPolicy.single_run()
    """A backfill of contiguous days of one city is one run, which reads and writes them together."""

    DAYS_BEFORE_CUTOFF = _from_days(-1)
    """A fold's model is made from all days before its cutoff."""

    DAYS_TO_NEXT_CUTOFF = _from_days(0)
    """A fold's report is made from the days before its cutoff (baselines) and those of its test window."""

    SAME_FOLD = dg.MultiPartitionMapping(
        {
            "city": dg.DimensionPartitionMapping("city", dg.IdentityPartitionMapping()),
            "fold": dg.DimensionPartitionMapping("fold", dg.TimeWindowPartitionMapping()),
        }
    )
    """Tested folds are a subset of the trainable ones."""

    ALL_FOLDS = dg.MultiToSingleDimensionPartitionMapping("city")
    """A city's report is made from all of its folds."""
