"""Times the launch of a backfill from the UI: `python benchmarks/launch_backfill.py [--days 1826] [--folder DIR]`.

Starts `dg dev` on a simulated city, asks for the backfill as the UI's dialog does, and prints when the page has its answer, when
the daemon has made the run, when its process works, and when it is done; beside each, the CPU seconds of all processes until then.
"""

import argparse
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
from shotspotter_assets.rehearsal.processes import Installation, free_port, prepare

from shotspotter_assets.partitions import key_of

CITY, FIRST = "long_city", date(2014, 1, 1)
CITY_FILE = f"""
name: {CITY}
time_zone: America/New_York
start: {FIRST}
box: {{west: -77.06, south: 38.88, east: -77.0, north: 38.93}}
grid: {{rows: 8, columns: 8}}
source: {{kind: simulated, seed: 3, alerts_per_day: 12}}
"""
ASSETS = ("raw_alerts", "cleaned_alerts", "grid_tensors")
LAUNCH = """mutation($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill) {
  ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = "{ runsOrError { ... on Runs { results { status startTime endTime } } } }"
STEPS = (("the run is made", None), ("the run works", "startTime"), ("the run is done", "endTime"))


def main() -> None:
    """Start, launch, and print each step when it has happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=1_826)
    parser.add_argument("--folder", type=Path, help="keep the installation there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        with Installation(folder, prepare(folder, {CITY: CITY_FILE}), free_port()) as installation:
            time.sleep(30)  # until the daemon has made its first looks
            measure(installation, asked.days)


def measure(installation: Installation, days: int) -> None:
    """Launch a backfill of so many days, and wait for its run."""
    keys = [key_of(CITY, FIRST + timedelta(days=at)) for at in range(days)]
    backfill = {"assetSelection": [{"path": [asset]} for asset in ASSETS], "partitionNames": keys, "tags": []}
    used, started = cpu_seconds(installation), time.time()

    def show(step: str, at: float) -> None:
        print(f"{step:20s} {at - started:6.1f} s {cpu_seconds(installation) - used:7.1f} s of CPU", flush=True)

    assert "backfillId" in installation.ask(LAUNCH, backfill=backfill)["launchPartitionBackfill"]
    show("the page is answered", time.time())
    for step, moment in STEPS:
        show(step, wait_for(installation, moment))


def wait_for(installation: Installation, moment: str | None) -> float:
    """When the run reached a moment, or was first seen."""
    while True:
        runs: list[dict[str, Any]] = installation.ask(RUNS)["runsOrError"]["results"]
        if runs and (moment is None or runs[0][moment]):
            return runs[0][moment] if moment else time.time()
        time.sleep(0.2)


def cpu_seconds(installation: Installation) -> float:
    """Of all processes that run, with those of their children that have ended."""
    total = 0.0
    for process in installation.processes():
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


if __name__ == "__main__":
    main()
