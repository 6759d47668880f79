"""Times one morning of many small cities whose files land at once, on the running system: `one_morning.py [--cities 60]`.

Until each city's newest day has its patrol plan; with `--grids`, until all days are on the grid.
"""

import argparse
import contextlib
import json
import os
import signal
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

import dagster as dg
import psutil
from launch_backfill import cpu_seconds

from shotspotter_assets.calendar.local_time import days_between, today
from shotspotter_assets.dagster_patches.run_launcher import process_of
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
    parser.add_argument("--grids", action="store_true", help="stop once all days are on the grid")
    parser.add_argument("--patience", type=float, default=3600, help="most seconds")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    last = today(ZONE) - timedelta(days=1)
    days = days_between(last - timedelta(days=DAYS - 1), last)
    cities = [landed_city(f"city_{number:02}", days[0], last) for number in range(options.cities)]
    for city in cities:
        del city.file["other_sources"]  # its folder would be empty
    keys = [key_of(city.name, day) for city in cities for day in days]
    newest = {key_of(city.name, last) for city in cities}
    with tempfile.TemporaryDirectory(prefix="one_morning_") as name:
        folder = Path(name)
        environment = prepare(folder, {city.name: json.dumps(city.file) for city in cities})
        os.environ["DAGSTER_HOME"] = environment["DAGSTER_HOME"]
        with dg.DagsterInstance.get() as instance, Installation(folder, environment, free_port()) as installation:
            for city in cities:
                for day in days:
                    land(folder / "landing", city, Drop(day, "daily"))
            landed, at_once, waiting = time.time(), 0, 0
            workers = Workers()
            used, made, planned = cpu_seconds(installation), dict[str, float](), dict[str, float]()
            while time.time() - landed < options.patience:
                runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
                queued = sum(run.status is dg.DagsterRunStatus.QUEUED for run in runs)
                at_once, waiting = max(at_once, len(runs) - queued), max(waiting, queued)
                workers.look(installation)
                grids = materializations(instance, ["grid_tensors"], None)
                made = {key: times[0].at - landed for (_, key), times in grids.items()}
                plans = materializations(instance, ["patrol_plans"], None)
                planned = {key: times[0].at - landed for (_, key), times in plans.items() if key in newest}
                if len(made) == len(keys) and (options.grids or len(planned) == len(newest)):
                    break
                time.sleep(0.5)
            used = cpu_seconds(installation) - used
            runs = runs_of(instance)
            kinds = workers.by_kind(instance)
    by_city = [max(made.get(key_of(city.name, day), float("inf")) for day in days) for city in cities]
    print(f"{len(cities)} cities x {DAYS} files landed at once: {len(made)} of {len(keys)} days are on the grid")
    print(
        f"first city {min(by_city):.0f} s, median {median(by_city):.0f} s, last {max(by_city):.0f} s after the landing"
    )
    if planned:
        print(
            f"{len(planned)} of {len(newest)} newest days have a patrol plan: the first after {min(planned.values()):.0f} s, "
            f"half of them after {median(planned.values()):.0f} s, the last after {max(planned.values()):.0f} s"
        )
    print(
        f"{sum(runs.by_status.values())} runs ({dict(runs.by_status)}); at most {at_once} at once, {waiting} in the queue"
    )
    queued_s, starting_s, working_s = typical(runs.phases)
    print(
        f"a run (median): {queued_s:.0f} s in the queue, {starting_s:.1f} s to its first step, {working_s:.1f} s of steps"
    )
    print(f"{used:.0f} s of CPU in all; the largest process of a run had {workers.memory / 1e6:.0f} MB")
    for kind, seconds in kinds.items():
        print(f"    {len(seconds)} runs of {kind}: {median(seconds):.1f} s of CPU in their process (median)")
    print(f"load of the machine in the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


class Workers:
    """What the processes of runs have used."""

    def __init__(self) -> None:
        self.memory, self._processor = 0, dict[int, float]()

    def look(self, installation: Installation) -> None:
        """Note what those that run have used until now."""
        for worker in installation.run_workers():
            with contextlib.suppress(psutil.Error):  # it has ended
                self._processor[worker.pid] = sum(worker.cpu_times()[:4])  # with those of its children
                self.memory = max(self.memory, worker.memory_info().rss)

    def by_kind(self, instance: dg.DagsterInstance) -> dict[str, list[float]]:
        """CPU seconds of the process of each run that ended well, by the assets that it made."""
        found: dict[str, list[float]] = {}
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS])):
            kind = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ()))
            found.setdefault(kind, []).append(self._processor.get(process_of(instance, run.run_id) or 0, 0.0))
        return found


if __name__ == "__main__":
    main()
