"""CPU seconds of one tick of the sensors of all cities: `python benchmarks/sensor_ticks.py [--cities 10] [--days 365]`.

The cities are generated. All their days up to yesterday are stored and on the grid, and the products of the newest day are
made from them, on a new instance with the shipped event log (SQLite, or `--postgres URL` of an empty PostgreSQL database).
Targets with nothing new: 0.7 s for 10 cities, 2 s for 25 cities with 3,650 days on PostgreSQL.
"""

import argparse
import os
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import yaml

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
    """Store the days, tick all sensors, and print the seconds of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cities", type=int, default=10)
    parser.add_argument("--days", type=int, default=365, help="stored days of each city")
    parser.add_argument("--postgres", metavar="URL", help="of an empty database; without it, SQLite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        cities = Path(folder, "cities")
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
    """Print the seconds of rounds with nothing new, and of one after a correction."""
    from shotspotter_assets.definitions import build_definitions
    from shotspotter_assets.settings import Settings

    settings = Settings.from_environment(os.environ)
    definitions = build_definitions(settings)
    on = resources_of(settings)
    for city in settings.cities.values():
        store_days(settings, on, city, start, last)
    cursors: dict[str, str | None] = {}
    for title in ("first round", "second round", "nothing new", "nothing new", "one day of one city corrected"):
        if title.startswith("one"):
            land(settings, next(iter(settings.cities)), start, last, hour=18)
        wall = time.perf_counter()
        cpu = time.process_time()
        requested = 0
        for name in settings.cities:
            sensor = definitions.resolve_sensor_def(f"{name}_automation")
            context = dg.build_sensor_context(
                instance=instance, cursor=cursors.get(name), definitions=definitions, resources=on
            )
            result: Any = sensor(context)
            cursors[name] = result.cursor
            requested += len(result.run_requests or ())
        wall = time.perf_counter() - wall
        cpu = time.process_time() - cpu
        days = (last - start).days + 1
        print(
            f"{len(settings.cities)} cities, {days:,} days, {title}: {cpu:.2f} s of CPU, {wall:.2f} s, "
            f"{requested} runs requested",
            flush=True,
        )


def resources_of(settings: Any) -> dict[str, Any]:
    """The resources of the sensors."""
    from shotspotter_assets.defs.resources import resources

    return {name: resource for name, resource in resources(settings).items() if name in ("store", "sources")}


def land(settings: Any, name: str, start: date, last: date, hour: int = 17) -> None:
    """Land a file with an alert on each day."""
    from shotspotter_assets.cities.local_time import days_between

    path = Path(settings.landing_root, name, "history.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{day}T{17 if day < last else hour}:00:00Z,-76.5,38.5\n" for day in days_between(start, last)]
    path.write_text("when,lon,lat\n" + "".join(rows))
    os.utime(path, (time.time() - 3600 + hour, time.time() - 3600 + hour))


def store_days(settings: Any, on: dict[str, Any], city: Any, start: date, last: date) -> None:
    """Store the days of a city as its runs leave them."""
    from shotspotter_assets.alerts.days.day_decisions import day_decisions
    from shotspotter_assets.alerts.days.day_table import Day, DayTable
    from shotspotter_assets.alerts.sources.snapshot import take_snapshot
    from shotspotter_assets.automation.stored import Stored
    from shotspotter_assets.cities.local_time import days_between, now
    from shotspotter_assets.cities.stored_settings import settings_hash
    from shotspotter_assets.storage.catalogue import PRODUCTS, Asset
    from shotspotter_assets.storage.lineage import Origin, record_lineage

    land(settings, city.name, start, last)
    store = on["store"].open()
    snapshot = take_snapshot(city.site, on["sources"].readers(city.site, store), store, now(), poll_seconds=None)
    through = snapshot.last_due(now())
    hashed = settings_hash(city, Asset.GRID_TENSORS)
    found = snapshot.day_rows(DayTable(), ())
    states = day_decisions(city, snapshot.reports, snapshot.words, found, through)
    entries = {
        day: Day(
            states[day].state,
            states[day].why,
            rows=1 if day in snapshot.rows else 0,
            rejected=0,
            settings=hashed,
            received=now() if day in snapshot.rows else None,
            sources={origin: version for origin, (version, _) in snapshot.rows.get(day, {}).items()},
        )
        for day in days_between(start, through)
    }
    table = DayTable.update(store, city.name, entries)
    record_lineage(store, "grid_tensors", city.name, {day: Origin(table.made_from(day)) for day in entries})
    for day in entries:
        file = Path(settings.store_root, "grid_tensors", f"city={city.name}", f"date={day}", "grid.parquet")
        file.parent.mkdir(parents=True)
        file.touch()
    for asset in (*PRODUCTS, Asset.FORECAST_SCORES):
        Stored.read(store, city).write(asset, [through], lambda _: "1")
    Stored.read(store, city).write(Asset.CITY_PAGES, [None], lambda _: "")


if __name__ == "__main__":
    main()
