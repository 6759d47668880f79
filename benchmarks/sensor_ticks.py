"""Seconds of one tick of what starts runs by itself, over 200 cities and over 100,000 landed files.

    python benchmarks/sensor_ticks.py [--cities 200] [--files 100000] [--objects 10000] [--days 365] [--postgres] [--only PART ...]

The project's own sensors, schedules and conditions are evaluated as the code server does it, on generated cities, with
a real instance (the shipped dagster.yaml, on SQLite or on a PostgreSQL server of its own) in a temporary folder, real files,
a real HTTP server and a real S3 server (SeaweedFS). The runs that a tick asks for are recorded as finished, not run.
The code server ends a tick of a sensor or schedule after 60 s (DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS,
DAGSTER_SCHEDULE_GRPC_TIMEOUT_SECONDS).
"""

import argparse
import contextlib
import json
import logging
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import dagster as dg
import sqlalchemy as sa
import yaml
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
)
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.tags import get_multidimensional_partition_tag
from dagster._daemon.asset_daemon import asset_daemon_cursor_to_instigator_serialized_cursor
from dagster._serdes import serialize_value

ROOT: Final = Path(__file__).parents[1]
BOX: Final = {"west": -77.0, "south": 38.0, "east": -76.0, "north": 39.0}
COLUMNS: Final = {"time": "when", "longitude": "lon", "latitude": "lat", "gunshot_type": "kind", "source_id": "id"}
LANDING: Final = {"kind": "landing", "settle_seconds": 0, "columns": COLUMNS}
HEADER: Final = "when,lon,lat,kind,id\n"
ZONES: Final = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")
TODAY: Final = datetime.now(UTC).date()
HISTORY: Final = 14
"""Days that every one of many cities has had runs of."""
LIMIT_SECONDS: Final = 60.0
DAILY: Final = (
    "raw_alerts", "cleaned_alerts", "grid_tensors", "live_models", "risk_forecasts", "street_risk", "patrol_plans",
    "forecast_scores",
)  # fmt: skip


def describe(folder: Path, names: Sequence[str], source: Callable[[str], dict[str, Any]], start: date) -> None:
    """Write one file per city."""
    (folder / "cities").mkdir()
    for at, name in enumerate(names):
        described = {
            "name": name,
            "time_zone": ZONES[at % len(ZONES)],
            "start": start,
            "box": BOX,
            "source": source(name),
            "automation": "history",
        }
        (folder / "cities" / f"{name}.yaml").write_text(yaml.safe_dump(described))


def names_of(cities: int) -> list[str]:
    """Names of generated cities."""
    return [f"city_{at:03}" for at in range(cities)]


def alert(day: date, name: str, kind: str = "Single_Gunshot") -> str:
    """One line of a landed file."""
    return f"{day}T17:00:00Z,-76.5,38.5,{kind},{name}\n"


