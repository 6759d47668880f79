from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from shotspotter_assets.storage import catalogue, fingerprints
from shotspotter_assets.storage.catalogue import CLEANED, FOLD_MODEL, FOLD_RECORD, REJECTED, Asset
from shotspotter_assets.storage.errors import CorruptObjectError, MissingObjectError, MissingPartitionsError
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import FORMAT_VERSION, TABLE_ENTRY
from shotspotter_assets.storage.stored_file import Column, StoredFile

DAY = date(2018, 5, 1)
DC = "washington_dc"
CUTOFF = date(2018, 7, 1)
MODEL = catalogue.FOLD_MODEL.named(model="conv_lstm", file="keras")
PLACES = {catalogue.CLEANED: (DC, DAY), MODEL: (DC, CUTOFF), catalogue.CITY_REPORT: (DC,)}
COLUMNS = {"user_id": Column("int64", "Number."), "rounds": Column("int32", "Number.", required=False)}
SMALL = replace(catalogue.CLEANED, columns=COLUMNS)


def table(*ids: int, **metadata: str) -> pa.Table:
    columns = {"user_id": pa.array(ids, pa.int64()), "rounds": pa.array([one % 7 for one in ids], pa.int32())}
    return pa.table(columns).replace_schema_metadata(metadata or None)


@pytest.mark.parametrize("file", PLACES, ids=lambda one: one.asset)
def test_bytes_come_back_until_they_are_deleted(store: Store, file: StoredFile) -> None:
    place = PLACES[file]
    assert not store.exists(file, *place)
    store.write_bytes(file, b"\x00first", *place)
    store.write_bytes(file, b"second\xff", *place)
    assert store.exists(file, *place)
    assert store.read_bytes(file, *place) == b"second\xff"
    store.delete(file, *place)
    store.delete(file, *place)
    assert not store.exists(file, *place)


def test_paths_are_hive_partitions(store: Store) -> None:
    assert [store.uri(file, *place).removeprefix(store.root) for file, place in PLACES.items()] == [
        "/cleaned_alerts/city=washington_dc/date=2018-05-01/alerts.parquet",
        "/fold_models/city=washington_dc/target=gunfire/fold=2018-07-01/conv_lstm.keras",
        "/walk_forward_reports/city=washington_dc/target=gunfire/report.json",
    ]
    with pytest.raises(ValueError, match=r"alerts.parquet of cleaned_alerts is stored by day, not for None"):
        store.uri(catalogue.CLEANED, DC)


def test_a_table_keeps_its_metadata_and_takes_the_types_of_the_catalogue(store: Store) -> None:
    original = table(7, 8, shape="24,4,36,36")
    store.write_table(SMALL, original, DC, DAY)
    read = store.read_table(SMALL, DC, DAY)
    assert read.to_pylist() == original.to_pylist()
    assert read.schema.metadata == {b"shape": b"24,4,36,36", TABLE_ENTRY: str(FORMAT_VERSION).encode()}
    assert read.schema.remove_metadata() == SMALL.schema
    assert store.read_table(SMALL, DC, DAY, ["rounds"]).column_names == ["rounds"]
    store.write_table(SMALL, original[:0], DC, DAY)
    assert store.read_table(SMALL, DC, DAY).schema == read.schema


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda rows: rows.drop_columns(["rounds"]), "column rounds is missing"),
        (lambda rows: rows.append_column("x", pa.array([1.0])), "column x of type double is not in the catalogue"),
        (lambda rows: rows.set_column(0, "user_id", pa.array([1.0])), "column user_id is double, not int64"),
        (lambda rows: rows.set_column(0, "user_id", pa.nulls(1, pa.int64())), "column user_id lacks 1 values"),
    ],
)
def test_another_table_than_the_catalogue_describes_is_refused(store: Store, change: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=rf"cleaned_alerts, alerts.parquet: {problem}"):
        store.write_table(SMALL, change(table(1)), DC, DAY)
    assert not store.exists(SMALL, DC, DAY)


def test_the_error_of_a_missing_object_has_the_command(store: Store) -> None:
    with pytest.raises(MissingObjectError) as caught:
        store.read_table(SMALL, DC, DAY)
    message = str(caught.value)
    chain = "washington_dc/raw_alerts,washington_dc/cleaned_alerts,washington_dc/grid_tensors"
    assert f"dg launch --assets {chain} --partition 2018-05-01" in message
    assert store.uri(SMALL, DC, DAY) in message
    with pytest.raises(MissingObjectError, match=r"dg launch --assets washington_dc/walk_forward_reports$"):
        store.read_bytes(catalogue.CITY_REPORT, DC)


