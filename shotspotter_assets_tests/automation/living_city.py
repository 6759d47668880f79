"""A city under a clock of its own, usually of landed files: files land, the sensors tick, runs go in this process."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from weakref import finalize

import dagster as dg
from click.testing import CliRunner
from dagster._core.test_utils import freeze_time

from shotspotter_assets.__main__ import main
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import Installation, evaluate, skip_message
from shotspotter_assets_tests.instances import copy_runs, instance_in_memory

NAME = "town"
HEADER = "when,lon,lat,kind,id\n"
CITY_FILE = """
name: town
time_zone: America/New_York
start: {start}
automation: {automation}
box: {{west: -77.0, south: 38.0, east: -76.0, north: 39.0}}
grid: {{rows: {grid}, columns: {grid}}}
publication: {publication}
source:
  kind: landing
  settle_seconds: {settle}
  columns: {{time: when, longitude: {longitude}, latitude: {latitude}, gunshot_type: kind, source_id: id}}
"""


def row(day: date, number: int, hour: int = 17, place: int = 0) -> str:
    """A row of a landed file: an alert in the middle of a cell, on a minute of its own."""
    return (
        f"{day}T{hour:02}:{number % 60:02}:00Z,{-76.8 + 0.3 * (place % 3):.1f},{38.2 + 0.3 * (place // 3 % 3):.1f},"
        f"Single_Gunshot,{day}-{number}\n"
    )


def rows(first: date, last: date, number: int = 3) -> list[str]:
    """Rows of so many alerts on each day, in places that differ."""
    return [row(day, at, place=day.day * (at + 1)) for day in days_between(first, last) for at in range(number)]


@dataclass
class LivingCity:
    """The city, its landing folder and its store; `now` is the present of everything in the installation.

    A city file that is there already, of any `name`, stays as it is.
    """

    folder: Path
    start: date
    now: datetime
    name: str = NAME
    requested: list[dg.RunRequest] = field(default_factory=list)
    message: str = ""
    _cursor: str | None = None

    def __post_init__(self) -> None:
        for name in (f"landing/{self.name}", "cities", "home"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.store = Store(str(self.folder / "store"))
        self.instance = instance_in_memory(self.folder / "home")
        finalize(self, self.instance.dispose)
        if (self.folder / "cities" / f"{self.name}.yaml").exists():
            self.load()
        else:
            self.write_city_file()

    def copy(self, folder: Path) -> "LivingCity":
        """Return a city that goes on from here in its own folder."""
        shutil.copytree(self.folder, folder)
        city = LivingCity(folder, self.start, self.now, self.name, message=self.message, _cursor=self._cursor)
        copy_runs(self.instance, city.instance)
        return city

    def write_city_file(self, **changes: str) -> None:
        """Write and load the city's file; `longitude` and `latitude` name its columns, `more` is added."""
        usual = {"longitude": "lon", "latitude": "lat", "automation": "history", "settle": 0, "grid": 3}
        values = usual | {"start": self.start, "publication": "{days_late: 0}"} | changes
        (self.folder / "cities" / "town.yaml").write_text(CITY_FILE.format(**values) + changes.get("more", ""))
        self.load()

    def environment(self) -> dict[str, str]:
        folders = {f"SHOTSPOTTER_{name.upper()}": name for name in ("cities", "store", "landing")}
        return {name: str(self.folder / file) for name, file in (folders | {"DAGSTER_HOME": "home"}).items()}

    def load(self) -> None:
        with self.clock():
            settings = Settings.from_environment(self.environment())
        self.on = Installation(settings)
        self.city = settings.cities[self.name]

    @contextmanager
    def clock(self) -> Iterator[None]:
        with freeze_time(self.now), mock.patch.object(local_time, "now", return_value=self.now):
            yield

    @property
    def yesterday(self) -> date:
        return self.now.astimezone(self.city.zone).date() - timedelta(days=1)

    def land(self, name: str, *rows: str) -> Path:
        path = self.folder / "landing" / NAME / name
        path.write_text(HEADER + "".join(rows))
        self.now += timedelta(seconds=20)
        os.utime(path, (self.now.timestamp(), self.now.timestamp()))
        return path

    def remove(self, name: str) -> None:
        (self.folder / "landing" / NAME / name).unlink()

    def rename(self, name: str, new_name: str) -> None:
        path = self.folder / "landing" / NAME / name
        path.rename(path.with_name(new_name))

    def restart(self) -> None:
        """Forget the cursor, as a daemon without its storage does."""
        self._cursor = None

    def tick(self) -> list[dg.RunRequest]:
        with self.clock():
            result = evaluate(f"{self.name}_automation", self.on, self.instance, self._cursor)
        self._cursor = result.cursor
        self.events = list(result.asset_events)
        self.message = skip_message(result)
        self.now += timedelta(seconds=10)
        return list(result.run_requests or ())

    @contextmanager
    def under_way(self, assets: Iterable[str], tags: Mapping[str, str]) -> Iterator[None]:
        """Let a run of assets be under way: `dagster/partition` and other tags say which one."""
        keys = {dg.AssetKey([NAME, str(asset)]) for asset in assets}
        status = dg.DagsterRunStatus.STARTED
        run = dg.DagsterRun(job_name="__ASSET_JOB", status=status, asset_selection=keys, tags=dict(tags))
        added = self.instance.add_run(run)
        try:
            yield
        finally:
            self.instance.delete_run(added.run_id)

    def run(self, request: dg.RunRequest, config: Mapping[str, Any] | None = None, *, checks: bool = True) -> bool:
        """Run a request in this process with options of its assets by name; return True if it succeeds."""
        self.requested.append(request)
        job = self.on.definitions.resolve_job_def(request.job_name or "__ASSET_JOB")
        assets = set(request.asset_selection or ())
        no_checks = None if checks else set()
        ops = request.run_config.get("ops", {}) | {
            f"{self.name}__{name}": {"config": values} for name, values in (config or {}).items()
        }
        how = {"tags": dict(request.tags), "run_config": {"ops": ops}}
        with self.clock():
            result = job.get_subset(asset_selection=assets, asset_check_selection=no_checks).execute_in_process(
                resources=dict(self.on), instance=self.instance, raise_on_error=False, **how
            )
        self.now += timedelta(seconds=30)
        return result.success

    def settle(self, max_ticks: int = 30, *, checks: bool = True, days_only: bool = False) -> list[str]:
        """Tick and run until nothing is requested, or no days; return the runs as `asset first...last`."""
        made: list[str] = []
        for _ in range(max_ticks):
            requests = self.tick()
            if days_only:
                requests = [
                    one for one in requests if dg.AssetKey([self.name, "raw_alerts"]) in (one.asset_selection or ())
                ]
            if not requests and "tried again at" in self.message:
                self.now += timedelta(hours=1)
                continue
            if not requests:
                return made
            for request in requests:
                made.append(request.tags["shotspotter/target"].removeprefix(f"{self.name} "))
                self.run(request, checks=checks)
        raise AssertionError(f"still not settled after {max_ticks} ticks: {made}")

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run the command line at the city's present; return what it prints."""
        with self.clock():
            ran = CliRunner().invoke(main, arguments, env=self.environment())
        assert ran.exit_code == code, ran.output
        return ran.output

    def forecast(self, issue_date: date) -> ForecastRecord:
        return ForecastRecord.load(self.store, NAME, issue_date)

    @property
    def table(self) -> DayTable:
        return DayTable.read(self.store, self.name)


def assets_of(request: dg.RunRequest) -> set[str]:
    """The names of the assets of a request."""
    return {key.path[-1] for key in request.asset_selection or ()}


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)
