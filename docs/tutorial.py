"""Runs the commands of the tutorial in an empty folder, and prints each with its output, seconds and CPU seconds.

    .venv/bin/python -m docs.tutorial FOLDER

The alerts are those of the simulated city, written as a vendor's export: two years to the day before yesterday, and the
file of yesterday.
"""

import os
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import pandas as pd

from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings
from shotspotter_assets.cities.local_time import ONE_DAY, today
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.grid.dates import wall_clock

HISTORY: Final = timedelta(days=730)
SETTLED_SECONDS: Final = LandingSettings.model_fields["settle_seconds"].default + 1
FIRST_DAY: Final = (
    "new-city riverton_md alerts.csv",
    "check-cities",
    "run riverton_md",
    "pages --print",
)
SECOND_DAY: Final = ("run riverton_md", "status riverton_md")


def write_export(file: Path, first: date, last: date) -> None:
    """Write the simulated alerts of some days as a vendor's export."""
    city = load_cities()["simulated_city"]
    alerts = city.source.open(city, None).read(first, last)
    moments = pd.Series(wall_clock(alerts["time_utc"], city.zone))
    table = pd.DataFrame(
        {
            "Flex ID": alerts["source_id"].to_pandas(),
            "Incident Date/Time": moments.dt.strftime("%m/%d/%Y %I:%M:%S %p"),
            "Rounds": alerts["rounds"].to_pandas().astype("Int64"),
            "Type": alerts["gunshot_type"].to_pandas().str.replace("_", " "),
            "Latitude": alerts["latitude"].to_pandas().round(6),
            "Longitude": alerts["longitude"].to_pandas().round(6),
        }
    )
    table.to_csv(file, index=False)
    time.sleep(SETTLED_SECONDS)


def run(command: str, folder: Path) -> None:
    """Run a command in the folder, and print it with its output, seconds and CPU seconds."""
    started = time.monotonic()
    before = os.times()
    named = {"CITIES": "cities", "LANDING": "landing", "STORE": "store"}
    places = {f"SHOTSPOTTER_{name}": str(folder / path) for name, path in named.items()}
    ran = subprocess.run(
        [sys.executable, "-m", "shotspotter_assets", *command.split()],
        cwd=folder,
        env={**os.environ, **places, "DAGSTER_HOME": str(folder / ".dagster_home")},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = ran.stdout.replace(str(folder), "/home/ann/riverton").rstrip()
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(
        f"$ shotspotter {command}\n{shown}\n({time.monotonic() - started:.0f} s, {cpu:.0f} CPU seconds)\n", flush=True
    )


def main() -> None:
    """Run both days of the tutorial."""
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True)
    yesterday = today(load_cities()["simulated_city"].zone) - ONE_DAY
    write_export(folder / "alerts.csv", yesterday - HISTORY, yesterday - ONE_DAY)
    print("".join((folder / "alerts.csv").open().readlines()[:3]))
    for command in FIRST_DAY:
        run(command, folder)
    write_export(folder / "landing" / "riverton_md" / f"alerts_{yesterday}.csv", yesterday, yesterday)
    for command in SECOND_DAY:
        run(command, folder)


if __name__ == "__main__":
    main()
