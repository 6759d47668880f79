"""Runs of a city's assets without the daemon: a first forecast, one day of a machine, or a demonstration."""

import os
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import click
import dagster as dg

from shotspotter_assets.alerts.days.city_now import stored_now
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.automation.due import due
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.automation.under_way import DueRun
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import find_city
from shotspotter_assets.commands.progress import processes
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.requested_runs import (
    PROCESS_TAG,
    config_of,
    fail_lost_runs,
    job_name,
    process_address,
    runs_under_way,
    tags_of,
)
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.pages.addresses import show_now
from shotspotter_assets.settings import Settings, prepare_home
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.progress import Steps


class Launch(NamedTuple):
    """One run of assets of a city, with the tags of its partitions, config by asset and the seconds that it usually takes."""

    title: str
    city: str
    assets: Sequence[Asset]
    tags: Mapping[str, str] = {}
    config: Mapping[str, Mapping[str, Any]] = {}
    seconds: float = 0.0


class Ended(NamedTuple):
    """A line about a run that has ended, and the warning of each of its checks, which is empty for one that passed."""

    line: str
    warnings: Mapping[str, str]


@cache
def _definitions() -> dg.Definitions:
    return build_definitions(Settings.from_environment(os.environ))


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its ended subprocesses."""
    return sum(os.times()[:4])


def run_launch(launch: Launch) -> Ended:
    """Run a launch in the instance of DAGSTER_HOME, whose steps are its assets, and return its seconds and warnings."""
    started = time.monotonic()
    before = cpu_seconds()
    selection = [dg.AssetKey([launch.city, str(asset)]) for asset in launch.assets]
    job = _definitions().resolve_job_def(job_name(launch.city, launch.assets))
    ops = {f"{launch.city}__{asset}": {"config": values} for asset, values in launch.config.items()}
    config = {"ops": ops, "loggers": {"console": {"config": {"log_level": "WARNING"}}}}
    assets = Steps("asset", len(selection), launch.title)

    @dg.success_hook
    def advance(context: dg.HookContext) -> None:
        if context.op.name in {"__".join(key.path) for key in selection}:  # no check
            assets.advance()

    # The system closes the socket of a killed process, and so its run is found to be lost.
    with dg.DagsterInstance.get() as instance, socket.create_server(("127.0.0.1", 0)) as process, assets:
        tags = {**launch.tags, PROCESS_TAG: process_address(process)}
        result = job.with_hooks({advance}).execute_in_process(
            run_config=config, instance=instance, asset_selection=selection, tags=tags
        )
    warnings = {
        f"{check.check_name} of {check.asset_key.to_user_string()}": "" if check.passed else check.description or ""
        for check in result.get_asset_check_evaluations()
    }
    line = f"{launch.title}: {time.monotonic() - started:.0f} s, {cpu_seconds() - before:.0f} CPU seconds"
    return Ended(line, warnings)


def lines_of(warnings: Mapping[str, str]) -> list[str]:
    """Return a line for each check that warns."""
    return [f"{check}: {warning}" for check, warning in warnings.items() if warning]


def show_warnings(lines: Collection[str]) -> None:
    """Print the lines about checks that warn, if any."""
    if lines:
        click.echo("\n  ".join(["\nChecks that warn:", *sorted(lines)]))


def run_city(name: str) -> None:
    """Run what is due in a city, except folds, until nothing is; raise ValueError if a run changes nothing."""
    os.environ["DAGSTER_HOME"] = str(prepare_home(os.environ).absolute())
    settings = Settings.from_environment(os.environ)
    city = find_city(settings.cities, name)
    with dg.DagsterInstance.get() as instance:
        fail_lost_runs(instance)  # a killed command's run would be waited for
    warnings: dict[str, str] = {}
    started = set[DueRun]()
    try:
        with processes(1) as pool:
            for run in iter(lambda: next(_due_runs(settings, city), None), None):
                if run in started:
                    raise ValueError(f"City {city.name}: {', '.join(run.assets)} stays due: {run.why}")
                started.add(run)
                click.echo(f"{run.assets[0]}: {run.why}")
                launch = Launch(", ".join(run.assets), city.name, run.assets, tags_of(city, run), config_of(run))
                ended = pool.submit(run_launch, launch).result()
                _show_stored(settings, city)
                click.echo(ended.line)
                warnings.update(ended.warnings)
    finally:
        _show_stored(settings, city)  # after an interrupt, too
    show_warnings(lines_of(warnings))  # a later run may have evaluated a check again


def _show_stored(settings: Settings, city: City) -> None:
    """Renew the stored days on the pages, because no sensor may do so."""
    store = StoreResource(root=settings.store_root).open()
    show_now(store, city, stored_now(city, DayTable.read(store, city.name)))


def _due_runs(settings: Settings, city: City) -> Iterator[DueRun]:
    """Yield the runs that are due now, compared as the city's sensor does, with a line about each that waits."""
    store = StoreResource(root=settings.store_root).open()
    sources = SourcesResource(landing_root=settings.landing_root)
    now = local_time.now()
    snapshot = sources.snapshot(city, store, now, poll_seconds=settings.poll_seconds)
    sources.look_at_tables(city, store, now, poll_seconds=settings.poll_seconds)
    with dg.DagsterInstance.get() as instance:
        work = due(city, snapshot, Stored.read(store, city), runs_under_way(instance, city), now)
    yield from work.runs
    for line in [*(run.waiting_text for run in work.waiting), *work.waits]:
        click.echo(line)
