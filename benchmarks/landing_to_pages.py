"""Seconds from landing to pages, quiet and beside a backfill: `python -m benchmarks.landing_to_pages [--forecasts 51]`.

`dg dev` runs a city of half a year with real processes, sensors and run workers. The file of one day lands on a quiet machine, and
that of the next day while a person backfills past forecasts. Measured is the time until the pages show the day. Target: at
most 1.5 times the quiet machine's time.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.storage.catalogue import STATUS
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.installation import Installation, prepare
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.waiting import wait_until

ZONE: Final = "America/New_York"
HISTORY_DAYS: Final = 180
MAX_WAIT_S: Final = 3_600
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
RUNS: Final = "{ runsOrError(filter: {statuses: [STARTED]}) { ... on Runs { results { assetSelection { path } } } } }"


class Town:
    """An installation of one city with files of a day each."""

    def __init__(self, folder: Path) -> None:
        self.yesterday = datetime.now(ZoneInfo(ZONE)).date() - timedelta(days=1)
        self.first = self.yesterday - timedelta(days=HISTORY_DAYS + 1)
        environment = prepare(folder, {"town": CITY_FILE.format(start=self.first)})
        self.installation = Installation(folder, environment, free_port())
        self.landing = folder / "landing" / "town"
        self.landing.mkdir()
        self.store = Store(str(folder / "store"))
        self.random = np.random.default_rng(3)

    def land(self, day: date) -> None:
        """Land the file of a day with about eight alerts."""
        rows = [
            f"{day}T17:{number:02}:00Z,{-76.9 + 0.08 * east:.2f},{38.1 + 0.08 * north:.2f},Single_Gunshot,{day}-{number}\n"
            for number, (east, north) in enumerate(self.random.integers(0, 10, (self.random.poisson(8) + 1, 2)))
        ]
        part = self.landing / f"{day}.csv.part"
        part.write_text("when,lon,lat,kind,id\n" + "".join(rows))
        part.rename(part.with_suffix(""))

    def shown_day(self) -> str:
        """Return the last known day of the published pages; empty before there are any."""
        try:
            return str(json.loads(self.store.read_bytes(STATUS, "town"))["last_known"])
        except MissingObjectError:
            return ""

    def wait(self, is_so: Callable[[], bool]) -> float:
        """Wait until something is so, and return the seconds that it took."""
        began = time.monotonic()
        log = self.installation.log
        wait_until(is_so, MAX_WAIT_S, every=0.5, details=lambda: log.read_text()[-3000:])
        return time.monotonic() - began

    def seconds_to_pages(self, day: date) -> float:
        """Land the file of a day, and return the seconds until the pages show it."""
        self.land(day)
        return self.wait(lambda: self.shown_day() == str(day))

    def is_idle(self) -> bool:
        """Return True if no run is under way or queued."""
        query = RUNS.replace("[STARTED]", "[QUEUED, STARTING, STARTED]")
        return not self.installation.ask(query)["runsOrError"]["results"]

    def backfill(self, forecasts: int) -> None:
        """Start a person's backfill of past forecasts, and wait until one of its runs is under way."""
        last = self.yesterday - timedelta(days=3)
        days = [str(day) for day in days_between(last - timedelta(days=forecasts - 1), last)]
        assets = [{"path": ["town", name]} for name in ("live_models", "risk_forecasts")]
        answer = self.installation.ask(BACKFILL, assets=assets, days=days)["launchPartitionBackfill"]
        if answer["__typename"] != "LaunchBackfillSuccess":
            raise SystemExit(f"The backfill was refused: {answer}")
        self.wait(lambda: not self.is_idle())


def main() -> None:
    """Print the seconds from landing to pages, quiet and beside the backfill, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forecasts", type=int, default=51, help="past forecasts of the backfill")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        town = Town(Path(folder))
        for day in days_between(town.first, town.yesterday - timedelta(days=2)):
            town.land(day)
        with town.installation:
            history = town.wait(lambda: town.shown_day() == str(town.yesterday - timedelta(days=2)) and town.is_idle())
            print(f"history of {HISTORY_DAYS} days: {history:.0f} s", flush=True)
            quiet = town.seconds_to_pages(town.yesterday - timedelta(days=1))
            print(f"landing to pages, quiet: {quiet:.1f} s", flush=True)
            town.wait(town.is_idle)
            town.backfill(asked.forecasts)
            busy = town.seconds_to_pages(town.yesterday)
            still = "under way" if not town.is_idle() else "over"
            print(f"landing to pages, beside a backfill of {asked.forecasts} forecasts ({still}): {busy:.1f} s")
            print(f"ratio: {busy / quiet:.2f} (target 1.5)")


if __name__ == "__main__":
    main()
