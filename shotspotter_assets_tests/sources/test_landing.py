"""The landing folder: formats, days, times, and files that cannot be used."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from shotspotter_assets.cities.model import City
from shotspotter_assets.cities.registry import load_city
from shotspotter_assets.sources import landing_files
from shotspotter_assets.sources.landing import LandingFolder
from shotspotter_assets.sources.protocol import SourceError
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")
FIRST, LAST = date(2024, 3, 1), date(2024, 3, 31)
ROWS: list[dict[str, Any]] = [
    {"when": "2024-03-02T04:59:59Z", "lon": -76.5, "lat": 38.5, "kind": "Single_Gunshot", "rounds": 1, "id": "a"},
    {"when": "2024-03-02T05:00:00Z", "lon": -76.4, "lat": 38.4, "kind": "PG", "rounds": None, "id": "b"},
    {"when": "2024-03-20T12:00:00-04:00", "lon": -76.3, "lat": 38.3, "kind": None, "rounds": 7, "id": None},
]
DAYS = [date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 20)]


def city(**source: Any) -> City:
    return CITY.model_copy(update={"source": CITY.source.model_copy(update=source)})


def folder(path: Path, **source: Any) -> LandingFolder:
    return LandingFolder(city(**source), fs.LocalFileSystem(), str(path))


def write(path: Path, rows: list[dict[str, Any]], kind: str) -> None:
    if kind == "csv":
        pd.DataFrame(rows).astype({"rounds": "Int32"}).to_csv(path / "a.csv", index=False)
    elif kind == "jsonl":
        (path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    elif kind == "geojson":
        features = [
            {
                "type": "Feature",
                "properties": {key: value for key, value in row.items() if key not in ("lon", "lat")},
                "geometry": {"type": "Point", "coordinates": [row["lon"], row["lat"]]},
            }
            for row in rows
        ]
        (path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    else:
        table = pa.Table.from_pylist(rows)
        instants = pa.array(
            pd.to_datetime([row["when"] for row in rows], utc=True), pa.timestamp("ms", "America/Chicago")
        )
        pq.write_table(table.set_column(0, "when", instants), path / "a.parquet", row_group_size=1)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "geojson", "parquet"])
def test_every_format_gives_the_same_alerts(tmp_path: Path, kind: str) -> None:
    write(tmp_path, ROWS, kind)
    raw = folder(tmp_path).read(FIRST, LAST)
    assert raw.schema == RAW_SCHEMA
    assert raw["date"].to_pylist() == DAYS
    assert raw["time_utc"].to_pylist() == [datetime.fromisoformat(row["when"]).astimezone(UTC) for row in ROWS]
    assert raw["longitude"].to_pylist() == [-76.5, -76.4, -76.3]
    assert raw["gunshot_type"].to_pylist() == ["Single_Gunshot", "PG", None]
    assert raw["rounds"].to_pylist() == [1, None, 7]
    assert raw["source_id"].to_pylist() == ["a", "b", None]
    assert raw["received_row"].to_pylist() == [0, 1, 2]
    assert raw["as_received"].null_count == 3


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("first", "last"), [(1, 1), (2, 2), (2, 20), (3, 19), (20, 31)])
def test_a_day_has_the_same_rows_whatever_range_is_asked_for(tmp_path: Path, kind: str, first: int, last: int) -> None:
    write(tmp_path, ROWS, kind)
    everything = folder(tmp_path).read(FIRST, LAST)
    asked = (date(2024, 3, first), date(2024, 3, last))
    expected = [row for row in everything.to_pylist() if asked[0] <= row["date"] <= asked[1]]
    assert folder(tmp_path).read(*asked).to_pylist() == expected


def test_only_row_groups_that_can_hold_the_days_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ROWS, "parquet")
    read: list[int] = []
    original = pq.ParquetFile.read_row_group

    def counted(self: pq.ParquetFile, group: int, **arguments: Any) -> pa.Table:
        read.append(group)
        return original(self, group, **arguments)

    monkeypatch.setattr(landing_files.pq.ParquetFile, "read_row_group", counted)
    assert folder(tmp_path).read(date(2024, 3, 20), date(2024, 3, 21)).num_rows == 1
    assert read == [2]


def test_rows_without_a_usable_date_are_filed_under_the_first_day(tmp_path: Path) -> None:
    future = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    times = ["", "yesterday", "1970-01-01T00:00:00Z", "2070-01-01T00:00:00Z", future, "2024-02-29T12:00:00Z"]
    write(tmp_path, [{**ROWS[0], "when": time} for time in times] + ROWS, "csv")
    first_day = folder(tmp_path).read(FIRST, FIRST)
    assert first_day.num_rows == len(times) + 1
    assert first_day["time_utc"].null_count == 2
    assert folder(tmp_path).read(FIRST + timedelta(days=1), LAST).num_rows == 2
    assert "yesterday" in "".join(text or "" for text in first_day["as_received"].to_pylist())


def test_times_without_zone_need_a_word_in_the_citys_file(tmp_path: Path) -> None:
    write(tmp_path, [{**row, "when": "2024-03-10 02:30:00"} for row in ROWS], "csv")
    with pytest.raises(SourceError, match=r"a\.csv, row 0: the time '2024-03-10 02:30:00' has no zone.*naive_times"):
        folder(tmp_path).read(FIRST, LAST)
    utc = folder(tmp_path, naive_times="utc").read(FIRST, LAST)
    assert utc["time_utc"].to_pylist() == [datetime(2024, 3, 10, 2, 30, tzinfo=UTC)] * 3
    local = folder(tmp_path, naive_times="local").read(FIRST, LAST)
    assert local["time_utc"].to_pylist() == [datetime(2024, 3, 10, 7, 30, tzinfo=UTC)] * 3


def test_single_times_without_zone_are_kept_for_rejection(tmp_path: Path) -> None:
    write(tmp_path, [{**ROWS[0], "when": "2024-03-10 02:30:00"}, *ROWS], "csv")
    assert folder(tmp_path).read(FIRST, LAST)["time_utc"].null_count == 1


def test_written_times_of_another_form(tmp_path: Path) -> None:
    write(tmp_path, [{**ROWS[0], "when": "04/01/2024 11:58:53 PM"}], "csv")
    raw = folder(tmp_path, time_format="%m/%d/%Y %I:%M:%S %p", naive_times="local").read(FIRST, date(2024, 4, 2))
    assert raw["time_utc"].to_pylist() == [datetime(2024, 4, 2, 3, 58, 53, tzinfo=UTC)]
    assert raw["date"].to_pylist() == [date(2024, 4, 1)]


def test_daily_files_are_chosen_by_their_name(tmp_path: Path) -> None:
    for day in ("2024-03-02", "2024-03-03", "2024-03-20"):
        pd.DataFrame([{**ROWS[0], "when": f"{day}T12:00:00Z", "id": day}]).to_csv(
            tmp_path / f"drop_{day}.csv", index=False
        )
    (tmp_path / "drop_2024-03-21.csv").write_text("not,what,is,expected\n")
    landing = folder(tmp_path, file_date="drop_%Y-%m-%d")
    assert landing.read(date(2024, 3, 2), date(2024, 3, 3))["source_id"].to_pylist() == ["2024-03-02", "2024-03-03"]
    with pytest.raises(SourceError, match="drop_2024-03-21"):
        landing.read(date(2024, 3, 20), date(2024, 3, 20))


def test_a_date_far_from_the_daily_files_own_is_filed_under_the_files(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "when": f"2024-03-{day:02}T12:00:00Z"} for day in (9, 10, 15)]
    pd.DataFrame(rows).to_csv(tmp_path / "20240310.csv", index=False)
    landing = folder(tmp_path, file_date="%Y%m%d")
    assert landing.read(FIRST, LAST)["date"].to_pylist() == [date(2024, 3, 9), date(2024, 3, 10), date(2024, 3, 10)]
    with pytest.raises(SourceError, match="file_date"):
        folder(tmp_path, file_date="drop_%Y%m%d").files()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", r"a\.csv cannot be read as a CSV file.*Empty CSV"),
        ("a.geojson", b"", r"a\.geojson cannot be read as a GeoJSON"),
        ("a.geojson", b'{"type": "Feature"}', r"a\.geojson cannot be read as a GeoJSON"),
        ("a.parquet", b"PAR1 torn", r"a\.parquet cannot be read as a Parquet file"),
        (
            "a.csv",
            b"when,lon,lat,kind,id\n",
            r"a\.csv has no column rounds \(source\.columns\.rounds\); it has: id, kind",
        ),
        ("a.jsonl", b'{"when": "x"}\n', r"a\.jsonl has no column lon"),
        ("a.jsonl", b"\xff\xfe", r"a\.jsonl cannot be read"),
        ("a.csv", b"when,lon,lat,kind,rounds,id,id\n", r"a\.csv has more than one column id"),
        (
            "a.geojson",
            b'{"features": [{"properties": {}, "geometry": [1, 2]}]}',
            r"a\.geojson cannot be read as a GeoJSON",
        ),
        ("a.xlsx", b"PK", r"a\.xlsx is of a kind that is not read \(allowed: \.parquet"),
    ],
)
def test_unusable_file_is_named_with_what_to_do(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=says) as caught:
        folder(tmp_path).read(FIRST, LAST)
    assert "landing_city" in str(caught.value)


def test_header_only_file_has_no_alerts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("when,lon,lat,kind,rounds,id\n")
    assert folder(tmp_path).read(FIRST, LAST).num_rows == 0


def test_missing_or_empty_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SourceError, match="SHOTSPOTTER_LANDING"):
            folder(path).read(FIRST, LAST)


def test_unfinished_and_hidden_files_are_left_for_later(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    for name in ("b.csv.part", "c.csv.tmp", ".d.csv", "_e.csv"):
        (tmp_path / name).write_text("torn")
    assert [Path(file.path).name for file in folder(tmp_path).files()] == ["a.csv"]


def test_broken_lines_are_kept_not_lost(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "when,lon,lat,kind,rounds,id\n2024-03-02T12:00:00Z,-76.5,38.5,SG,1,a\nonly,three,fields\n"
    )
    raw = folder(tmp_path).read(FIRST, LAST)
    assert raw["as_received"].to_pylist() == ["only,three,fields", None]
    (tmp_path / "a.csv").unlink()
    (tmp_path / "a.jsonl").write_text(json.dumps(ROWS[0]) + "\n{broken\n[1]\n")
    raw = folder(tmp_path).read(FIRST, LAST)
    assert sorted(text for text in raw["as_received"].to_pylist() if text) == ["[1]", "{broken"]


def test_one_line_of_ten_megabytes(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    with (tmp_path / "a.csv").open("a") as file:
        file.write("x" * 10_000_000 + "\n")
    raw = folder(tmp_path).read(FIRST, LAST)
    assert raw.num_rows == len(ROWS) + 1
    assert raw["time_utc"].null_count == 1


def test_an_unmatched_quote_does_not_swallow_the_lines_that_follow(tmp_path: Path) -> None:
    lines = [f"2024-03-0{day}T12:00:00Z,-76.5,38.5,SG,1,{day}" for day in range(2, 8)]
    lines[1] = lines[1].replace("SG", '"SG')
    (tmp_path / "a.csv").write_text("when,lon,lat,kind,rounds,id\n" + "\n".join(lines) + "\n")
    with pytest.raises(SourceError, match=r"a\.csv"):
        folder(tmp_path).read(FIRST, LAST)


@pytest.mark.parametrize(
    ("when", "utc"),
    [
        ("2024-03-05 12:30:00+00", datetime(2024, 3, 5, 12, 30, tzinfo=UTC)),
        ("2024-03-05 12:30:00-04", datetime(2024, 3, 5, 16, 30, tzinfo=UTC)),
        ("2024-03-05T12:30:00.250+0100", datetime(2024, 3, 5, 11, 30, 0, 250_000, tzinfo=UTC)),
        ("2024-03-05T12:30:00 UTC", None),
    ],
)
def test_zones_as_databases_write_them(tmp_path: Path, when: str, utc: datetime | None) -> None:
    write(tmp_path, [{**ROWS[0], "when": when}, *ROWS[:1]], "csv")
    found = folder(tmp_path).read(FIRST, LAST)["time_utc"].to_pylist()
    assert found.count(utc) == 1


def test_the_year_at_the_end_of_a_time_is_no_zone(tmp_path: Path) -> None:
    write(tmp_path, [{**ROWS[0], "when": "12:30 05-03-2024"}], "csv")
    raw = folder(tmp_path, time_format="%H:%M %d-%m-%Y", naive_times="local").read(FIRST, LAST)
    assert raw["time_utc"].to_pylist() == [datetime(2024, 3, 5, 17, 30, tzinfo=UTC)]
    with pytest.raises(SourceError, match="has no zone"):
        folder(tmp_path, time_format="%H:%M %d-%m-%Y").read(FIRST, LAST)


def test_a_nested_column_does_not_mislead_the_choice_of_row_groups(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    moments = pa.array(
        [{"published": datetime(2020, 1, 1, tzinfo=UTC), "updated": datetime(2020, 1, 2, tzinfo=UTC)}] * 3
    )
    pq.write_table(table.add_column(0, "meta", moments), tmp_path / "a.parquet", row_group_size=1)
    assert folder(tmp_path).read(date(2024, 3, 20), date(2024, 3, 20)).num_rows == 1


def test_daily_files_from_outside_the_citys_days_keep_their_rows(tmp_path: Path) -> None:
    for name in ("20240101", "20990101"):
        pd.DataFrame([{**ROWS[0], "when": f"{name}T12:00:00Z"}]).to_csv(tmp_path / f"{name}.csv", index=False)
    landing = folder(tmp_path, file_date="%Y%m%d")
    assert landing.read(FIRST, FIRST).num_rows == 1
    today = datetime.now(UTC).astimezone(CITY.zone).date()
    assert landing.read(today, today).num_rows == 1


def test_values_that_cannot_be_held_are_dropped_and_the_row_kept(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "rounds": 3_000_000_000}, {**ROWS[0], "kind": "\ud800"}]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n" + "[" * 200_000 + "\n")
    raw = folder(tmp_path).read(FIRST, LAST)
    assert raw.num_rows == 3
    assert raw["rounds"].to_pylist().count(None) == 2
    write(tmp_path, [{**ROWS[0], "when": "9999-12-31T23:59:59"}, {**ROWS[0], "when": "2024-03-05T12:00:00"}], "csv")
    (tmp_path / "a.jsonl").unlink()
    assert folder(tmp_path, naive_times="local").read(FIRST, LAST)["time_utc"].null_count == 1


def test_a_point_fills_empty_properties(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "geojson")
    text = (tmp_path / "a.geojson").read_text().replace('"properties": {', '"properties": {"lon": null, "lat": null, ')
    (tmp_path / "a.geojson").write_text(text)
    assert folder(tmp_path).read(FIRST, LAST)["longitude"].to_pylist() == [-76.5, -76.4, -76.3]


def test_real_alerts_of_a_year_are_all_read(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "washington_dc.parquet").symlink_to(real_data / "washington_dc.parquet")
    washington = load_city(TEST_CITIES / "washington_dc.yaml")
    raw = LandingFolder(washington, fs.LocalFileSystem(), str(tmp_path)).read(date(2018, 1, 1), date(2018, 12, 31))
    assert raw.num_rows == 4_637
