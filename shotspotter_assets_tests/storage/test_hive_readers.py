from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from shotspotter_assets.storage.catalogue import CLEANED, REJECTED
from shotspotter_assets.storage.store import Store

ALERTS = replace(CLEANED, columns={"user_id": CLEANED.columns["user_id"]})
ALERTS_REJECTED = replace(REJECTED, columns={"reason": REJECTED.columns["reason"]})
DAYS = [date(2018, 5, 1) + timedelta(days=number) for number in range(3)]


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Two cities, three days, one of them without alerts, rejected rows and a killed run's leftover beside them."""
    store = Store(str(tmp_path))
    for city in ("oakland", "washington_dc"):
        for number, day in enumerate(DAYS):
            ids = pa.array(range(number), pa.int64())
            store.write_table(ALERTS, pa.table({"user_id": ids}), city, day)
            store.write_table(ALERTS_REJECTED, pa.table({"reason": ["no time"]}), city, day)
            leftover = Path(store.uri(ALERTS, city, day)).with_name(".host-1-0.partial")
            leftover.write_bytes(b"torn")
    return str(tmp_path)


EXPECTED = {(city, day, one) for city in ("oakland", "washington_dc") for n, day in enumerate(DAYS) for one in range(n)}


FILES = "cleaned_alerts/**/alerts.parquet"
READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "pyarrow": lambda root: ds.dataset(list(root.glob(FILES)), partitioning="hive").to_table().to_pandas(),
    "pandas": lambda root: pd.read_parquet(list(root.glob(FILES)), partitioning="hive"),
    "polars": lambda root: pl.scan_parquet(f"{root}/{FILES}", hive_partitioning=True).collect().to_pandas(),
    "duckdb": lambda root: duckdb.sql(f"FROM read_parquet('{root}/{FILES}', hive_partitioning = true)").df(),
}


@pytest.mark.parametrize("reader", READERS)
def test_other_programs_read_cities_and_days_from_the_folders(root: str, reader: str) -> None:
    frame = READERS[reader](Path(root))
    rows = zip(frame["city"], frame["date"].astype(str), frame["user_id"], strict=True)
    assert {(city, date.fromisoformat(day), one) for city, day, one in rows} == EXPECTED


def test_an_asset_with_one_file_per_day_opens_by_its_folder(root: str) -> None:
    for partition_rejected in Path(root).rglob("rejected.parquet"):
        partition_rejected.unlink()
    assert ds.dataset(f"{root}/cleaned_alerts", partitioning="hive").count_rows() == len(EXPECTED)
    assert len(pd.read_parquet(f"{root}/cleaned_alerts")) == len(EXPECTED)