class Clock:
    """One sensor, with the cursor that the daemon would keep."""

    def __init__(self, sensor: str) -> None:
        from shotspotter_assets.definitions import defs

        self.defs, self.instance = defs(), dg.DagsterInstance.get()
        self.sensor, self.name = self.defs.get_sensor_def(sensor), sensor
        self.cursor: str | None = None

    def tick(self, text: str) -> int:
        """One tick, printed; the number of runs it asks for, which are recorded as finished."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, definitions=self.defs)
        timer = Timer()
        result = self.sensor.evaluate_tick(context)
        runs, cursor = len(result.run_requests or []), len(result.cursor or "")
        timer.show(f"{self.name}: {text}", f"{runs:3} runs asked for, cursor {cursor:5,} bytes")
        self.cursor = result.cursor
        for asked in result.run_requests or []:
            record(self.instance, asked.tags)
        return runs

    def until_quiet(self, text: str, most: int = 40) -> None:
        """Ticks until one asks for nothing and has nothing left to look at, and their sum."""
        runs = ticks = 0
        for ticks in range(1, most + 1):
            before = self.cursor
            asked = self.tick(f"{text}, tick {ticks}")
            runs += asked
            if not asked and _generations(before) == _generations(self.cursor):
                break
        print(f"    {text}: {runs} runs in {ticks} ticks", flush=True)


def _generations(cursor: str | None) -> Any:
    return json.loads(cursor or "{}").get("generations")


def record(instance: dg.DagsterInstance, tags: Any) -> None:
    """A run of those tags that has ended well."""
    instance.add_run(dg.DagsterRun(job_name="__ASSET_JOB", status=dg.DagsterRunStatus.SUCCESS, tags=dict(tags)))


class Timer:
    """Seconds since its making: on the clock, and of the processor (all threads)."""

    def __init__(self) -> None:
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def show(self, text: str, more: str, limit: float = LIMIT_SECONDS) -> None:
        """One line of the result, which says whether it took longer than the limit."""
        wall, processor = time.perf_counter() - self.wall, time.process_time() - self.processor
        late = "" if wall < limit else "  TOO LONG"
        print(f"{text:<72} {wall:6.2f} s ({processor:6.2f} of CPU)  {more}{late}", flush=True)


def show_memory() -> None:
    """One line: what this process has had at most."""
    print(f"    at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB of memory", flush=True)


def record_history(instance: dg.DagsterInstance, cities: Sequence[str], days: int) -> None:
    """Finished runs of each city's last days, one a day."""
    from shotspotter_assets.defs.automation.runs import city_tags

    for back in range(days, 0, -1):
        for name in cities:
            day = TODAY - timedelta(days=back + 2)
            record(instance, city_tags(name, day, day))


def landed_cities(folder: Path, cities: int, _size: int) -> None:
    """Many cities with a few files each."""
    names = names_of(cities)
    for name in names:
        (folder / "landing" / name).mkdir(parents=True)
        for at in range(3):
            day = TODAY - timedelta(days=10 - 2 * at)
            (folder / "landing" / name / f"{at}.csv").write_text(HEADER + alert(day, f"{at}"))
    clock = Clock("landing_arrivals")
    record_history(clock.instance, names, HISTORY)
    clock.until_quiet(f"{cities} cities, all new")
    clock.tick(f"{cities} cities, nothing new")
    (folder / "landing" / names[-1] / "1.csv").write_text(HEADER + alert(TODAY - timedelta(days=8), "corrected"))
    clock.until_quiet(f"{cities} cities, one file changed")


def polled_cities(_folder: Path, cities: int, _size: int) -> None:
    """Many cities that are asked over HTTP, of which one server is down and one never answers."""
    clock = Clock("polled_arrivals")
    record_history(clock.instance, names_of(cities), HISTORY)
    clock.until_quiet(f"{cities} cities, one down, one that never answers, all new")
    clock.tick(f"{cities} cities, one down, one that never answers, asked")
    clock.tick(f"{cities} cities, one down, one that never answers, nothing new")


