"""Tags of the runs that sensors request, the runs under way, and runs whose work a newer one replaces."""

from collections.abc import Mapping
from datetime import date
from itertools import takewhile
from typing import Final

import dagster as dg

from shotspotter_assets.automation.under_way import NEWEST_DAY, RunUnderWay
from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.partitions import PARTITION, RANGE_END, RANGE_START
from shotspotter_assets.storage.catalogue import Asset

CITY_TAG: Final = "shotspotter/city"
TARGET_TAG: Final = "shotspotter/target"  # city, first asset and days
VERSION_TAG: Final = "shotspotter/version"  # hash of the inputs
REPLACES_TAG: Final = "shotspotter/replaces"  # version of the stored partitions
REASON_TAG: Final = "shotspotter/reason"
PRIORITY_TAG: Final = "dagster/priority"
MAX_NEWER_RUNS: Final = 50  # maximum number of runs of a city that may replace one
_ACTIVE: Final = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


def runs_under_way(instance: dg.DagsterInstance, city: City) -> list[RunUnderWay]:
    """Return the city's runs that have not ended."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_ACTIVE))
    described = [_described(run, city.name) for run in runs]
    return [run for run in described if run.assets]


def replacing_run(instance: dg.DagsterInstance, run: dg.DagsterRun, *, same_day: bool = False) -> str:
    """Return the id of a newer run that makes `run` superfluous; empty without one.

    It was requested for other rows of the newest day of `run`, of the last day before its forecasts, or, unless it has to
    be the `same_day`, for a later day.
    """
    own = _described(run, city := run.tags.get(CITY_TAG, ""))
    if run.tags.get(PRIORITY_TAG) != str(NEWEST_DAY) or own.days is None:
        return ""
    newest_day = own.days[1] if Asset.RAW_ALERTS in own.assets else own.days[1] - ONE_DAY
    runs = instance.get_runs(dg.RunsFilter(tags={CITY_TAG: city}), limit=MAX_NEWER_RUNS)
    for newer in takewhile(lambda other: other.run_id != run.run_id, runs):
        other = _described(newer, city)
        is_newer = other.days is not None and other.days[1] >= newest_day and other.version != own.version
        is_of_day = other.writes([Asset.RAW_ALERTS], own.days if same_day else None)
        if is_newer and is_of_day and newer.status in {*_ACTIVE, dg.DagsterRunStatus.SUCCESS}:
            return newer.run_id
    return ""


def _described(run: dg.DagsterRun, city: str) -> RunUnderWay:
    assets = {key.path[-1] for key in run.asset_selection or () if key.path[0] == city}
    return RunUnderWay(frozenset(assets), _days(run.tags), run.tags.get(VERSION_TAG, ""))


def _days(tags: Mapping[str, str]) -> tuple[date, date] | None:
    first = tags.get(RANGE_START) or tags.get(PARTITION)
    last = tags.get(RANGE_END) or first
    try:
        return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None
    except ValueError:  # partitions of another version of the project
        return None
