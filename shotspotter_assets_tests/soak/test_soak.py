"""A week of landed files in minutes: days come, are corrected, are corrupt, and everything is killed and restarted.

At the end nothing is lost, nothing is counted twice, the statuses are true, and the city with the wrong file stopped alone.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import dagster as dg
import psutil
import pytest
import requests

from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.forecasts.issued_forecasts import load_record
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import CLEANED, FORECAST_RECORD, RAW_ROWS, TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredFile
from shotspotter_assets_tests.installation import Installation, prepare
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.waiting import wait_until

ZONE: Final = "America/New_York"
HISTORY_DAYS: Final = 40
LIVE_DAYS: Final = 6
MAX_WAIT_S: Final = 1800  # a run that was killed as it started counts as lost after five minutes
CITY_FILE: Final = """
name: {name}
time_zone: America/New_York
start: {start}
automation: recent
box: {{west: -77.0, south: 38.0, east: -76.0, north: 39.0}}
grid: {{rows: 4, columns: 4}}
source:
  kind: landing
  settle_seconds: 0
  file_date: "%Y-%m-%d"
  columns: {{time: when, longitude: lon, latitude: lat, gunshot_type: kind, source_id: id}}
"""
STAGES: Final = (RAW_ROWS, CLEANED, TENSORS, FORECAST_RECORD)  # what a run stores before a fault meets it
CHECKS: Final = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } } } } }"""


class World:
    """An installation under a supervisor, and the truth of the files that were landed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.yesterday = datetime.now(ZoneInfo(ZONE)).date() - timedelta(days=1)
        self.first = self.yesterday - timedelta(days=HISTORY_DAYS + LIVE_DAYS - 1)
        files = {name: CITY_FILE.format(name=name, start=self.first) for name in ("north", "south")}
        files["south"] += f"first_forecast: {self.yesterday - timedelta(days=LIVE_DAYS)}\n"
        files["wrong"] = CITY_FILE.format(name="wrong", start=self.first) + "boxes: 3\n"
        environment = prepare(folder, files, PYTHONPATH=str(CHECKOUT), OMP_NUM_THREADS="1")
        self.installation = Installation(folder, environment, free_port())
        self.landing = folder / "landing"
        self.store = Store(str(folder / "store"))
        self.truth: dict[tuple[str, date], set[str]] = {}
        self.random = random.Random(seed)
        for name in ("north", "south", "wrong"):
            (self.landing / name).mkdir()

    def land(self, city: str, day: date, alerts: int | None = None) -> None:
        number = self.random.randint(0, 8) if alerts is None else alerts
        names = {f"{city}-{day}-{self.random.randint(0, 10**6)}" for _ in range(number)}
        rows = [
            f"{day}T17:{at:02}:00Z,{-76.9 + 0.1 * (at % 9):.1f},38.{5 + at % 3},Single_Gunshot,{name}\n"
            for at, name in enumerate(sorted(names))
        ]
        partial = self.landing / city / f"{day}.csv.part"
        partial.write_text("when,lon,lat,kind,id\n" + "".join(rows))
        partial.rename(partial.with_suffix(""))
        self.truth[city, day] = names

    def stored(self, city: str, day: date) -> list[str]:
        with contextlib.suppress(Exception):  # a day that is not there yet, or is being replaced
            return self.store.read_table(CLEANED, city, day)["source_id"].to_pylist()
        return ["not stored"]

    def is_built(self, city: str) -> bool:
        """True if all landed days of the city are stored as landed, and the newest forecast is made from them."""
        days = [day for name, day in self.truth if name == city]
        if any(sorted(self.stored(city, day)) != sorted(self.truth[city, day]) for day in days):
            return False
        return self.is_forecast_from(city, max(days))

    def is_forecast_from(self, city: str, day: date) -> bool:
        """True if `day` is the newest day that the city's newest forecast uses; earlier days are not issued again."""
        issued = self.store.days_present(FORECAST_RECORD, city)
        return bool(issued) and load_record(self.store, city, max(issued)).last_known == day

    def reached(self, file: StoredFile, city: str, day: date) -> bool:
        """True if a run stored `file` of the landed day, or a forecast from it."""
        if file is FORECAST_RECORD:
            return self.is_forecast_from(city, day)
        return day in self.store.days_present(file, city)

    def wait_for(self, what: Callable[[], Any], reason: str) -> None:
        """Supervise until it is true: a process that ended is started again, as a service manager does."""

        def supervised() -> Any:
            if self.installation.process.poll() is not None:
                self.installation.stop()
                self.installation.start()
            return what()

        log = self.installation.log
        wait_until(supervised, MAX_WAIT_S, every=1, details=lambda: f"{reason}; {log.read_text()[-3000:]}")

    def kill(self, processes: list[psutil.Process]) -> None:
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def failed_checks(self, city: str) -> set[str]:
        """The red or yellow lights of the raw alerts of a city."""
        answer = self.installation.ask(CHECKS, key={"path": [city, "raw_alerts"]})
        checks = answer["assetNodeOrError"]["assetChecksOrError"]["checks"]
        latest = {check["name"]: check["executionForLatestMaterialization"] or {} for check in checks}
        return {name for name, found in latest.items() if found.get("status") == "FAILED"}


