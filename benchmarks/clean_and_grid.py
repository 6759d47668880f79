"""Times cleaning, incidents and gridding of 10 million alerts in one file: `python benchmarks/clean_and_grid.py [alerts]`.

The alerts are those of the simulated city, one in 200 of them twice, in a Parquet file that the landing folder reads
in stretches of days. Each figure stands beside that of a straightforward pandas version, whose results on the first
stretch must be the same. Speeds are alerts per second of processor time, without imports; a city has about 50,000 alerts.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from benchmark_cities import dated

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import load_cities

if TYPE_CHECKING:
    import pandas as pd

FIRST = date(2014, 1, 1)
LAST = date(2023, 12, 31)
STRETCH = 360
"""Days that are read, cleaned and gridded at a time. The pandas version is timed, and compared, on the first stretch."""
REPEATED = 200
SPEED = 200_000  # alerts per second to reach
MEMORY = 2.0  # GB to stay below
ROW_GROUP = 2**17
LANDED = {
    "time_utc": "when",
    "longitude": "lon",
    "latitude": "lat",
    "gunshot_type": "kind",
    "rounds": "rounds",
    "source_id": "id",
}


def main() -> None:
    """Compare the versions, or measure the one that a process of its own is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("alerts", type=int, nargs="?", default=10_000_000)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure is None:
        compare(chosen.alerts)
        return
    version, folder = chosen.measure
    measured = {"ours": ours, "pandas": with_pandas}[version](folder)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({**measured, "memory": memory}))


def compare(alerts: int) -> None:
    """Write the file, measure each version in a process of its own, and print the figures beside the targets."""
    with tempfile.TemporaryDirectory() as folder:
        rows = write_file(Path(folder, "alerts.parquet"), alerts)
        print(f"{rows:,} alerts on {len(days_between(FIRST, LAST)):,} days, in one file", flush=True)
        ours, pandas = (in_a_process(version, folder) for version in ("ours", "pandas"))
    speed, pandas_speed = (part["alerts"] / sum(part["seconds"].values()) for part in (ours, pandas))
    steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in ours["seconds"].items())
    print(
        f"cleaned and gridded with incidents: {speed:,.0f} alerts a second (target {SPEED:,}): {steps}; "
        f"besides, reading {ours['reading']:.1f} s; peak memory {ours['memory']:.2f} GB (target {MEMORY})"
    )
    print(
        f"  pandas, first {STRETCH} days: {pandas_speed:,.0f} alerts a second, ratio {speed / pandas_speed:.1f}; "
        f"peak memory {pandas['memory']:.2f} GB"
    )
    if ours["first_days"] != pandas["first_days"]:
        sys.exit(f"the results differ: {ours['first_days']} and {pandas['first_days']}")
    print(f"  same results on these days: {ours['first_days']}")


def write_file(file: Path, alerts: int) -> int:
    """Rows of a new landing file of about that many alerts of the simulated city, some of them twice."""
    city = load_cities()["simulated_city"]
    days = days_between(FIRST, LAST)
    simulation = city.source.model_copy(update={"alerts_per_day": alerts / len(days)})
    source = simulation.open(replace(city.site, start=FIRST), None)
    random = np.random.default_rng(1)
    with pq.ParquetWriter(file, landed(source.read(FIRST, FIRST)).schema, compression="zstd") as writer:
        for part in stretches(days):
            table = landed(source.read(part[0], part[-1]))
            times = 1 + (random.integers(0, REPEATED, table.num_rows) == 0)
            writer.write_table(table.take(pa.array(np.repeat(np.arange(table.num_rows), times))), ROW_GROUP)
    return int(pq.read_metadata(file).num_rows)


def landed(raw: pa.Table) -> pa.Table:
    """The columns that an export has."""
    return raw.select(list(LANDED)).rename_columns(LANDED)


def stretches(days: list[date]) -> Iterator[list[date]]:
    """The days in groups of that many."""
    return (days[at : at + STRETCH] for at in range(0, len(days), STRETCH))


