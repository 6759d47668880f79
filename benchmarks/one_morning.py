"""Times one morning of many small cities whose files land at once, on the running system: `one_morning.py [--cities 60]`."""

import argparse
import json
import os
import signal
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

import dagster as dg

from shotspotter_assets.calendar.local_time import days_between, today
from shotspotter_assets.defs.automation.under_way import UNDER_WAY
from shotspotter_assets.partitions import key_of
from shotspotter_assets.rehearsal.__main__ import ZONE, end
from shotspotter_assets.rehearsal.account import materializations, runs_of, typical
from shotspotter_assets.rehearsal.cities import landed_city
from shotspotter_assets.rehearsal.drops import Drop, land
from shotspotter_assets.rehearsal.processes import Installation, free_port, prepare

DAYS = 3
"""Of each city, a file a day."""


def main() -> None:
    """Land, wait, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cities", type=int, default=60)
    parser.add_argument("--patience", type=float, default=3600, help="most seconds")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    last = today(ZONE) - timedelta(days=1)
    days = days_between(last - timedelta(days=DAYS - 1), last)
    cities = [landed_city(f"city_{number:02}", days[0], last) for number in range(options.cities)]
    for city in cities:
        del city.file["other_sources"]  # its folder would be empty
    keys = [key_of(city.name, day) for city in cities for day in days]
    with tempfile.TemporaryDirectory(prefix="one_morning_") as name:
        folder = Path(name)
        environment = prepare(folder, {city.name: json.dumps(city.file) for city in cities})
        os.environ["DAGSTER_HOME"] = environment["DAGSTER_HOME"]
        with dg.DagsterInstance.get() as instance, Installation(folder, environment, free_port()):
            for city in cities:
                for day in days:
                    land(folder / "landing", city, Drop(day, "daily"))
            landed, at_once, waiting = time.time(), 0, 0
            made: dict[str, float] = {}
            while len(made) < len(keys) and time.time() - landed < options.patience:
                runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
                queued = sum(run.status is dg.DagsterRunStatus.QUEUED for run in runs)
                at_once, waiting = max(at_once, len(runs) - queued), max(waiting, queued)
                grids = materializations(instance, ["grid_tensors"], None)
                made = {key: times[0].at - landed for (_, key), times in grids.items()}
                time.sleep(1)
            runs = runs_of(instance)
    by_city = [max(made.get(key_of(city.name, day), float("inf")) for day in days) for city in cities]
    print(f"{len(cities)} cities x {DAYS} files landed at once: {len(made)} of {len(keys)} days are on the grid")
    print(
        f"first city {min(by_city):.0f} s, median {median(by_city):.0f} s, last {max(by_city):.0f} s after the landing"
    )
    print(
        f"{sum(runs.by_status.values())} runs ({dict(runs.by_status)}); at most {at_once} at once, {waiting} in the queue"
    )
    queued_s, starting_s, working_s = typical(runs.phases)
    print(
        f"a run (median): {queued_s:.0f} s in the queue, {starting_s:.1f} s to its first step, {working_s:.1f} s of steps"
    )
    print(f"load of the machine in the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
