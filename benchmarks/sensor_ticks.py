"""CPU seconds of one evaluation of all automation conditions: `python benchmarks/sensor_ticks.py [--cities 10] [--days 365]`.

The cities are generated. All their days up to yesterday are recorded on the grid and those of the last fortnight in the daily
chain, on a new instance with the shipped event log (SQLite, or `--postgres URL` of an empty PostgreSQL database).
Targets with nothing new: 1 s for 10 cities, 2.5 s for 25 cities with 3,650 days on PostgreSQL.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import yaml
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

from shotspotter_assets.defs.city_assets import ALERT_ASSETS, daily_chain

BATCH: Final = 2_000
CITY: Final = {
    "time_zone": "America/New_York",
    "box": {"west": -77.0, "south": 38.0, "east": -76.0, "north": 39.0},
    "source": {"kind": "landing", "columns": {"time": "when", "longitude": "lon", "latitude": "lat"}},
    "automation": "recent",
}
ON_POSTGRES: Final = """\
event_log_storage:
  module: shotspotter_assets.defs.event_log
  class: BatchedPostgresEventLogStorage
  config: &database {{postgres_url: "{url}"}}
run_storage: {{module: dagster_postgres.run_storage, class: PostgresRunStorage, config: *database}}
schedule_storage: {{module: dagster_postgres.schedule_storage, class: PostgresScheduleStorage, config: *database}}
"""
ON_SQLITE: Final = (
    "event_log_storage: {module: shotspotter_assets.defs.event_log, class: BatchedSqliteEventLogStorage}\n"
)


def main() -> None:
    """Record the days, evaluate the conditions, and print the seconds of each evaluation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cities", type=int, default=10)
    parser.add_argument("--days", type=int, default=365, help="recorded days of each city")
    parser.add_argument("--postgres", metavar="URL", help="of an empty database; without it, SQLite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, cities = Path(folder, "home"), Path(folder, "cities")
        home.mkdir()
        (home / "dagster.yaml").write_text(
            "telemetry: {enabled: false}\n" + (ON_POSTGRES.format(url=asked.postgres) if asked.postgres else ON_SQLITE)
        )
        last = datetime.now(UTC).date() - timedelta(days=2)
        start = last - timedelta(days=asked.days - 1)
        write_cities(cities, asked.cities, start)
        os.environ |= {
            "DAGSTER_HOME": str(home),
            "SHOTSPOTTER_CITIES": str(cities),
            "SHOTSPOTTER_STORE": str(Path(folder, "store")),
            "SHOTSPOTTER_LANDING": str(Path(folder, "landing")),
        }
        with dg.DagsterInstance.get() as instance:
            measure(instance, start, last)


def write_cities(folder: Path, cities: int, start: date) -> None:
    """Make a folder with the files of generated cities."""
    folder.mkdir()
    for number in range(cities):
        name = f"city_{number:03}"
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(CITY | {"name": name, "start": start}))


def measure(instance: dg.DagsterInstance, start: date, last: date) -> None:
    """Print the seconds of the first evaluation, of one with nothing new, and of one after a correction."""
    from shotspotter_assets.definitions import build_definitions
    from shotspotter_assets.settings import Settings

    settings = Settings.from_environment(os.environ)
    definitions = build_definitions(settings)
    record(instance, list(materializations(settings, start, last)))
    cursor: Any = None
    for title in ("first evaluation", "second evaluation", "nothing new", "one day of one city corrected"):
        if title.startswith("one"):
            city = next(iter(settings.cities))
            record(instance, [event(dg.AssetKey([city, "grid_tensors"]), last, "corrected")])
        wall, cpu = time.perf_counter(), time.process_time()
        result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
        cursor = result.cursor
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        days = (last - start).days + 1
        print(
            f"{len(settings.cities)} cities, {days:,} days, {title}: {cpu:.2f} s of CPU, {wall:.2f} s, "
            f"{result.total_requested} partitions requested",
            flush=True,
        )


def materializations(settings: Any, start: date, last: date) -> Iterator[dg.EventLogEntry]:
    """All days of the alert assets, and the last fortnight of the rest of the daily chain."""
    for city in settings.cities.values():
        for key in daily_chain(city):
            first = start if key.path[-1] in ALERT_ASSETS else max(start, last - timedelta(days=13))
            if key.path[-1] != "city_pages":
                for offset in range((last - first).days + 1):
                    yield event(key, first + timedelta(days=offset), "first")


def event(key: dg.AssetKey, day: date, version: str) -> dg.EventLogEntry:
    """The event of a materialized day."""
    tags = {DATA_VERSION_TAG: version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    data = StepMaterializationData(dg.AssetMaterialization(key, partition=str(day), tags=tags))
    return dg.EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=RUNLESS_RUN_ID,
        timestamp=time.time(),
        step_key=None,
        job_name=RUNLESS_JOB_NAME,
        dagster_event=DagsterEvent(
            DagsterEventType.ASSET_MATERIALIZATION.value, RUNLESS_JOB_NAME, event_specific_data=data
        ),
    )


def record(instance: dg.DagsterInstance, events: list[dg.EventLogEntry]) -> None:
    """Write events in batches."""
    for at in range(0, len(events), BATCH):
        instance.event_log_storage.store_event_batch(events[at : at + BATCH])


if __name__ == "__main__":
    main()