def many_files(folder: Path, _cities: int, files: int) -> None:
    """One city with many files, several a day, in the order of their days."""
    landing = folder / "landing" / "city_000"
    landing.mkdir(parents=True)
    a_day = 50
    for at in range(files):
        day = TODAY - timedelta(days=2 + (files - 1 - at) // a_day)
        (landing / f"{at:06}.csv").write_text(HEADER + alert(day, f"{at}"))
    clock = Clock("landing_arrivals")
    clock.until_quiet(f"{files:,} files, all new", most=60)
    clock.tick(f"{files:,} files, nothing new")
    (landing / f"{files // 2:06}.csv").write_text(
        HEADER + alert(TODAY - timedelta(days=2 + (files - 1 - files // 2) // a_day), "x", "Multiple_Gunshots")
    )
    clock.tick(f"{files:,} files, one changed")


def many_objects(_folder: Path, _cities: int, objects: int) -> None:
    """One city with many objects on an S3 server."""
    import boto3
    from botocore.config import Config

    bucket, _, prefix = os.environ["SHOTSPOTTER_LANDING"].removeprefix("s3://").partition("/")
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, max_pool_connections=8))

    def put(at: int, kind: str = "Single_Gunshot") -> None:
        body = HEADER + alert(TODAY - timedelta(days=2 + (objects - 1 - at) // 50), f"{at}", kind)
        client.put_object(Bucket=bucket, Key=f"{prefix}/city_000/{at:06}.csv", Body=body.encode())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(objects)))
    clock = Clock("landing_arrivals")
    clock.until_quiet(f"{objects:,} objects on S3, all new", most=60)
    clock.tick(f"{objects:,} objects on S3 ({-(-objects // 1000)} pages of a listing), nothing new")
    put(objects // 2, "Multiple_Gunshots")
    clock.tick(f"{objects:,} objects on S3, one changed")


def conditions(_folder: Path, cities: int, recorded: int) -> None:
    """The daily schedules of many polled cities, and the conditions over a fortnight of all of them."""
    from shotspotter_assets.definitions import defs

    definitions, instance, names = defs(), dg.DagsterInstance.get(), names_of(cities)
    for schedule in [one for one in definitions.schedules or [] if one.name.startswith("daily")]:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.now(UTC))
        timer = Timer()
        asked = schedule.evaluate_tick(context).run_requests
        timer.show(f"{schedule.name}, nothing received", f"{len(asked or [])} runs asked for")

    days = [TODAY - timedelta(days=back) for back in range(HISTORY, 0, -1)]
    record_years(instance, names, recorded, days[-1])
    cursor: Any = None

    def evaluate(text: str) -> None:
        nonlocal cursor
        timer = Timer()
        result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
        cursor = result.cursor
        stored = len(asset_daemon_cursor_to_instigator_serialized_cursor(cursor))
        timer.show(f"conditions: {text}", f"{result.total_requested} partitions asked for, cursor {stored:,} bytes")

    these = f"{cities} cities, {recorded:,} days recorded"
    evaluate(f"{these}, the first look")
    evaluate(f"{these}, the second look")
    evaluate(f"{these}, nothing new")
    report(instance, "raw_alerts", [f"{names[0]}|{days[-1]}"], "corrected")
    evaluate(f"{these}, one day of one city corrected")
    report(instance, "raw_alerts", [f"{name}|{days[-1]}" for name in names], "corrected again")
    evaluate(f"{these}, one day of all cities corrected")


def report(instance: dg.DagsterInstance, asset: str, keys: Sequence[str], version: str) -> None:
    """Materialisations of an asset, in one transaction of the event log."""
    instance.event_log_storage.store_event_batch([materialised(asset, key, version) for key in keys])


def materialised_tags(key: str, version: str) -> dict[str, str]:
    """Tags of the event that a partition was made."""
    city, day = key.split("|")
    return {
        CODE_VERSION_TAG: "1", DATA_VERSION_TAG: version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        get_multidimensional_partition_tag("city"): city, get_multidimensional_partition_tag("date"): day,
    }  # fmt: skip


def materialised(asset: str, key: str, version: str) -> dg.EventLogEntry:
    """The event that a partition was made."""
    made = StepMaterializationData(dg.AssetMaterialization(asset, partition=key, tags=materialised_tags(key, version)))
    return dg.EventLogEntry(
        error_info=None, level=20, user_message="", run_id=RUNLESS_RUN_ID, timestamp=time.time(), step_key=None,
        job_name=RUNLESS_JOB_NAME,
        dagster_event=DagsterEvent(
            DagsterEventType.ASSET_MATERIALIZATION.value, RUNLESS_JOB_NAME, event_specific_data=made
        ),
    )  # fmt: skip


def record_years(instance: dg.DagsterInstance, names: Sequence[str], recorded: int, last: date) -> None:
    """Record that all days through the last one are received and the newest ones are forecast, and show what that took."""
    timer = Timer()
    for asset in DAILY:
        days = recorded if asset in DAILY[:3] else HISTORY
        report_years(instance, asset, names, [last - timedelta(days=back) for back in range(days - 1, -1, -1)])
    timer.show(f"{len(names)} cities x {recorded:,} days of three assets are recorded", "", limit=math.inf)


def report_years(instance: dg.DagsterInstance, asset: str, names: Sequence[str], days: Sequence[date]) -> None:
    """Materialisations of every day of every city, as rows of the index alone: events one by one would take hours.

    The last one is reported as others are, so that the record of the asset names the newest event.
    """
    storage: Any = instance.event_log_storage
    pattern = f"{names[0]}|{days[0]}"
    report(instance, asset, [pattern], "first")
    key, made = dg.AssetKey(asset).to_string(), DagsterEventType.ASSET_MATERIALIZATION.value
    event, tags = materialised(asset, pattern, "first"), materialised_tags(pattern, "first")
    at = datetime.fromtimestamp(event.timestamp, UTC).replace(tzinfo=None)
    parts = {
        get_multidimensional_partition_tag("city"): "substr(partition, 1, length(partition) - 11)",
        get_multidimensional_partition_tag("date"): "substr(partition, length(partition) - 9)",
    }
    with storage.index_connection() as connection:
        last = connection.execute(sa.select(sa.func.max(SqlEventLogStorageTable.c.id))).scalar() or 0
        for name, column in (("filled_city", names), ("filled_day", days)):
            connection.execute(sa.text(f"CREATE TEMPORARY TABLE {name} (part TEXT)"))
            connection.execute(sa.text(f"INSERT INTO {name} VALUES (:part)"), [{"part": str(part)} for part in column])
        connection.execute(
            sa.text(
                "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, asset_key, partition) "
                "SELECT :run_id, replace(replace(:event, :city, filled_city.part), :day, filled_day.part), :made, :at, :key, "
                "filled_city.part || '|' || filled_day.part FROM filled_day CROSS JOIN filled_city"
            ),
            {"run_id": RUNLESS_RUN_ID, "event": serialize_value(event), "city": names[0], "day": str(days[0]),
             "made": made, "at": at, "key": key},
        )  # fmt: skip
        for tag in storage.get_asset_tags_to_index(set(tags)):
            connection.execute(
                sa.text(
                    "INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp) "
                    f"SELECT id, asset_key, :tag, {parts.get(tag, ':value')}, timestamp FROM event_logs "
                    "WHERE asset_key = :key AND dagster_event_type = :made AND id > :last"
                ),
                {"tag": tag, "key": key, "made": made, "last": last} | ({} if tag in parts else {"value": tags[tag]}),
            )
        for name in ("filled_city", "filled_day"):
            connection.execute(sa.text(f"DROP TABLE {name}"))
    report(instance, asset, [f"{names[-1]}|{days[-1]}"], "first")


class Portal(BaseHTTPRequestHandler):
    """An API with 200 days of five alerts."""

    protocol_version = "HTTP/1.1"
    body = json.dumps(
        [
            {"when": f"{TODAY - timedelta(days=back)}T{hour:02}:00:00Z", "lon": -76.5, "lat": 38.5,
             "kind": "Single_Gunshot", "id": f"{back}-{hour}"}
            for back in range(1, 201) for hour in (2, 8, 14, 18, 22)
        ]
    ).encode()  # fmt: skip

    def do_GET(self) -> None:
        time.sleep(self.server.delay)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextlib.contextmanager
def portal(delay: float) -> Iterator[str]:
    """An API on loopback that takes `delay` seconds for an answer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Portal)
    server.daemon_threads = True
    server.delay = delay  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def api_source(url: str) -> dict[str, Any]:
    """What a city's file says of the API."""
    return {
        "kind": "alerts_api", "url": f"{url}/alerts?first={{first}}&last={{last}}", "columns": COLUMNS, "rows": "@",
        "instant_format": "%Y-%m-%dT%H:%M:%SZ", "paging": {"style": "link_header"},
    }  # fmt: skip


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a bucket on a real S3 server."""
    sys.path.insert(0, str(ROOT))
    from shotspotter_assets_tests.s3_server import running

    (folder / "s3").mkdir()
    with running(folder / "s3") as server:
        yield {
            "SHOTSPOTTER_LANDING": f"s3://{server.bucket}/landing",
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextlib.contextmanager
def postgres_home(home: Path) -> Iterator[None]:
    """Let the instance of `home` be recorded by a PostgreSQL server of its own until the block ends."""
    sys.path.insert(0, str(ROOT))
    from shotspotter_assets_tests.postgres_server import running

    storages = {
        "event_log_storage": (
            "shotspotter_assets.defs.event_log",
            "BatchedPostgresEventLogStorage",
        ),
        "run_storage": ("dagster_postgres.run_storage", "PostgresRunStorage"),
        "schedule_storage": ("dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
    }
    with running() as server:
        url = server.new_database().replace("postgresql:", "postgresql+psycopg2:")
        settings = yaml.safe_load((home / "dagster.yaml").read_text())
        for storage, (module, name) in storages.items():
            settings[storage] = {"module": module, "class": name, "config": {"postgres_url": url}}
        (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
        yield


PARTS: Final = {part.__name__: part for part in (landed_cities, polled_cities, many_files, many_objects, conditions)}


def measure(part: str, cities: int, size: int, *, postgres: bool) -> None:
    """Measure a part in a process of its own, with an environment of its own."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "home").mkdir()
        shutil.copy(ROOT / ".dagster_home" / "dagster.yaml", folder / "home")
        if postgres:
            stack.enter_context(postgres_home(folder / "home"))
        environment = {
            **os.environ, "DAGSTER_HOME": str(folder / "home"), "SHOTSPOTTER_CITIES": str(folder / "cities"),
            "SHOTSPOTTER_STORE": str(folder / "store"), "SHOTSPOTTER_LANDING": str(folder / "landing"),
        }  # fmt: skip
        years = size if part == "conditions" else 3000 if part.startswith("many") else 400
        start = TODAY - timedelta(days=years)
        if part in ("polled_cities", "conditions"):
            names = names_of(cities)
            url, silent = stack.enter_context(portal(0.3)), stack.enter_context(portal(3600))
            down = "http://127.0.0.1:9"
            sources = dict.fromkeys(names, api_source(url)) | {
                names[cities // 2]: api_source(down), names[cities // 3]: api_source(silent)
            }  # fmt: skip
            describe(folder, names, lambda name: sources[name], start)
        else:
            describe(folder, names_of(1 if part.startswith("many") else cities), lambda _: LANDING, start)
        if part == "many_objects":
            environment |= stack.enter_context(s3_server(folder))
        command = [
            sys.executable,
            "-W",
            "ignore",
            __file__,
            "--part",
            part,
            "--cities",
            str(cities),
            "--size",
            str(size),
        ]
        subprocess.run([*command, "--folder", str(folder)], env=environment, check=True)


def main() -> None:
    """Measure and print all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cities", type=int, default=200)
    parser.add_argument("--files", type=int, default=100_000, help="landed files of the city with many")
    parser.add_argument("--objects", type=int, default=10_000, help="objects on S3 of the city with many")
    parser.add_argument(
        "--days",
        type=int,
        default=365,
        help="recorded days of each city of the conditions; 3,651 take minutes and 3 GB",
    )
    parser.add_argument("--postgres", action="store_true", help="record in PostgreSQL, not in SQLite")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    for inner in ("--part", "--folder", "--size"):
        parser.add_argument(inner, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        logging.disable(logging.CRITICAL)  # the errors of the city that is down are expected
        PARTS[asked.part](Path(asked.folder), asked.cities, int(asked.size))
        show_memory()
        return
    for part in asked.only:
        size = {"many_objects": asked.objects, "conditions": asked.days}.get(part, asked.files)
        measure(part, asked.cities, size, postgres=asked.postgres)


if __name__ == "__main__":
    main()
