"""Cities whose runs start automatically, and the runs that have not ended."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

import dagster as dg

from shotspotter_assets.automation.under_way import RunUnderWay
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.partitions import PARTITION, RANGE_END, RANGE_START

NOT_AUTOMATED: Final = "The city is not automated; write `automation: recent` in its file."
CITY_TAG: Final = "shotspotter/city"
TARGET_TAG: Final = "shotspotter/target"  # tag of a requested run: its city, first asset and days
VERSION_TAG: Final = "shotspotter/version"  # tag of a requested run: a hash of its inputs
REPLACES_TAG: Final = "shotspotter/replaces"  # tag of a requested run: the version of the stored partitions
REASON_TAG: Final = "shotspotter/reason"
_ACTIVE: Final = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


def automated(cities: Iterable[City]) -> list[City]:
    """Return the cities whose `automation` is not `manual`."""
    return [city for city in cities if city.is_automated]


def runs_under_way(instance: dg.DagsterInstance, city: City) -> list[RunUnderWay]:
    """Return the city's runs that have not ended."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_ACTIVE))
    found = ((run, {key.path[-1] for key in run.asset_selection or () if key.path[0] == city.name}) for run in runs)
    return [
        RunUnderWay(frozenset(assets), _days(run.tags), run.tags.get(VERSION_TAG, ""))
        for run, assets in found
        if assets
    ]


def _days(tags: Mapping[str, str]) -> tuple[date, date] | None:
    first = tags.get(RANGE_START) or tags.get(PARTITION)
    last = tags.get(RANGE_END) or first
    try:
        return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None
    except ValueError:  # partitions of a later or earlier version
        return None