@pytest.fixture(params=[7, 8, 9])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(tmp_path, request.param)
    for city in ("north", "south"):
        for day in days_between(world.first, world.first + timedelta(days=HISTORY_DAYS - 1)):
            world.land(city, day)
    with world.installation:
        yield world


@pytest.mark.slow
@pytest.mark.timeout(4500)
def test_kills_corrections_and_corrupt_files_lose_or_repeat_nothing(world: World) -> None:
    installation = world.installation
    world.wait_for(lambda: world.is_built("north") and world.is_built("south"), "the history")
    live = days_between(world.yesterday - timedelta(days=LIVE_DAYS - 1), world.yesterday)
    faults: list[Callable[[], None]] = [
        lambda: world.kill(installation.run_workers()),
        lambda: (world.landing / "north" / "bad.parquet").write_bytes(b"PAR1 and nothing") and None,
        lambda: world.kill(list(installation.processes())),
        lambda: world.land("north", live[0] - timedelta(days=3), alerts=5),
        lambda: world.kill(installation.daemons()),
        lambda: world.land("south", live[0] - timedelta(days=20), alerts=4),
    ]
    for day, fault in zip(live, faults, strict=True):
        world.land("north", day)
        world.land("south", day)
        file = world.random.choice(STAGES)
        world.wait_for(lambda day=day, file=file: world.reached(file, "north", day), f"{file.asset} of {day}")
        fault()
        world.wait_for(lambda: world.is_built("north") and world.is_built("south"), f"the files of {day}")

    def is_quiet() -> bool:
        with (
            contextlib.suppress(requests.RequestException, KeyError, TypeError, ValueError),
            dg_instance(world) as instance,
        ):
            running = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
            return installation.answers() and not instance.get_runs(dg.RunsFilter(statuses=running))
        return False

    world.wait_for(is_quiet, "all runs to end")
    days = [str(day) for day in days_between(world.first, world.yesterday)]
    with dg_instance(world) as instance:
        for city in ("north", "south"):
            for asset in ("raw_alerts", "cleaned_alerts", "grid_tensors"):
                assert sorted(instance.get_materialized_partitions(dg.AssetKey([city, asset]))) == days
    for (city, day), names in world.truth.items():
        assert sorted(world.stored(city, day)) == sorted(names), (city, day)
    for city in ("north", "south"):
        issued = world.store.days_present(FORECAST_RECORD, city)
        assert world.yesterday in issued
    assert "files_are_readable" in world.failed_checks("north")
    assert "files_are_readable" not in world.failed_checks("south")
    assert not world.store.days_present(RAW_ROWS, "wrong")


@contextlib.contextmanager
def dg_instance(world: World) -> Iterator[dg.DagsterInstance]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(world.installation.home))
        with dg.DagsterInstance.get() as instance:
            yield instance
