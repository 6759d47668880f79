"""Tags and config of due runs, and the runs under way."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import dagster as dg

from shotspotter_assets.automation.under_way import DueRun, RunUnderWay
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.partitions import PARTITION, RANGE_END, RANGE_START, range_tags
from shotspotter_assets.storage.catalogue import Asset

CITY_TAG: Final = "shotspotter/city"
TARGET_TAG: Final = "shotspotter/target"  # city, first asset and days
VERSION_TAG: Final = "shotspotter/version"  # hash of the inputs
REPLACES_TAG: Final = "shotspotter/replaces"  # version of the stored partitions
REASON_TAG: Final = "shotspotter/reason"
PRIORITY_TAG: Final = "dagster/priority"
LONG_TAG: Final = "shotspotter/long"  # of runs that `dagster.yaml` limits, so that a place is free for the newest day
WAITING: Final = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING}
ACTIVE: Final = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


def runs_under_way(instance: dg.DagsterInstance, city: City) -> list[RunUnderWay]:
    """Return the city's runs that have not ended."""
    runs = instance.get_runs(dg.RunsFilter(statuses=ACTIVE))
    described = [_described(run, city.name) for run in runs]
    return [run for run in described if run.assets]


def _described(run: dg.DagsterRun, city: str) -> RunUnderWay:
    assets = {key.path[-1] for key in run.asset_selection or () if key.path[0] == city}
    has_started = run.status not in WAITING
    return RunUnderWay(frozenset(assets), _days(run.tags), run.tags.get(VERSION_TAG, ""), has_started)


def tags_of(city: City, run: DueRun) -> dict[str, str]:
    """Return the tags of a due run: its city, its days, and whether it is long."""
    days = {} if run.days is None else range_tags(*run.days)
    return {CITY_TAG: city.name} | days | ({LONG_TAG: "true"} if run.is_long else {})


def config_of(run: DueRun) -> Mapping[str, Mapping[str, Any]]:
    """Return the config of a due run by asset: only a run of the live models alone trains them."""
    return {Asset.LIVE_MODELS: {"train": False}} if Asset.LIVE_MODELS in run.assets and not run.is_training else {}


def _days(tags: Mapping[str, str]) -> tuple[date, date] | None:
    first = tags.get(RANGE_START) or tags.get(PARTITION)
    last = tags.get(RANGE_END) or first
    try:
        return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None
    except ValueError:  # partitions of another version of the project
        return None
