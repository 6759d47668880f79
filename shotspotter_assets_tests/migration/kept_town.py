"""The city of the kept store, which this version takes over from 0.2.0."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg

from shotspotter_assets.migration.conversion import Rebuilt
from shotspotter_assets.migration.days_0_2_0 import carry_days
from shotspotter_assets.migration.from_0_2_0 import convert
from shotspotter_assets.storage.store_format import MARKER, present_format
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity

START = date(2025, 1, 1)
LAST_DAY = date(2025, 5, 8)  # newest day that 0.2.0 stored, and issue date of its newest forecast
MORNING = datetime(2025, 5, 9, 13, tzinfo=UTC)  # of the day after, before its forecast of tomorrow


def convert_files(old: Path, new: Path) -> dict[str, str]:
    """Convert the files of a store of 0.2.0 into another folder; return the reasons for the rebuilt ones by path."""
    rebuilt = {}
    for file in sorted(old.rglob("*")):
        if file.is_file():
            path = file.relative_to(old).as_posix()
            outcome = convert(path, file.read_bytes())
            if isinstance(outcome, Rebuilt):
                rebuilt[path] = outcome.reason
                continue
            for converted in outcome:
                target = new / converted.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(converted.content)
    (new / MARKER).write_bytes(present_format().content())
    return rebuilt


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, as the landed files of the kept store have relative paths."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def open_town(now: datetime = MORNING) -> LivingCity:
    """Return the city in the working folder."""
    return LivingCity(Path(), START, now)


def carry(town: LivingCity) -> tuple[int, int]:
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
