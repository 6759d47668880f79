"""The city of the kept store, which this version takes over from 0.2.0."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.migration.days_0_2_0 import CarriedDays, carry_days
from shotspotter_assets.migration.migrate import FolderChanges, Migration
from shotspotter_assets.sources.landing import reader
from shotspotter_assets.storage.objects import objects_at
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity

START = date(2025, 1, 1)
LAST_DAY = date(2025, 5, 8)  # newest day that 0.2.0 stored, and issue date of its newest forecast
MORNING = datetime(2025, 5, 9, 13, tzinfo=UTC)  # of the day after, before its forecast of tomorrow


def migrate(store: Path, cities: Sequence[City] = ()) -> dict[str, str]:
    """Migrate a store; return the reasons for the rebuilt files by path."""
    rebuilt = {}
    for done in Migration(objects_at(str(store)), cities=cities).run():
        if isinstance(done, FolderChanges):
            assert not [change for change in done.changes if change.verb == "damaged"]
            rebuilt.update({change.path: change.reason for change in done.changes if change.verb == "rebuilt"})
    return rebuilt


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, as the landed files of the kept store have relative paths."""
    before = Path.cwd()
    os.chdir(folder)
    reader._end_idle()  # the process that reads landed files works in the folder in which it was started
    try:
        yield
    finally:
        reader._end_idle()
        os.chdir(before)


def open_town(now: datetime = MORNING) -> LivingCity:
    """Return the city in the working folder."""
    return LivingCity(Path(), START, now)


def carry(town: LivingCity) -> CarriedDays:
    with town.clock():
        return carry_days(town.store, town.city)


def settle_without_folds(town: LivingCity) -> set[str]:
    """Tick and run until nothing but folds and their reports is requested; return the names of the assets of all runs."""
    made: set[str] = set()
    folds = {dg.AssetKey([NAME, name]) for name in ("fold_models", "evaluation_reports")}
    while requests := [request for request in town.tick() if folds.isdisjoint(request.asset_selection or ())]:
        for request in requests:
            assert town.run(request, checks=False), request.tags
            made |= {key.path[-1] for key in request.asset_selection or ()}
    return made