def landing_city() -> City:
    """The simulated city as one with a landing folder. Rows without a usable date would be filed before the first day."""
    from shotspotter_assets.alerts.sources.tabular_settings import Columns, LandingSettings

    columns = {"time" if ours == "time_utc" else ours: theirs for ours, theirs in LANDED.items()}
    source = LandingSettings(kind="landing", columns=Columns(**columns), settle_seconds=0)
    return load_cities()["simulated_city"].model_copy(update={"source": source, "start": FIRST - 2 * timedelta(days=1)})


def in_a_process(version: str, folder: str) -> dict[str, Any]:
    """What `ours` or `with_pandas` measured, and the peak memory of its process in GB."""
    command = [sys.executable, __file__, "--measure", version, folder]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def ours(folder: str) -> dict[str, Any]:
    """Read, clean and grid all days, a stretch at a time."""
    from shotspotter_assets.alerts.cleaning import clean_alerts
    from shotspotter_assets.alerts.sources.landing.folder import LandingFolder
    from shotspotter_assets.grid.tensors import sparse_tensors
    from shotspotter_assets.storage.store import Store

    city = landing_city()
    source = LandingFolder(city.site, city.source, folder, Store(f"{folder}/.store"))
    results = Results()
    clean_alerts(source.read(FIRST, FIRST), [FIRST], city)  # imports
    seconds = {"cleaning": 0.0, "gridding": 0.0}
    reading = 0.0
    alerts = 0
    for days in stretches(days_between(FIRST, LAST)):
        marks = [time.process_time()]
        raw = source.read(days[0] - timedelta(days=1), days[-1])
        marks.append(time.process_time())
        cleaned = clean_alerts(raw, days, city)
        marks.append(time.process_time())
        stacked = dated({day: result.alerts for day, result in cleaned.items()})
        marks.append(time.process_time())
        tensors = sparse_tensors(stacked, days, city)
        marks.append(time.process_time())
        seconds["cleaning"] += marks[2] - marks[1]
        seconds["gridding"] += marks[4] - marks[3]
        reading += marks[1] - marks[0]
        alerts += sum(result.account.received for result in cleaned.values())
        for day in days:
            results.add(cleaned[day].alerts, tensors[day])
    return {"alerts": alerts, "seconds": seconds, "reading": reading, "first_days": results.summary()}


class Results:
    """Counts and a hash of the results of the first days."""

    def __init__(self) -> None:
        self.days = self.alerts = self.incidents = self.cells = 0
        self.hash = hashlib.sha256()

    def add(self, alerts: "pa.Table | pd.DataFrame", tensor: "pa.Table | pd.DataFrame") -> None:
        """One day more, in order; columns are taken by name."""
        if self.days == STRETCH:
            return
        self.days += 1
        self.alerts += len(alerts)
        self.incidents += int((numbers(alerts["user_id"]) == numbers(alerts["incident_id"])).sum())
        self.cells += len(tensor)
        for table, names in ((alerts, ("user_id", "incident_id", "longitude")), (tensor, tensor_columns())):
            for name in names:
                self.hash.update(numbers(table[name]).tobytes())

    def summary(self) -> dict[str, Any]:
        """The counts and the hash."""
        counts = {"alerts": self.alerts, "incidents": self.incidents, "entries": self.cells}
        return {**counts, "sha256": self.hash.hexdigest()[:16]}


def numbers(column: Any) -> npt.NDArray[np.float64]:
    """A column of either library as float64, which holds every `user_id` exactly."""
    return np.asarray(column).astype(np.float64)


def tensor_columns() -> list[str]:
    """Names of a sparse tensor's columns."""
    from shotspotter_assets.storage.catalogue import TENSORS

    return [*TENSORS.columns]


