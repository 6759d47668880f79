"""What it takes a run to judge all cities, on S3: `checks_of_all_cities.py [--cities 200] [--days 60]`.

Alerts of every city are stored in a SeaweedFS server of its own, with what the run of each city keeps. Then the checks that are of
all cities, whichever city a run is of, are made as in a run. Prints seconds, CPU seconds of the run and requests by kind.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pyarrow as pa
from sensor_ticks import BOX, LANDING, ROOT, ZONES, names_of

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.alerts import raw_alerts
from shotspotter_assets.defs.resources import OpenedStore
from shotspotter_assets.quality.city_state import CityState
from shotspotter_assets.quality.rhythm import keep_rhythm
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Store

ROWS: Final = 3
"""Alerts of a day."""


def main() -> None:
    """Store, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cities", type=int, default=200)
    parser.add_argument("--days", type=int, default=60)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from shotspotter_assets_tests.s3_server import running

    last = datetime.now(UTC).date() - timedelta(days=1)
    days = [last - timedelta(days=back) for back in range(asked.days)]
    cities = {name: city_of(name, days[-1]) for name in names_of(asked.cities)}
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as server:
        client, requests = server.client(), Counter[str]()
        client.meta.events.register("before-call.s3", lambda model, **_: requests.update([model.name]))
        store = Store(f"s3://{server.bucket}/store", client)
        alerts = alerts_of_a_day()
        for city in cities.values():
            store.write_tables("raw_alerts", city.name, ALERTS_FILE, dict.fromkeys(days, alerts))
            keep_rhythm(store, city)
            CityState.of_run([last], {}).keep(store, city.name)
        print(f"{len(cities)} cities with {asked.days} days each are stored", flush=True)
        opened: Any = OpenedStore(store)
        checks: dict[str, Callable[[], object]] = {
            "late cities": lambda: raw_alerts.late_cities(dg.build_asset_check_context(), cities, opened),
            "unreadable files": lambda: raw_alerts.unreadable_files(dg.build_asset_check_context(), cities, opened),
            "what the checks of each city found": lambda: CityState.load_all(store),
        }
        for text, check in checks.items():
            requests.clear()
            began, used = time.perf_counter(), time.process_time()
            check()
            took, used = time.perf_counter() - began, time.process_time() - used
            print(f"{text:<36} {took:6.2f} s ({used:5.2f} of CPU), {dict(requests)}", flush=True)


def city_of(name: str, start: date) -> City:
    """A city whose alerts land in files and come by themselves."""
    return City.model_validate(
        {
            "name": name, "time_zone": ZONES[0], "start": start, "box": BOX, "source": LANDING, "automation": "history"
        }
    )  # fmt: skip


def alerts_of_a_day() -> pa.Table:
    """Rows of which only is known when they came."""
    rows = {field.name: pa.nulls(ROWS, field.type) for field in RAW_SCHEMA if field.name != "date"}
    received = RAW_SCHEMA.field("received_at").type
    return pa.table(rows | {"received_at": pa.array([datetime.now(UTC)] * ROWS, received)})


if __name__ == "__main__":
    main()
