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
ACTIVE: Final = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


def runs_under_way(instance: dg.DagsterInstance, city: City) -> list[RunUnderWay]:
    """Return the city's runs that have not ended."""
    runs = instance.get_runs(dg.RunsFilter(statuses=ACTIVE))
    described = [_described(run, city.name) for run in runs]
    return [run for run in described if run.assets]


def replacing_run(instance: dg.DagsterInstance, run: dg.DagsterRun, *, same_day: bool = False) -> str:
    """Return the id of a newer run that makes `run` superfluous; empty without one.

    The newer run was requested for other rows of the newest day of `run` (before its forecasts, if it builds no rows), or
    of a later day. With `same_day`, it has to write the rows of a day of `run`.
    """
    city = run.tags.get(CITY_TAG, "")
    described = _described(run, city)
    if run.tags.get(PRIORITY_TAG) != str(NEWEST_DAY) or described.days is None:
        return ""
    newest_day = described.days[1] if Asset.RAW_ALERTS in described.assets else described.days[1] - ONE_DAY
    runs = instance.get_runs(dg.RunsFilter(tags={CITY_TAG: city}), limit=MAX_NEWER_RUNS)
    for newer in takewhile(lambda listed: listed.run_id != run.run_id, runs):
        candidate = _described(newer, city)
        has_the_day = candidate.days is not None and candidate.days[1] >= newest_day
        writes_rows = candidate.writes([Asset.RAW_ALERTS], described.days if same_day else None)
        is_sound = newer.status in {*ACTIVE, dg.DagsterRunStatus.SUCCESS}
        if has_the_day and writes_rows and is_sound and candidate.version != described.version:
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
