"""Runs parts of the chain for tests, as a launch from the UI would: by partition, by range, on any store and cities."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from shotspotter_assets.city_files import Cities, load_cities, unusable_files
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs import resources as project
from shotspotter_assets.defs.partitions import RANGE_END, RANGE_START, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import ALERTS
from shotspotter_assets_tests.instances import instance_in_memory

CITIES = load_cities(Path(__file__).parents[1] / "data" / "cities")
DAILY = ALERTS
DAILY_CHECKS = ("rows_are_conserved", "counts_equal_alerts")
TINY_NETWORK = {
    "models": ["conv_lstm"],
    "settings": {"conv_lstm": {"days": 2, "recurrent_layers": 1, "filters": 2, "epochs": 2, "batch_size": 40}},
}


class Installation(dict[str, Any]):
    """The resources of an installation, with the cities that its definitions are built from."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(project.resources(settings))
        self.settings = settings

    @property
    def definitions(self) -> dg.Definitions:
        key = repr((dict(self.settings.cities), unusable_files(self.settings.cities)))
        _BUILT[key] = _BUILT.pop(key, None) or build_definitions(self.settings)
        while len(_BUILT) > MAX_BUILT:
            del _BUILT[next(iter(_BUILT))]
        return _BUILT[key]


MAX_BUILT = 6
"""Definitions that a test process keeps: those used last."""
_BUILT: dict[str, dg.Definitions] = {}


def with_city(name: str, **changes: Any) -> Cities:
    """Return a test city with changed fields, alone: definitions of one city are built in a quarter of the time."""
    return {name: CITIES[name].model_copy(update=changes)}


def resources(store_root: str, landing_root: str = "landing", cities: Cities = CITIES) -> Installation:
    return Installation(Settings(cities, store_root, landing_root))


def materialize(
    city: str, names: Sequence[str], on: Installation, *, days: tuple[str, str] | None = None,
    partition_key: str | None = None, checks: Sequence[str] | None = None, config: Mapping[str, Any] | None = None,
    **how: Any,
) -> dg.ExecuteInProcessResult:  # fmt: skip
    """Run assets of a city, or of all cities if its name is empty, and the named checks, or all checks of the assets."""
    keys = {dg.AssetKey([city, name] if city else [name]) for name in names}
    named = None
    if checks is not None:
        named = {
            key
            for key in on.definitions.resolve_asset_graph().asset_check_keys
            if key.name in checks and key.asset_key.path[0] == city and (not names or key.asset_key in keys)
        }
    tags = dict(how.pop("tags", {})) | ({} if days is None else range_tags(*map(date.fromisoformat, days)))
    ops = {f"{city}__{name}": {"config": values} for name, values in (config or {}).items()}
    job = on.definitions.resolve_implicit_global_asset_job_def()
    return job.get_subset(asset_selection=keys, asset_check_selection=named).execute_in_process(
        run_config={"ops": ops}, partition_key=partition_key, tags=tags, resources=dict(on), **how
    )


def run_days(
    city: str, first: str, last: str, on: Installation, instance: dg.DagsterInstance, raise_on_error: bool = True,
    assets: Sequence[str] = DAILY, tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:  # fmt: skip
    """One run of the alert assets (or some of them), and of the checks that nothing is lost, over a range of days."""
    how = {"instance": instance, "raise_on_error": raise_on_error, "tags": tags or {}}
    return materialize(city, assets, on, days=(first, last), checks=DAILY_CHECKS, **how)


def copy_days(made: Path, root: Path, last: str) -> Path:
    def later(_: str, names: list[str]) -> set[str]:
        return {name for name in names if f"date={last}" < name < "date=:"}

    return Path(shutil.copytree(made, root, ignore=later))


def run_fold(
    asset: str, city: str, fold: str, on: Installation, instance: dg.DagsterInstance,
    network: dict[str, Any] | None = None, horizons: list[int] | None = None,
) -> dg.ExecuteInProcessResult:  # fmt: skip
    report = {"horizons": horizons or [], "types": bool(horizons)}
    config = network or TINY_NETWORK if asset == "fold_models" else report
    return materialize(city, [asset], on, partition_key=fold, config={asset: config}, instance=instance)


class ReportedFold(NamedTuple):
    root: Path
    trained: dg.ExecuteInProcessResult
    reported: dg.ExecuteInProcessResult


def report_fold(days: Path, root: Path, models: list[str]) -> ReportedFold:
    """Train the fold of the tiny city with some models in a copy of its days, and report it with a shorter horizon."""
    shutil.copytree(days, root)
    with instance_in_memory(root.parent) as instance:
        on = resources(str(root), cities=with_city("tiny_city", serves="residual_boosting"))
        trained = run_fold("fold_models", "tiny_city", "2024-01-01", on, instance, TINY_NETWORK | {"models": models})
        reported = run_fold("evaluation_reports", "tiny_city", "2024-01-01", on, instance, horizons=[4])
        return ReportedFold(root, trained, reported)


def evaluate(sensor: str, on: Installation, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=on.definitions, resources=dict(on), sensor_name=sensor
    )
    return on.definitions.resolve_sensor_def(sensor)(context)


def skip_message(result: dg.SensorResult) -> str:
    return (result.skip_reason.skip_message or "") if result.skip_reason else ""


def tick(
    sensor: str, on: Installation, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[list[dg.RunRequest], str | None]:
    result = evaluate(sensor, on, instance, cursor)
    return list(result.run_requests or ()), result.cursor


def stale_days(on: Installation, instance: dg.DagsterInstance, city: str, asset: str, days: Sequence[str]) -> list[str]:
    graph = on.definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return [day for day in days if resolver.get_status(dg.AssetKey([city, asset]), day) == StaleStatus.STALE]


def requested_days(request: dg.RunRequest) -> tuple[str, str]:
    day = request.tags.get("dagster/partition")
    return (day, day) if day else (request.tags[RANGE_START], request.tags[RANGE_END])


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str | None], Mapping[str, dg.MetadataValue]]:
    """Return the metadata of the materialized partitions, by asset and partition."""
    return {
        (event.asset_key.path[-1], event.partition): event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
