"""Cleaned alerts and hourly counts of the benchmark cities, through the project's own reading, cleaning and gridding."""

import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from next_day import BENCHMARKS, benchmark_city
from pyarrow import fs

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.gridding.tensors import dense_window, grid_tensors
from shotspotter_assets.sources.landing.folder import LandingFolder


def read_alerts(name: str, data: Path, cache: Path) -> tuple[City, pa.Table]:
    """City and its cleaned alerts with their local `date`, up to the last cutoff; from the cache where they are there."""
    city, of = benchmark_city(name), BENCHMARKS[name]
    kept = cache / f"{name}_alerts.parquet"
    if not kept.exists():
        days = days_between(of.start, of.cutoffs[-1] - timedelta(days=1))
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / f"{of.file}.parquet").symlink_to((data / f"{of.file}.parquet").resolve())
            raw = LandingFolder(city, fs.LocalFileSystem(), folder).read(days[0], days[-1])
        cleaned = clean_alerts(raw, days, city)
        pq.write_table(
            pa.concat_tables(
                cleaned[day].alerts.append_column("date", pa.array([day] * len(cleaned[day].alerts), pa.date32()))
                for day in days
            ),
            kept,
        )
    return city, pq.read_table(kept)


def read_hours(name: str, data: Path, cache: Path) -> tuple[City, np.ndarray]:
    """City and its hourly counts up to the last cutoff, shape (hours, types, rows, columns)."""
    city, alerts = read_alerts(name, data, cache)
    days = days_between(BENCHMARKS[name].start, BENCHMARKS[name].cutoffs[-1] - timedelta(days=1))
    tensors = grid_tensors(alerts, days, city)
    frames = pa.concat_tables(
        table.append_column("date", pa.array([day] * len(table), pa.date32())).replace_schema_metadata(None)
        for day, table in tensors.items()
    ).replace_schema_metadata({b"grid": tensors[days[0]].schema.metadata[b"grid"]})
    return city, dense_window(frames, days, city, by="hour")
