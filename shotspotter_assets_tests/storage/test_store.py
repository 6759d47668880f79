from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from shotspotter_assets.storage.day_metadata import values_by_day
from shotspotter_assets.storage.errors import CorruptObjectError, MissingObjectError, MissingPartitionsError
from shotspotter_assets.storage.store import CachingStore, Partition, Store

DAY = date(2018, 5, 1)
DATE_PARTITION = Partition("cleaned_alerts", "washington_dc", "date", DAY)
FOLD_PARTITION = Partition("fold_models", "washington_dc", "fold", date(2018, 7, 1))
CITY_PARTITION = Partition("walk_forward_reports", "washington_dc")


def table(*ids: int, **metadata: str) -> pa.Table:
    columns = {"user_id": pa.array(ids, pa.int64()), "rounds": pa.array([one % 7 for one in ids], pa.int32())}
    return pa.table(columns).replace_schema_metadata(metadata or None)


@pytest.mark.parametrize("partition", [DATE_PARTITION, FOLD_PARTITION, CITY_PARTITION], ids=lambda one: one.asset)
def test_bytes_come_back_until_they_are_deleted(store: Store, partition: Partition) -> None:
    assert not store.exists(partition, "model.keras")
    store.write_bytes(partition, "model.keras", b"\x00first")
    store.write_bytes(partition, "model.keras", b"second\xff")
    assert store.exists(partition, "model.keras")
    assert store.read_bytes(partition, "model.keras") == b"second\xff"
    store.delete(partition, "model.keras")
    store.delete(partition, "model.keras")
    assert not store.exists(partition, "model.keras")


def test_large_and_empty_objects_come_back_whole(store: Store) -> None:
    large = bytes(range(256)) * 100_000
    store.write_bytes(FOLD_PARTITION, "large", large)
    store.write_bytes(FOLD_PARTITION, "empty", b"")
    assert store.read_bytes(FOLD_PARTITION, "large") == large
    assert store.read_bytes(FOLD_PARTITION, "empty") == b""


def test_paths_are_hive_partitions(store: Store) -> None:
    tails = {
        DATE_PARTITION: "/cleaned_alerts/city=washington_dc/date=2018-05-01/x.parquet",
        FOLD_PARTITION: "/fold_models/city=washington_dc/fold=2018-07-01/x.parquet",
        CITY_PARTITION: "/walk_forward_reports/city=washington_dc/x.parquet",
    }
    for partition, tail in tails.items():
        assert store.uri(partition, "x.parquet") == store.root + tail


def test_a_table_keeps_its_schema_and_metadata(store: Store) -> None:
    original = pa.table(
        {
            "time_utc": pa.array([0, None], pa.timestamp("us", "UTC")),
            "location_id": pa.array([2**32 - 1, 0], pa.uint32()),
            "source_id": pa.array(["a|b", None]),
        },
        metadata={"shape": "24,4,36,36"},
    )
    store.write_table(DATE_PARTITION, "alerts.parquet", original)
    read = store.read_table(DATE_PARTITION, "alerts.parquet")
    assert read.equals(original, check_metadata=True)
    assert store.read_table(DATE_PARTITION, "alerts.parquet", ["source_id"]).column_names == ["source_id"]
    store.write_table(DATE_PARTITION, "alerts.parquet", original[:0])
    assert store.read_table(DATE_PARTITION, "alerts.parquet").schema == original.schema


def test_the_error_of_a_missing_object_has_the_command(store: Store) -> None:
    with pytest.raises(MissingObjectError) as caught:
        store.read_table(DATE_PARTITION, "alerts.parquet")
    message = str(caught.value)
    assert (
        "dg launch --assets washington_dc/raw_alerts,washington_dc/cleaned_alerts,washington_dc/grid_tensors --partition 2018-05-01"
        in message
    )
    assert store.uri(DATE_PARTITION, "alerts.parquet") in message
    with pytest.raises(MissingObjectError, match=r"dg launch --assets washington_dc/walk_forward_reports$"):
        store.read_bytes(CITY_PARTITION, "report.json")