def with_pandas(folder: str) -> dict[str, Any]:
    """The same on the first days, as one would write it with pandas."""
    import pandas as pd

    city = landing_city()
    last = pd.Timestamp(FIRST + timedelta(days=STRETCH), tz=city.zone)
    raw = pd.read_parquet(folder, filters=[("when", "<", last)])
    clean_and_grid_with_pandas(raw[:100], city)  # imports
    alerts, counts, seconds = clean_and_grid_with_pandas(raw, city)
    results = Results()
    for day in days_between(FIRST, LAST)[:STRETCH]:
        results.add(alerts[alerts["day"] == day].rename(columns={"lon": "longitude"}), counts[counts["day"] == day])
    return {"alerts": len(raw), "seconds": seconds, "first_days": results.summary()}


def clean_and_grid_with_pandas(
    raw: "pd.DataFrame", city: City
) -> tuple["pd.DataFrame", "pd.DataFrame", dict[str, float]]:
    """(cleaned alerts, sparse tensor, seconds by step)."""
    import pandas as pd

    started = time.process_time()
    box = city.box
    grid = city.grid
    alerts = raw[raw["lon"].between(box.west, box.east) & raw["lat"].between(box.south, box.north)]
    alerts = alerts.sort_values(["when", "lon", "lat", "id", "kind", "rounds"]).drop_duplicates()
    local = alerts["when"].dt.tz_convert(city.time_zone)
    alerts["day"] = local.dt.date
    number = alerts.groupby("day").cumcount()
    alerts["user_id"] = local.dt.strftime("%Y%m%d").astype("int64") * 100_000 + number
    codes = {"Single_Gunshot": 0, "Multiple_Gunshots": 1, "Gunshot_or_Firecracker": 2}
    alerts["gunshot_type"] = alerts["kind"].map(codes)
    alerts["is_holiday_fireworks"] = local.dt.strftime("%m%d").isin(["0703", "0704", "0705", "1231", "0101"])
    alerts["incident_id"] = pandas_incidents(alerts, box.south / 2 + box.north / 2)
    cleaned = time.process_time()
    alerts["hour"] = (alerts["when"] - local.dt.normalize().dt.tz_convert("UTC")) // pd.Timedelta(hours=1)
    alerts["row"] = np.minimum((alerts["lat"] - box.south) / (box.north - box.south) * grid.rows // 1, grid.rows - 1)
    alerts["column"] = np.minimum(
        (alerts["lon"] - box.west) / (box.east - box.west) * grid.columns // 1, grid.columns - 1
    )
    typed = alerts.assign(gunshot_type=alerts["gunshot_type"].fillna(3))
    counts = typed.groupby(["day", "hour", "gunshot_type", "row", "column"]).size().rename("count").reset_index()
    seconds = {"cleaning": cleaned - started, "gridding": time.process_time() - cleaned}
    return alerts, counts, seconds


def pandas_incidents(alerts: "pd.DataFrame", latitude: float) -> npt.NDArray[np.int64]:
    """`incident_id` of alerts by time: each is compared with those of the five minutes after it."""
    ids = []
    before = alerts.iloc[:0]
    for _, day_alerts in alerts.groupby("day"):
        import pandas as pd

        both = pd.concat([before, day_alerts])
        parent = list(range(len(both)))

        def root(at: int, parent: list[int] = parent) -> int:
            while parent[at] != at:
                at = parent[at]
            return at

        seconds = both["when"].astype("int64").to_numpy() / 1e6
        east = both["lon"].to_numpy() * 111_320 * np.cos(np.radians(latitude))
        north = both["lat"].to_numpy() * 111_320
        ends = np.searchsorted(seconds, seconds + 300, side="right")
        for at, end in enumerate(ends):
            near = np.hypot(east[at + 1 : end] - east[at], north[at + 1 : end] - north[at]) <= 150
            for other in at + 1 + np.flatnonzero(near):
                low, high = sorted((root(at), root(int(other))))
                parent[high] = low
        user_id = both["user_id"].to_numpy()
        ids.append(user_id[[root(at) for at in range(len(before), len(both))]])
        before = day_alerts
    return np.concatenate(ids)


if __name__ == "__main__":
    main()