@pytest.mark.parametrize("damage", [b"", b"not parquet", "half", "middle"])
def test_a_damaged_table_is_named(store: Store, damage: bytes | str) -> None:
    store.write_table(SMALL, table(*range(5000)), DC, DAY)
    good = store.read_bytes(SMALL, DC, DAY)
    bad = {"half": good[: len(good) // 2], "middle": good[:100] + b"\xff" * 200 + good[300:]}.get(str(damage), damage)
    store.write_bytes(SMALL, bad, DC, DAY)
    with pytest.raises(CorruptObjectError, match=r"materialize cleaned_alerts for washington_dc 2018-05-01 again"):
        store.read_table(SMALL, DC, DAY)


def test_a_window_is_its_days_in_order_with_their_dates(store: Store) -> None:
    days = [DAY + timedelta(days=number) for number in range(40)]
    rows = {day: [number * 100 + one for one in range(number % 4)] for number, day in enumerate(days)}
    written = {day: table(*rows[day], shape="24", source=str(day)) for day in reversed(days)}
    store.write_tables(SMALL, written, DC)
    first = days[3]
    last = days[-2]
    window = store.read_window(SMALL, DC, first, last)
    expected = [(day, one) for day in days[3:-1] for one in rows[day]]
    assert list(zip(window["date"].to_pylist(), window["user_id"].to_pylist(), strict=True)) == expected
    assert window.schema.field("date").type == pa.date32()
    assert window.schema.metadata is None
    only_dates = store.read_window(SMALL, DC, first, last, ["date"])
    assert only_dates.column_names == ["date"]
    assert len(only_dates) == len(expected)
    named = store.read_window(SMALL, DC, first, first, ["rounds"])
    assert named.column_names == ["date", "rounds"]


def test_a_window_with_holes_names_them(store: Store) -> None:
    days = [DAY + timedelta(days=number) for number in range(30)]
    missing = [days[0], *days[10:18], days[29]]
    present = {day: table(1) for day in days if day not in missing}
    store.write_tables(SMALL, present, DC)
    store.write_bytes(catalogue.REJECTED, b"", DC, days[0])
    store.write_table(SMALL, table(1), "oakland", days[10])
    with pytest.raises(MissingPartitionsError) as caught:
        store.read_window(SMALL, DC, days[0], days[-1])
    assert caught.value.days == missing
    message = str(caught.value)
    assert "cleaned_alerts of washington_dc lacks alerts.parquet for 10 of the 30 days" in message
    assert "2018-05-01, 2018-05-11, 2018-05-12, 2018-05-13, 2018-05-14 and 5 more" in message
    assert "washington_dc/grid_tensors --partition-range 2018-05-01...2018-05-30" in message
    with pytest.raises(ValueError, match="before it starts"):
        store.read_window(SMALL, DC, days[1], days[0])


def test_a_window_whose_days_do_not_fit_together_is_refused(store: Store) -> None:
    following = DAY + timedelta(days=1)
    store.write_table(SMALL, table(1), DC, DAY)
    narrow = replace(SMALL, columns={"user_id": COLUMNS["user_id"]})
    store.write_table(narrow, table(1).select(["user_id"]), DC, following)
    with pytest.raises(CorruptObjectError, match=r"columns are not those of 2018-05-01.* 2018-05-02 again"):
        store.read_window(SMALL, DC, DAY, following)


def test_days_present_distinguishes_cities_files_and_dimensions(store: Store) -> None:
    assert store.days_present(MODEL, DC) == set()
    for file, city in ((MODEL, DC), (catalogue.FOLD_RECORD, DC), (MODEL, "washington")):
        store.write_bytes(file, b"x", city, CUTOFF)
    store.write_bytes(replace(MODEL, date_name="day"), b"x", DC, DAY)
    store.write_bytes(MODEL, b"x", DC, CUTOFF + timedelta(days=92))
    assert store.days_present(MODEL, DC, last=CUTOFF) == {CUTOFF}
    assert store.days_present(MODEL, "washington") == {CUTOFF}
    assert store.days_present(replace(MODEL, date_name="day"), DC) == {DAY}


def test_cities_present_are_those_with_a_file_without_a_day(store: Store) -> None:
    assert store.cities_present(catalogue.CITY_STATE) == []
    for city in "yx":
        store.write_bytes(catalogue.CITY_STATE, b"x", city)
    store.write_bytes(replace(catalogue.CITY_STATE, file="c.json"), b"x", "z")
    store.write_bytes(replace(catalogue.CITY_STATE, date_name="day"), b"of a day", "z", DAY)
    store.write_bytes(replace(catalogue.CITY_STATE, asset=Asset.CITY_PAGES), b"of another asset", "z")
    assert store.cities_present(catalogue.CITY_STATE) == ["x", "y"]


def test_a_cleared_partition_leaves_others_and_other_targets(store: Store) -> None:
    first = date(2024, 1, 1)
    second = date(2024, 4, 1)
    for of_target in (store.of("gunfire"), store.of("robbery")):
        for at in (first, second):
            of_target.write_bytes(FOLD_RECORD, b"{}", "x", at)
            of_target.write_bytes(FOLD_MODEL.named(model="stack", file="model.json"), b"{}", "x", at)
    store.of("robbery").clear(FOLD_RECORD, "x", first)
    store.of("robbery").clear(FOLD_RECORD, "x", date(2024, 7, 1))
    left = sorted({file.rpartition("/")[0] for file in store.files_present(Asset.FOLD_MODELS, "x")})
    assert left == [f"target=gunfire/fold={first}", f"target=gunfire/fold={second}", f"target=robbery/fold={second}"]


def test_files_of_a_city_are_listed_with_those_below_its_folder(store: Store) -> None:
    assert store.files_present(Asset.CITY_PAGES, "x") == set()
    for file, city in (("a.html", "x"), ("public/b.html", "x"), ("c.html", "xy")):
        store.write_bytes(catalogue.PAGE.named(file=file), b"x", city)
    assert store.files_present(Asset.CITY_PAGES, "x") == {"a.html", "public/b.html"}


@pytest.mark.parametrize("root", ["", " ", "s3://", "s3:///prefix", "s3:/bucket", "s3://UP_CASE/x", "s3://bucket//x",
                                  "gs://bucket/x", "https://host/x", "file:///data"])  # fmt: skip
def test_a_bad_root_is_refused_with_the_allowed_forms(root: str) -> None:
    with pytest.raises(ValueError, match=r"s3://bucket/prefix .*SHOTSPOTTER_STORE"):
        Store(root, s3_client=object())


def test_relative_root_is_fixed_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = Store("store")
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.write_bytes(catalogue.MODEL_CARD, b"x", DC)
    assert (
        tmp_path / "store/walk_forward_reports/city=washington_dc/target=gunfire/model_card.md"
    ).read_bytes() == b"x"


def test_a_rows_hash_does_not_depend_on_the_rows_beside_it() -> None:
    columns = {
        "time_utc": pa.array([datetime(2024, 3, 2, tzinfo=UTC), None] * 5, pa.timestamp("us", "UTC")),
        "longitude": [None, -76.5] * 5, "rounds": pa.array([1, 2, None, None, 3, 4, 5, None, 1, 1], pa.int32()),
        "kind": [None] * 4 + ["SG", "MG", "SG", "", None, "x"], "user_id": [2**60 + at for at in range(10)],
    }  # fmt: skip
    table = pa.table(columns)
    whole = fingerprints.row_hashes(table)
    parts = [fingerprints.row_hashes(table.slice(start, 2)) for start in range(0, 10, 2)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.dtype == np.uint64
    assert len(set(whole)) == 10


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


def read_by_polars(root: Path) -> pd.DataFrame:
    import polars as pl

    return pl.scan_parquet(f"{root}/{FILES}", hive_partitioning=True).collect().to_pandas()


def read_by_duckdb(root: Path) -> pd.DataFrame:
    import duckdb

    return duckdb.sql(f"FROM read_parquet('{root}/{FILES}', hive_partitioning = true)").df()


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "pyarrow": lambda root: ds.dataset(list(root.glob(FILES)), partitioning="hive").to_table().to_pandas(),
    "pandas": lambda root: pd.read_parquet(list(root.glob(FILES)), partitioning="hive"),
    "polars": read_by_polars,
    "duckdb": read_by_duckdb,
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
