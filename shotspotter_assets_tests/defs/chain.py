"""Runs parts of the chain for tests, as a launch from the UI would: by partition, by range, on any store and cities."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from shotspotter_assets.cities.registry import Cities, load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs import resources as project
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.settings import Settings

CITIES = load_cities(Path(__file__).parents[1] / "data" / "cities")
SETTINGS = Settings(CITIES, store_root="store", landing_root="landing")
DEFINITIONS = build_definitions(SETTINGS)
"""Of the tests' own cities; runs and ticks name the store and the landing folders that they are on."""

SENSORS = {sensor.name: sensor for sensor in DEFINITIONS.sensors or []}
SCHEDULES = {schedule.name: schedule for schedule in DEFINITIONS.schedules or []}

DAILY = ("raw_alerts", "cleaned_alerts", "grid_tensors")
DAILY_CHECKS = ("rows_are_conserved", "counts_equal_alerts")
TINY_NETWORK = {
    "models": ["conv_lstm"],
    "settings": {"conv_lstm": {"days": 4, "recurrent_layers": 2, "filters": 2, "epochs": 2, "batch_size": 40}},
}


def with_city(name: str, **changes: Any) -> Cities:
    """The tests' cities, with what the file of one of them would say."""
    return {**CITIES, name: CITIES[name].model_copy(update=changes)}


def resources(store_root: str, landing_root: str = "landing", cities: Cities = CITIES) -> dict[str, Any]:
    """The resources of the definitions, on other roots."""
    return project.resources(Settings(cities, store_root, landing_root))


def materialize(
    names: Sequence[str], resources: dict[str, Any], *, checks: Sequence[str] | None = None, **how: Any
) -> dg.ExecuteInProcessResult:
    """One run of the assets and of the checks that are named, or of all checks of the assets.

    Args:
        names: of assets; none for a run of checks alone.
        resources: see above.
        checks: names of checks.
        how: instance, partition_key, tags, run_config, raise_on_error as Dagster takes them.
    """
    selection = dg.AssetSelection.assets(*names)
    if checks is not None:
        keys = [
            key
            for key in DEFINITIONS.resolve_asset_graph().asset_check_keys
            if key.name in checks and (not names or key.asset_key.to_user_string() in names)
        ]
        selection = selection.without_checks() | dg.AssetSelection.checks(*keys)
    return dg.materialize(
        [*(DEFINITIONS.assets or []), *(DEFINITIONS.asset_checks or [])],
        selection=selection,
        resources=resources,
        **how,
    )


def run_days(
    city: str,
    first: str,
    last: str,
    resources: dict[str, Any],
    instance: dg.DagsterInstance,
    raise_on_error: bool = True,
    assets: Sequence[str] = DAILY,
) -> dg.ExecuteInProcessResult:
    """One run of the daily assets (or some of them), and of the checks that nothing is lost, over a range of days."""
    tags = range_tags(city, first, last)
    return materialize(
        assets, resources, checks=DAILY_CHECKS, instance=instance, tags=tags, raise_on_error=raise_on_error
    )


def copy_days(made: Path, root: Path, last: str) -> Path:
    """Copy a store with the days of `made` up to the last one."""
    return Path(
        shutil.copytree(
            made, root, ignore=lambda _, names: {name for name in names if f"date={last}" < name < "date=:"}
        )
    )


def run_fold(
    asset: str,
    city: str,
    fold: str,
    resources: dict[str, Any],
    instance: dg.DagsterInstance,
    network: dict[str, Any] | None = None,
    horizons: list[int] | None = None,
) -> dg.ExecuteInProcessResult:
    """One run of a fold's model or report."""
    config = (
        network or TINY_NETWORK if asset == "fold_models" else {"horizons": horizons or [], "types": bool(horizons)}
    )
    return materialize(
        [asset],
        resources,
        instance=instance,
        partition_key=key_of(city, fold),
        run_config={"ops": {asset: {"config": config}}},
    )
