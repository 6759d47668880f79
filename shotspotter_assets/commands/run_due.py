"""Runs of a city that are due, in this process: a first forecast, or one day of a machine without the daemon."""

import os
from collections.abc import Iterator

import click
import dagster as dg

from shotspotter_assets.automation.due import due
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.automation.under_way import DueRun
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import find_city
from shotspotter_assets.commands.launch import Launch, run_launch
from shotspotter_assets.commands.lost_runs import fail_lost_runs
from shotspotter_assets.defs.requested_runs import config_of, runs_under_way, tags_of
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.settings import Settings, prepare_home


def run_city(name: str) -> None:
    """Run what is due in a city, except folds, until nothing is; raise ValueError if a run changes nothing."""
    os.environ["DAGSTER_HOME"] = str(prepare_home(os.environ).absolute())
    settings = Settings.from_environment(os.environ)
    city = find_city(settings.cities, name)
    with dg.DagsterInstance.get() as instance:
        fail_lost_runs(instance)  # a killed command's run would be waited for
    warnings = set[str]()
    started = set[DueRun]()
    for run in iter(lambda: next(_due_runs(settings, city), None), None):
        if run in started:
            raise ValueError(f"City {city.name}: {', '.join(run.assets)} stays due: {run.why}")
        started.add(run)
        click.echo(f"{run.assets[0]}: {run.why}")
        warnings.update(run_launch(_launch(city, run)))
    if warnings:
        click.echo("\n  ".join(["\nChecks that warn:", *sorted(warnings)]))


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


def _launch(city: City, run: DueRun) -> Launch:
    """Return the launch of a due run."""
    return Launch(", ".join(run.assets), city.name, run.assets, tags_of(city, run), config_of(run))