@pytest.mark.parametrize("damage", [b"", b"not parquet", "half", "middle"])
def test_a_damaged_table_is_named(store: Store, damage: bytes | str) -> None:
    store.write_table(DATE_PARTITION, "alerts.parquet", table(*range(5000)))
    good = store.read_bytes(DATE_PARTITION, "alerts.parquet")
    bad = {"half": good[: len(good) // 2], "middle": good[:100] + b"\xff" * 200 + good[300:]}.get(str(damage), damage)
    store.write_bytes(DATE_PARTITION, "alerts.parquet", bad)
    with pytest.raises(CorruptObjectError, match=r"materialize cleaned_alerts for washington_dc 2018-05-01 again"):
        store.read_table(DATE_PARTITION, "alerts.parquet")


def test_a_window_is_its_days_in_order_with_their_dates(store: Store) -> None:
    days = [DAY + timedelta(days=number) for number in range(40)]
    rows = {day: [number * 100 + one for one in range(number % 4)] for number, day in enumerate(days)}
    written = {day: table(*rows[day], shape="24", source=str(day)) for day in reversed(days)}
    store.write_tables("cleaned_alerts", "washington_dc", "alerts.parquet", written)
    first, last = days[3], days[-2]
    window = store.read_window("cleaned_alerts", "washington_dc", "alerts.parquet", first, last)
    expected = [(day, one) for day in days[3:-1] for one in rows[day]]
    assert list(zip(window["date"].to_pylist(), window["user_id"].to_pylist(), strict=True)) == expected
    assert window.schema.field("date").type == pa.date32()
    # What differs is kept by day.
    assert set(window.schema.metadata) == {b"shape", b"source_by_day"}
    assert values_by_day(window.schema.metadata, "shape", days[:2]) == {"24": days[:2]}
    assert values_by_day(window.schema.metadata, "source", days[4:6]) == {str(day): [day] for day in days[4:6]}
    only_dates = store.read_window("cleaned_alerts", "washington_dc", "alerts.parquet", first, last, ["date"])
    assert only_dates.column_names == ["date"]
    assert len(only_dates) == len(expected)
    named = store.read_window("cleaned_alerts", "washington_dc", "alerts.parquet", first, first, ["rounds"])
    assert named.column_names == ["date", "rounds"]


def test_a_window_with_holes_names_them(store: Store) -> None:
    days = [DAY + timedelta(days=number) for number in range(30)]
    missing = [days[0], *days[10:18], days[29]]
    present = {day: table(1) for day in days if day not in missing}
    store.write_tables("cleaned_alerts", "washington_dc", "alerts.parquet", present)
    store.write_table(Partition("cleaned_alerts", "washington_dc", "date", days[0]), "rejected.parquet", table(1))
    store.write_table(Partition("cleaned_alerts", "oakland", "date", days[10]), "alerts.parquet", table(1))
    with pytest.raises(MissingPartitionsError) as caught:
        store.read_window("cleaned_alerts", "washington_dc", "alerts.parquet", days[0], days[-1])
    assert caught.value.days == missing
    message = str(caught.value)
    assert "cleaned_alerts of washington_dc lacks alerts.parquet for 10 of the 30 days" in message
    assert "2018-05-01, 2018-05-11, 2018-05-12, 2018-05-13, 2018-05-14 and 5 more" in message
    assert "washington_dc/grid_tensors --partition-range 2018-05-01...2018-05-30" in message
    with pytest.raises(ValueError, match="before it starts"):
        store.read_window("cleaned_alerts", "washington_dc", "alerts.parquet", days[1], days[0])


def test_a_window_whose_days_do_not_fit_together_is_refused(store: Store) -> None:
    other = pa.table({"user_id": [1.5]})
    tables = {DAY: table(1), DAY + timedelta(days=1): other}
    store.write_tables("cleaned_alerts", "washington_dc", "alerts.parquet", tables)
    with pytest.raises(CorruptObjectError, match=r"columns are not those of 2018-05-01.* 2018-05-02 again"):
        store.read_window("cleaned_alerts", "washington_dc", "alerts.parquet", min(tables), max(tables))


def test_days_present_distinguishes_cities_files_and_dimensions(store: Store) -> None:
    assert store.days_present("fold_models", "washington_dc", "model.keras", "fold") == set()
    store.write_bytes(FOLD_PARTITION, "model.keras", b"x")
    store.write_bytes(FOLD_PARTITION, "record.json", b"x")
    store.write_bytes(Partition("fold_models", "washington", "fold", DAY), "model.keras", b"x")
    store.write_bytes(Partition("fold_models", "washington_dc", "date", DAY), "model.keras", b"x")
    store.write_bytes(Partition("fold_models", "washington_dc", "fold", DAY), "other", b"x")
    assert store.days_present("fold_models", "washington_dc", "model.keras", "fold") == {date(2018, 7, 1)}
    assert store.days_present("fold_models", "washington_dc", "model.keras") == {DAY}


def test_cities_present_are_those_with_a_file_without_a_day(store: Store) -> None:
    assert store.cities_present("quality", "a.json") == []
    for city, file in (("y", "a.json"), ("x", "a.json"), ("z", "c.json")):
        store.write_bytes(Partition("quality", city), file, b"x")
    store.write_bytes(Partition("quality", "z", "date", DAY), "a.json", b"of a day")
    store.write_bytes(Partition("quality_of_others", "z"), "a.json", b"of another asset")
    assert store.cities_present("quality", "a.json") == ["x", "y"]


@pytest.mark.parametrize("root", ["", " ", "s3://", "s3:///prefix", "s3:/bucket", "s3://UP_CASE/x", "s3://bucket//x",
                                  "gs://bucket/x", "https://host/x", "file:///data"])  # fmt: skip
def test_a_bad_root_is_refused_with_the_allowed_forms(root: str) -> None:
    with pytest.raises(ValueError, match=r"s3://bucket/prefix .*SHOTSPOTTER_STORE"):
        Store(root, s3_client=object())


def test_an_s3_root_needs_a_client() -> None:
    with pytest.raises(ValueError, match="needs an S3 client"):
        Store("s3://bucket/prefix")


def test_relative_root_is_fixed_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = Store("store")
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.write_bytes(CITY_PARTITION, "report.md", b"x")
    assert (tmp_path / "store/walk_forward_reports/city=washington_dc/report.md").read_bytes() == b"x"


def test_a_caching_store_reads_a_window_once(tmp_path: Path) -> None:
    store, root = CachingStore(str(tmp_path)), str(tmp_path)
    days = DAY, DAY + timedelta(days=1)
    Store(root).write_tables("cleaned_alerts", "dc", "f.parquet", {day: table(1) for day in days})
    before = store.read_window("cleaned_alerts", "dc", "f.parquet", *days)
    Store(root).write_tables("cleaned_alerts", "dc", "f.parquet", {day: table(2) for day in days})
    assert store.read_window("cleaned_alerts", "dc", "f.parquet", *days) is before
    assert store.read_window("cleaned_alerts", "dc", "f.parquet", DAY, DAY)["user_id"].to_pylist() == [2]
