"""An experiment on the packaged alerts of Washington DC in December 2018: `python -m benchmarks.experiment [FOLDER]`.

The clock of forecasts and commands is shifted to noon of each day from 10 December on. At each noon the days to the one before are
stored, and the daily chain issues the forecast of the next day. The experiment is frozen on 10 December after the first forecast,
is refused before it ends, and is scored on 17 December. FOLDER (`experiment`) must not exist; it keeps the store and the files.
"""

import argparse
from datetime import UTC, date, datetime, time
from pathlib import Path
from unittest import mock

import dagster as dg
from click.testing import CliRunner

from shotspotter_assets.__main__ import main
from shotspotter_assets.calendar.local_time import ONE_DAY, days_between
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.demo import SMALL_NETWORKS
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets_tests.defs.chain import Installation, materialize, resources, run_days
from shotspotter_assets_tests.instances import instance_in_memory

NOW = "shotspotter_assets.calendar.local_time.now"
CITY = "washington_dc_2018"
FREEZE_DAY = date(2018, 12, 10)
LAST_DAY = date(2018, 12, 16)
PLAN = Path(__file__).with_name("experiment.yaml")
CHAIN = (Asset.LIVE_MODELS, Asset.RISK_FORECASTS)


def run(folder: Path) -> None:
    """Freeze, forecast and score the experiment, and print what its commands print."""
    folder.mkdir()
    plan = folder / "december.yaml"
    plan.write_text(PLAN.read_text())
    frozen = plan.with_suffix(".frozen.json")
    cities = load_cities()
    on = resources(str(folder / "store"), cities=cities)
    with instance_in_memory(folder) as instance:
        store_days(on, instance, cities[CITY].start, FREEZE_DAY - ONE_DAY)
        forecast_at_noon(on, instance, FREEZE_DAY, {Asset.LIVE_MODELS: {"settings": SMALL_NETWORKS}})
        command(folder, FREEZE_DAY, "freeze", plan)
        for day in days_between(FREEZE_DAY + ONE_DAY, LAST_DAY - ONE_DAY):
            store_days(on, instance, day - ONE_DAY, day - ONE_DAY)
            forecast_at_noon(on, instance, day, {})
        command(folder, LAST_DAY, "score", frozen)
        store_days(on, instance, LAST_DAY - ONE_DAY, LAST_DAY)
        command(folder, LAST_DAY + ONE_DAY, "score", frozen)


def store_days(on: Installation, instance: dg.DagsterInstance, first: date, last: date) -> None:
    """Store alerts and grids of days."""
    run_days(CITY, str(first), str(last), on, instance)


def noon(day: date) -> datetime:
    """Return noon in Washington."""
    return datetime.combine(day, time(12), load_cities()[CITY].zone)


def forecast_at_noon(on: Installation, instance: dg.DagsterInstance, day: date, config: dict[str, object]) -> None:
    """Issue the forecast of the next day."""
    with mock.patch(NOW, return_value=noon(day).astimezone(UTC)):
        materialize(CITY, CHAIN, on, partition_key=str(day), checks=(), config=config, instance=instance)


def command(folder: Path, day: date, name: str, file: Path) -> None:
    """Run a command of the experiment an hour after noon, and print it with its output."""
    now = noon(day).replace(hour=13).astimezone(UTC)
    with mock.patch(NOW, return_value=now):
        done = CliRunner().invoke(
            main, ["experiment", name, str(file)], env={"SHOTSPOTTER_STORE": str(folder / "store")}
        )
    print(f"{day} 13:00  shotspotter experiment {name} {file}\n{done.output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("experiment"))
    run(parser.parse_args().folder)
