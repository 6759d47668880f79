"""Time from landing to pages: `python -m benchmarks.landing_to_pages [--forecasts 51]`.

Printed are the CPU seconds of `shotspotter run` to a new city's first page (target: at most 60), and seconds from the landing
of a day's file to pages that show it: while models, folds and reports are trained, beside a person's backfill of past
forecasts, and on a quiet machine. Target: at most 1.5 times the quiet machine's seconds at any moment. `dg dev` runs a city of
half a year with real processes, sensors and run workers.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import psutil

from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.defs.requested_runs import BACKFILL_TAG, LONG_TAG
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.installation import Installation, prepare
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.waiting import wait_until

ZONE: Final = "America/New_York"
HISTORY_DAYS: Final = 180
EVERY_S: Final = 120  # seconds between two files that land while models are trained
MAX_WAIT_S: Final = 3_600
LONG_TAGS: Final = {LONG_TAG, BACKFILL_TAG}
CITY_FILE: Final = """
name: town
time_zone: America/New_York
start: {start}
automation: recent
box: {{west: -77.0, south: 38.0, east: -76.0, north: 39.0}}
grid: {{rows: 12, columns: 12}}
source:
  kind: landing
  settle_seconds: 0
  file_date: "%Y-%m-%d"
  columns: {{time: when, longitude: lon, latitude: lat, gunshot_type: kind, source_id: id}}
"""
BACKFILL: Final = """mutation($assets: [AssetKeyInput!]!, $days: [String!]!) {
  launchPartitionBackfill(backfillParams: {assetSelection: $assets, partitionNames: $days}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS: Final = """{ runsOrError(filter: {statuses: [QUEUED, STARTING, STARTED]}) {
  ... on Runs { results { tags { key } assetSelection { path } } } } }"""


class Town:
    """An installation of one city with files of a day each."""

    def __init__(self, folder: Path) -> None:
        self.yesterday = datetime.now(ZoneInfo(ZONE)).date() - timedelta(days=1)
        self.first = self.yesterday - timedelta(days=HISTORY_DAYS - 1)
        self.environment = prepare(folder, {"town": CITY_FILE.format(start=self.first)})
        self.installation = Installation(folder, self.environment, free_port())
        self.landing = folder / "landing" / "town"
        self.landing.mkdir()
        self.store = Store(str(folder / "store"))
        self.random = np.random.default_rng(3)
        self.city = load_cities(folder / "cities")["town"]
        self.alerts = 8  # of the newest file
        for day in days_between(self.first, self.yesterday):
            self.land(day)

    def land(self, day: date) -> None:
        """Land the file of a day, or replace it by one with other rows."""
        rows = [
            f"{day}T17:{number:02}:00Z,{-76.9 + 0.08 * east:.2f},{38.1 + 0.08 * north:.2f},Single_Gunshot,{day}-{number}\n"
            for number, (east, north) in enumerate(self.random.integers(0, 10, (self.alerts, 2)))
        ]
        part = self.landing / f"{day}.csv.part"
        part.write_text("when,lon,lat,kind,id\n" + "".join(rows))
        part.rename(part.with_suffix(""))

    def is_shown(self) -> bool:
        """Return True if the pages are made from the newest file and all that is stored."""
        stored = Stored.read(self.store, self.city)
        day = stored.table.days.get(self.yesterday)
        return day is not None and day.rows == self.alerts and stored.is_current(Asset.CITY_PAGES)

    def wait(self, is_so: Callable[[], bool]) -> float:
        """Wait until something is so, and return the seconds that it took."""
        began = time.monotonic()
        log = self.installation.log
        wait_until(is_so, MAX_WAIT_S, every=0.5, details=lambda: log.read_text()[-3000:])
        return time.monotonic() - began

    def seconds_to_pages(self) -> float:
        """Land the newest file with one alert more, and return the seconds until the pages show it."""
        self.alerts += 1
        self.land(self.yesterday)
        return self.wait(self.is_shown)

    def long_runs(self) -> list[str]:
        """Return the assets of the runs under way that are trainings, folds, reports or backfills."""
        return [
            run["assetSelection"][0]["path"][-1]
            for run in self.runs()
            if LONG_TAGS & {tag["key"] for tag in run["tags"]}
        ]

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs under way or queued."""
        found: list[dict[str, Any]] = self.installation.ask(RUNS)["runsOrError"]["results"]
        return found

    def is_idle(self) -> bool:
        """Return True if no run is under way or queued, now and a tick later."""
        if self.runs():
            return False
        time.sleep(15)
        return not self.runs()

    def backfill(self, forecasts: int) -> None:
        """Start a person's backfill of past forecasts, and wait until one of its runs is under way."""
        last = self.yesterday - timedelta(days=3)
        days = [str(day) for day in days_between(last - timedelta(days=forecasts - 1), last)]
        assets = [{"path": ["town", name]} for name in ("live_models", "risk_forecasts")]
        answer = self.installation.ask(BACKFILL, assets=assets, days=days)["launchPartitionBackfill"]
        if answer["__typename"] != "LaunchBackfillSuccess":
            raise SystemExit(f"The backfill was refused: {answer}")
        self.wait(lambda: bool(self.long_runs()))


def cpu_of_first_page(town: Town) -> float:
    """Return the CPU seconds of `shotspotter run` until the city has a page, from its start."""
    command = [sys.executable, "-m", "shotspotter_assets", "run", "town"]
    with subprocess.Popen(command, cwd=CHECKOUT, env=town.environment, stdout=subprocess.DEVNULL) as run:
        process = psutil.Process(run.pid)
        town.wait(town.is_shown)
        seconds = sum(process.cpu_times()[:4]) + sum(
            sum(child.cpu_times()[:2]) for child in process.children(recursive=True)
        )
        run.kill()
    return seconds


def seconds_beside_long_runs(town: Town) -> Iterator[float]:
    """Land files while long runs are under way, and yield the seconds until pages show each."""
    while True:
        beside = town.long_runs()
        if not beside and town.is_idle():
            return
        if beside:
            seconds = town.seconds_to_pages()
            print(f"landing to pages, beside {', '.join(beside)}: {seconds:.1f} s", flush=True)
            yield seconds
            time.sleep(max(EVERY_S - seconds, 0))
        time.sleep(1)


def main() -> None:
    """Print the CPU seconds to a first page, the seconds from landing to pages, and their ratio to those of a quiet machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forecasts", type=int, default=51, help="past forecasts of the backfill")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cpu = cpu_of_first_page(Town(Path(folder) / "first"))
        print(f"CPU to the first page of {HISTORY_DAYS} days: {cpu:.0f} s (target 60)", flush=True)
        town = Town(Path(folder) / "town")
        with town.installation:
            history = town.wait(town.is_shown)
            print(f"start to the first page: {history:.0f} s", flush=True)
            busy = list(seconds_beside_long_runs(town))
            town.wait(town.is_idle)
            quiet = town.seconds_to_pages()
            print(f"landing to pages, quiet: {quiet:.1f} s", flush=True)
            town.wait(town.is_idle)
            town.backfill(asked.forecasts)
            busy.append(town.seconds_to_pages())
            still = "under way" if town.long_runs() else "over"
            print(f"landing to pages, beside a backfill of {asked.forecasts} forecasts ({still}): {busy[-1]:.1f} s")
            print(f"ratios: {', '.join(f'{seconds / quiet:.2f}' for seconds in busy)} (target 1.5)")


if __name__ == "__main__":
    main()
