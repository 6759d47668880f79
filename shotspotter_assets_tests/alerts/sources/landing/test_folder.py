import json
import logging
import os
import re
import time
import uuid
import zipfile
from datetime import UTC, date, datetime, timedelta
from datetime import time as dt_time
from pathlib import Path
from typing import Any

import geopandas
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.api.open_data import ArcgisSettings
from shotspotter_assets.alerts.sources.landing.folder import LandingFolder, ListedFile
from shotspotter_assets.alerts.sources.landing.reader import Batch, read_in_subprocess
from shotspotter_assets.alerts.sources.landing.received import read_received, unusable_files
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA
from shotspotter_assets.alerts.sources.tabular_settings import Columns
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.publication import Acknowledged
from shotspotter_assets.city_files import load_city
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.s3_server import S3Server

CITY = load_city(TEST_CITIES / "landing_city.yaml")
FIRST = date(2024, 3, 1)
LAST = date(2024, 3, 31)
ROWS: list[dict[str, Any]] = [
    {"when": "2024-03-02T04:59:59Z", "lon": -76.5, "lat": 38.5, "kind": "Single_Gunshot", "rounds": 1, "id": "a"},
    {"when": "2024-03-02T05:00:00Z", "lon": -76.4, "lat": 38.4, "kind": "PG", "rounds": None, "id": "b"},
    {"when": "2024-03-20T12:00:00-04:00", "lon": -76.3, "lat": 38.3, "kind": None, "rounds": 7, "id": None},
]
DAYS = [date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 20)]


def city(**source: Any) -> City:
    return CITY.model_copy(update={"source": CITY.source.model_copy(update=source)})


def store(path: Path) -> Store:
    return Store(str(path.with_name(f"{path.name}.store")))


def folder(path: Path, **source: Any) -> LandingFolder:
    described = city(**source)
    return LandingFolder(described.site, described.source, str(path), store(path))


def write(path: Path, rows: list[dict[str, Any]], kind: str) -> None:
    """Write rows as a vendor would: GeoJSON has points, Parquet instants in its own zone and one row a group."""
    if kind == "csv":
        pd.DataFrame(rows).astype({"rounds": "Int32"}).to_csv(path / "a.csv", index=False)
    elif kind == "jsonl":
        (path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    elif kind == "geojson":
        points = [{"type": "Point", "coordinates": [row["lon"], row["lat"]]} for row in rows]
        others = [{key: row[key] for key in row if key not in ("lon", "lat")} for row in rows]
        found = zip(points, others, strict=True)
        features = [{"type": "Feature", "properties": other, "geometry": point} for point, other in found]
        (path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    else:
        table = pa.Table.from_pylist(rows)
        times = pd.to_datetime([row["when"] for row in rows], utc=True)
        instants = pa.array(times, pa.timestamp("ms", "America/Chicago"))
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
    assert raw["received_row"].to_pylist() == ([2, 3, 4] if kind == "csv" else [1, 2, 3])
    assert raw["as_received"].null_count == 3


@pytest.mark.parametrize(("first", "last"), [(2, 2), (3, 19), (20, 31)])
def test_a_day_has_the_same_rows_for_any_range_and_is_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, last: int
) -> None:
    write(tmp_path, ROWS, "csv")
    everything = folder(tmp_path).read(FIRST, LAST)
    monkeypatch.setattr("shotspotter_assets.alerts.sources.landing.folder.read_in_subprocess", None)
    asked = (date(2024, 3, first), date(2024, 3, last))
    expected = [row for row in everything.to_pylist() if asked[0] <= row["date"] <= asked[1]]
    assert folder(tmp_path).read(*asked).to_pylist() == expected


def test_rows_without_a_usable_date_are_filed_under_the_first_day(tmp_path: Path) -> None:
    times = ["", "yesterday", "1970-01-01T00:00:00Z", "2024-02-29T12:00:00Z"]
    write(tmp_path, [{**ROWS[0], "when": time} for time in [*times, "2070-01-02T12:00:00Z"]] + ROWS, "csv")
    first_day = folder(tmp_path).read(FIRST, FIRST)
    assert first_day.num_rows == len(times) + 1
    assert first_day["time_utc"].null_count == 2
    assert folder(tmp_path).read(FIRST + timedelta(days=1), LAST).num_rows == 2
    assert folder(tmp_path).read(date(2070, 1, 2), date(2070, 1, 2)).num_rows == 1, "a day to come is a usable date"
    assert "yesterday" in "".join(text or "" for text in first_day["as_received"].to_pylist())


def test_a_packaged_file_ends_where_the_live_source_begins(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    packaged = CITY.source.model_copy(update={"path": tmp_path})
    for since, days in ((DAYS[1], DAYS[:1]), (None, DAYS)):
        live = {"kind": "arcgis", "layer": "https://maps.example.gov/0", "columns": CITY.source.columns, "since": since}
        beside = CITY.model_copy(update={"source": ArcgisSettings(**live), "other_sources": (packaged,)})
        landing = LandingFolder(beside.site, packaged, str(tmp_path), store(tmp_path))
        assert landing.read(FIRST, LAST)["date"].to_pylist() == days == sorted(landing.refresh().rows)
    beside = beside.model_copy(update={"source": beside.source.model_copy(update={"since": DAYS[1]})})
    reports = LandingFolder(beside.site, CITY.source, str(tmp_path), store(tmp_path))
    assert sorted(reports.refresh().rows) == DAYS, "landed reports go on beside the live source"


def test_daily_files_are_chosen_by_their_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for day in ("2024-03-02", "2024-03-03", "2024-03-20"):
        row = {**ROWS[0], "when": f"{day}T12:00:00Z", "id": day}
        pd.DataFrame([row]).to_csv(tmp_path / f"drop_{day}.csv", index=False)
    (tmp_path / "drop_2024-03-21.csv").write_text("not,what,is,expected\n")
    landing = folder(tmp_path, file_date="drop_%Y-%m-%d")
    assert landing.read(date(2024, 3, 2), date(2024, 3, 3))["source_id"].to_pylist() == ["2024-03-02", "2024-03-03"]
    assert landing.read(date(2024, 3, 20), date(2024, 3, 20)).num_rows == 1
    assert landing.report().files == {date(2024, 3, day): f"drop_2024-03-{day:02}.csv" for day in (2, 3, 20)}
    assert landing.read(date(2024, 3, 20), date(2024, 3, 21)).num_rows == 1
    assert "drop_2024-03-21.csv cannot be read as a CSV file" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", r"a\.csv cannot be read as a CSV file.*Empty CSV"),
        ("a.geojson", b"", r"a\.geojson cannot be read as a GeoJSON"),
        ("a.geojson", b'{"type": "Feature"}', r"a\.geojson cannot be read as a GeoJSON"),
        ("a.parquet", b"PAR1 torn", r"a\.parquet cannot be read as a Parquet file"),
        ("a.csv", b"when,lon,lat,kind,id\n", r"no column rounds \(source\.columns\.rounds\); it has: id, kind"),
        ("a.jsonl", b'{"when": "x"}\n', r"a\.jsonl cannot be read .*it has no column lon"),
        ("a.jsonl", b"\xff\xfe", r"a\.jsonl cannot be read"),
        ("a.csv", b"when,lon,lat,kind,rounds,id,id\n", r"a\.csv cannot be read .*more than one column id"),
        ("a.geojson", b'{"features": [{"properties": {}, "geometry": [1, 2]}]}', r"a\.geojson cannot be read as"),
        ("a.csv", b"when,lon,lat,kind,rounds,id\nsoon,1,1,,,\n", "1 of 1 rows have no usable date; the first is"),
        ("a.docx", b"PK", r"a\.docx is of a kind that is not read \(allowed: \.parquet"),
        ("a.xlsx", b"PK", r"a\.xlsx cannot be read as an Excel workbook"),
        ("a.zip", b"PK", r"a\.zip cannot be read as a zip archive with one shapefile"),
        pytest.param("a.csv", b",".join(b"%d" % at for at in range(100_000)) + b"\n", "it has: 0, 1, 10, ", id="many"),
    ],
)
def test_unusable_file_is_named_with_what_to_do(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=says) as caught:
        folder(tmp_path).read(FIRST, LAST)
    assert "landing_city" in str(caught.value)
    assert len(str(caught.value)) < 2_500


def test_missing_or_empty_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SourceError, match="SHOTSPOTTER_LANDING"):
            folder(path).read(FIRST, LAST)


def test_unfinished_and_hidden_files_are_left_for_later(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    for name in ("b.csv.part", "c.csv.tmp", ".d.csv", "_e.csv"):
        (tmp_path / name).write_text("torn")
    landed = folder(tmp_path).refresh()
    assert [Path(path).name for path in landed.files] == ["a.csv"]
    assert [Path(path).name for path in landed.in_transfer] == ["b.csv.part", "c.csv.tmp"]


def test_broken_lines_are_kept_not_lost(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    with (tmp_path / "a.csv").open("a") as file:
        file.write("only,three,fields\n" + "x" * 10_000_000 + "\n")
    raw = folder(tmp_path).read(FIRST, LAST)
    assert raw["time_utc"].null_count == 2
    assert "only,three,fields" in raw["as_received"].to_pylist()
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(ROWS[0])}\n" * 2 + "{broken\n[1]\n")
    assert {"{broken", "[1]"} < set(folder(tmp_path).read(FIRST, LAST)["as_received"].to_pylist())


HEADER = "when,lon,lat,kind,rounds,id,note"
LINES = [
    "2024-03-01T12:00:00Z,-76.5,38.5,PG,1,a,short",
    '2024-03-01T13:00:00Z,-76.5,38.5,PG,1,b,"in two\nlines"',
    "2024-03-01T14:00:00Z,-76.5,38.5,PG,1,c,",
    "2024-03-01T15:00:00Z,-76.5,38.5,PG",
    "2024-03-01T16:00:00Z,-76.5,38.5,PG,1,e,",
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_are_numbered_by_the_lines_on_which_they_begin(tmp_path: Path, end: str) -> None:
    text = "\n".join(["", HEADER, LINES[0], "", *LINES[1:4], ",,,,,,", LINES[4], ""])
    (tmp_path / "a.csv").write_bytes(text.replace("\n", end).encode())
    raw = folder(tmp_path).read(FIRST, LAST).sort_by("received_row")
    assert dict(zip(raw["received_row"].to_pylist(), raw["source_id"].to_pylist(), strict=True)) == {
        3: "a", 5: "b", 7: "c", 8: None, 10: "e",
    }  # fmt: skip


def test_rows_of_json_lines_and_sheets_are_numbered_as_shown(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n\n".join(json.dumps(row) for row in ROWS))
    assert folder(tmp_path).read(FIRST, LAST)["received_row"].to_pylist() == [1, 3, 5]
    (tmp_path / "a.jsonl").unlink()
    sheet = [{**ROWS[0]}, dict.fromkeys(ROWS[0]), {**ROWS[1]}]
    pd.DataFrame(sheet).to_excel(tmp_path / "a.xlsx", index=False, startrow=1)
    assert folder(tmp_path).read(FIRST, LAST)["received_row"].to_pylist() == [3, 5]


def test_values_that_cannot_be_held_are_dropped_and_the_row_kept(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "rounds": 3_000_000_000}, {**ROWS[0], "kind": "\ud800"}]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n" + "[" * 200_000 + "\n")
    raw = folder(tmp_path).read(FIRST, LAST)
    assert raw.num_rows == 3
    assert raw["rounds"].to_pylist().count(None) == 2
    write(tmp_path, [{**ROWS[0], "when": "9999-12-31T23:59:59"}, {**ROWS[0], "when": "2024-03-05T12:00:00"}], "csv")
    assert folder(tmp_path, naive_times="local").read(FIRST, LAST)["time_utc"].null_count == 2


def test_a_point_fills_empty_properties(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "geojson")
    text = (tmp_path / "a.geojson").read_text().replace('"properties": {', '"properties": {"lon": null, "lat": null, ')
    (tmp_path / "a.geojson").write_text(text)
    assert folder(tmp_path).read(FIRST, LAST)["longitude"].to_pylist() == [-76.5, -76.4, -76.3]


def write_workbook(file: Path, rows: list[list[Any]]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Alerts"
    for row in rows:
        book.active.append(row)
    book.create_sheet("Notes").append(["nothing", "here"])
    book.save(file)


def test_workbook_with_real_dates_and_whole_numbers(tmp_path: Path) -> None:
    header = ["id", "when", "lon", "lat", "kind", "rounds", "unmapped"]
    rows = [
        [63963, datetime(2024, 3, 2, 23, 58, 53), -76.5, 38.5, "SG", 5, "x"],
        [None] * 7,
        ["b", "3/3/2024 1:02 AM", "-76.4", 38.4, None, None, None],
    ]
    write_workbook(tmp_path / "a.xlsx", [header, *rows])
    raw = folder(tmp_path, naive_times="local").read(FIRST, LAST)
    times = [datetime(2024, 3, 3, 4, 58, 53, tzinfo=UTC), datetime(2024, 3, 3, 6, 2, tzinfo=UTC)]
    assert raw["time_utc"].to_pylist() == times
    assert raw["source_id"].to_pylist() == ["63963", "b"]
    assert raw["rounds"].to_pylist() == [5, None]
    assert raw["longitude"].to_pylist() == [-76.5, -76.4]
    assert folder(tmp_path, naive_times="local", sheet="Alerts").read(FIRST, LAST).num_rows == 2
    with pytest.raises(SourceError, match=r"no sheet 'Shots' \(source\.sheet\); it has: Alerts, Notes"):
        folder(tmp_path, naive_times="local", sheet="Shots").read(FIRST, LAST)
    with pytest.raises(SourceError, match=r"a\.xlsx cannot .* no column when .*it has: here, nothing"):
        folder(tmp_path, sheet="Notes").read(FIRST, LAST)


def test_workbook_with_date_and_time_of_day_apart(tmp_path: Path) -> None:
    rows = [["when", "clock", "lon", "lat", "kind", "rounds", "id"]]
    rows += [[date(2024, 3, 2), clock, -76.5, 38.5, "SG", 1, "a"] for clock in (dt_time(17, 28, 57), "5:28 PM", 930)]
    write_workbook(tmp_path / "a.xlsx", rows)
    columns = CITY.source.columns.model_copy(update={"time_of_day": "clock"})
    raw = folder(tmp_path, columns=columns, naive_times="local").read(FIRST, LAST)
    local = [moment.astimezone(CITY.zone) for moment in raw["time_utc"].to_pylist()]
    assert [moment.strftime("%d %H:%M:%S") for moment in local] == ["02 09:30:00", "02 17:28:00", "02 17:28:57"]


POINTS = geopandas.GeoSeries.from_xy([row["lon"] for row in ROWS], [row["lat"] for row in ROWS], crs="EPSG:4326")


def write_shapefile(path: Path, system: str, missing: str) -> None:
    attributes = pd.DataFrame(ROWS).astype({"rounds": "Int32"}).drop(columns=["lon", "lat"])
    parts = path.with_name(f"{path.name}.unzipped")
    parts.mkdir()
    geopandas.GeoDataFrame(attributes, geometry=POINTS.to_crs(system)).to_file(parts / "shots.shp")
    with zipfile.ZipFile(path / "a.zip", "w") as archive:
        for file in parts.iterdir():
            if file.suffix != missing:
                archive.write(file, f"export/{file.name}")


def at_the_points(raw: pa.Table) -> bool:
    found = geopandas.GeoSeries.from_xy(raw["longitude"], raw["latitude"], crs="EPSG:4326")
    return found.geom_equals_exact(POINTS, tolerance=2e-5).all()


@pytest.mark.parametrize(("system", "missing"), [("EPSG:2248", ""), ("EPSG:4326", ".prj")])
def test_shapefile_in_any_system_gives_longitude_and_latitude(tmp_path: Path, system: str, missing: str) -> None:
    write_shapefile(tmp_path, system, missing)
    raw = folder(tmp_path).read(FIRST, LAST)
    assert at_the_points(raw)
    assert raw["date"].to_pylist() == DAYS
    assert raw["rounds"].to_pylist() == [1, None, 7]
    assert raw["source_id"].to_pylist() == ["a", "b", None]


def test_points_in_feet_are_refused_until_the_city_file_names_their_system(tmp_path: Path) -> None:
    places = POINTS.to_crs("EPSG:2248")
    write(tmp_path, [{**row, "lon": x, "lat": y} for row, x, y in zip(ROWS, places.x, places.y, strict=True)], "csv")
    with pytest.raises(SourceError, match=r"landing_city: .*a\.csv, row 2: the point .*Set source\.crs"):
        folder(tmp_path).read(FIRST, LAST)
    assert at_the_points(folder(tmp_path, crs="EPSG:2248").read(FIRST, LAST))


UNUSABLE = {".prj": r"row 1: the point .*Set source\.crs", ".shp": r"it holds 0 \.shp", ".dbf": "it has no column when"}


@pytest.mark.parametrize(("missing", "says"), UNUSABLE.items())
def test_shapefiles_that_cannot_be_used(tmp_path: Path, missing: str, says: str) -> None:
    write_shapefile(tmp_path, "EPSG:26985", missing)
    with pytest.raises(SourceError, match=says):
        folder(tmp_path).read(FIRST, LAST)


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", ","), ("cp1252", ";"), ("utf-8-sig", "\t"), ("utf-8", "|")]
)
def test_csv_in_the_encodings_and_with_the_separators_of_vendors(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = [{**row, "kind": "Zündung" if row["kind"] else None, "Straße": "x" * 50} for row in ROWS] * 1000
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False, encoding=encoding, sep=delimiter)
    raw = folder(tmp_path).read(FIRST, LAST)
    assert (raw.num_rows, raw["time_utc"].null_count) == (3000, 0)
    assert raw["gunshot_type"].unique().to_pylist() == ["Zündung", None]


def test_an_unmatched_quote_in_a_column_that_is_not_used(tmp_path: Path) -> None:
    head = "when,note,lon,lat,kind,rounds,id\n"
    line = "2024-03-02T12:00:00Z,{},-76.5,38.5,SG,1,a\n"
    for notes in ('"open', "x", "y"), ('"open', '"closed"', "y"), ("x", '"open', 'y"'):
        (tmp_path / "a.csv").write_text(head + "".join(line.format(note) for note in notes))
        with pytest.raises(SourceError, match=r"a\.csv"):
            folder(tmp_path).read(FIRST, LAST)
    address = '"5400 S WESTERN\nChicago, IL\n(41.79, -87.68)"'
    (tmp_path / "a.csv").write_text(head + line.format(address) * 3)
    assert folder(tmp_path).read(FIRST, LAST).num_rows == 3


def test_json_rows_with_nested_values_and_names_with_dots(tmp_path: Path) -> None:
    rows = [
        {"event.time": "2024-03-02T12:00:00Z", "the point": {"c": [-76.5, 38.5]}, "id": 1},
        {"event.time": "2024-03-03T12:00:00Z", "the point": {"c": [-76.4, 38.4]}, "info": {"kind": "SG"}},
        {"id": "no time, no point"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    columns = Columns(
        time="event.time", longitude='"the point".c[0]', latitude='"the point".c[1]', gunshot_type="info.kind",
        rounds="info.rounds", source_id="id",
    )  # fmt: skip
    raw = folder(tmp_path, columns=columns).read(FIRST, LAST)
    assert raw["longitude"].to_pylist() == [None, -76.5, -76.4] or raw["longitude"].to_pylist() == [-76.5, -76.4, None]
    assert sorted(kind or "" for kind in raw["gunshot_type"].to_pylist()) == ["", "", "SG"]
    assert raw["rounds"].null_count == 3
    with pytest.raises(SourceError, match=r"no column info\.when \(source\.columns\.time\); it has: event\.time, id"):
        folder(tmp_path, columns=columns.model_copy(update={"time": "info.when"})).read(FIRST, LAST)


def settled(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_files_written_to_recently_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, ROWS, "csv")
    landing = folder(tmp_path, settle_seconds=30)
    with pytest.raises(SourceError, match=r"all files .*within the last 30 s \(source\.settle_seconds\)"):
        landing.read(FIRST, LAST)
    write(tmp_path, ROWS, "jsonl")
    settled(tmp_path / "a.csv", 60)
    landed = landing.refresh()
    assert (list(landed.files), landed.in_transfer) == ([str(tmp_path / "a.csv")], [str(tmp_path / "a.jsonl")])
    write(tmp_path, ROWS[:1], "csv")
    with caplog.at_level(logging.WARNING):
        assert landing.read(FIRST, LAST).num_rows == 3, "the rows from before the transfer"
    assert "a.jsonl" in caplog.text
    settled(tmp_path / "a.csv", -3600)
    assert landing.refresh().in_transfer == [str(tmp_path / "a.jsonl")]
    assert folder(tmp_path / "absent").refresh().in_transfer == []


def test_links_are_refused_by_name(tmp_path: Path) -> None:
    landed = tmp_path / "landed"
    landed.mkdir()
    write(landed, ROWS, "csv")
    (tmp_path / "secret.csv").write_text("root:x:0:0\n")
    (landed / "b.csv").symlink_to(tmp_path / "secret.csv")
    (landed / "loop").symlink_to(landed)
    (landed / "nowhere.csv").symlink_to(landed / "absent.csv")
    found = {Path(path).name: file for path, file in folder(landed).refresh().files.items()}
    assert list(found.pop("a.csv").days) == DAYS
    for name in ("b.csv", "loop", "nowhere.csv"):
        why = "is a link, which is not followed. Put the file itself there."
        assert found[name].error == f"City landing_city: {landed}/{name} {why}"


def test_a_file_replaced_by_a_broken_one_keeps_its_rows(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    folder(tmp_path).refresh()
    (tmp_path / "a.csv").write_text("no columns\n")
    assert folder(tmp_path).read(FIRST, LAST)["date"].to_pylist() == DAYS
    [file] = folder(tmp_path).refresh().files.values()
    assert re.search("cannot be read as a CSV.* The rows of its last good version are used until then", file.error)
    write(tmp_path, ROWS[1:], "csv")
    assert folder(tmp_path).read(FIRST, LAST)["date"].to_pylist() == DAYS[1:]


def test_rows_are_forgotten_if_they_are_lost_and_not_if_the_store_fails(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    landed = folder(tmp_path).refresh()
    [rows] = (tmp_path.with_name(f"{tmp_path.name}.store") / "arrivals" / "city=landing_city").glob("*.parquet")
    rows.unlink()
    rows.mkdir()
    with pytest.raises(StoreError, match="Cannot use the store"):
        folder(tmp_path).read(FIRST, LAST)
    assert read_received(store(tmp_path), CITY.name) == landed.files
    rows.rmdir()
    with pytest.raises(SourceError, match="are lost"):
        folder(tmp_path).read(FIRST, LAST)
    assert folder(tmp_path).read(FIRST, LAST).num_rows == len(ROWS)


def test_rows_read_with_other_settings_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "2024-03-02.csv").write_text(pd.DataFrame(ROWS[1:2]).to_csv(index=False))
    assert folder(tmp_path, file_date="%Y-%m-%d").read(FIRST, LAST).num_rows == 1
    wrong = folder(tmp_path, file_date="%Y-%m-%d", columns=CITY.source.columns.model_copy(update={"time": "at"}))
    with pytest.raises(SourceError, match="no column at"):
        wrong.read(FIRST, LAST)
    assert wrong.report().files == {}


def test_a_removed_file_is_withdrawn_unless_most_rows_would_go(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    write(tmp_path, ROWS[:1], "jsonl")
    folder(tmp_path).refresh()
    (tmp_path / "a.csv").rename(tmp_path.with_name("moved.csv"))
    assert folder(tmp_path).refresh().gone == [str(tmp_path / "a.csv")]
    assert folder(tmp_path).read(FIRST, LAST).num_rows == 3
    with pytest.raises(SourceError, match=r"1 file with most of the rows .*read with other settings"):
        folder(tmp_path, naive_times="local").read(FIRST, LAST)
    tmp_path.with_name("moved.csv").rename(tmp_path / "a.csv")
    (tmp_path / "a.jsonl").unlink()
    assert folder(tmp_path).read(FIRST, LAST)["received_from"].unique().to_pylist() == [str(tmp_path / "a.csv")]
    kept = list((tmp_path.with_name(f"{tmp_path.name}.store") / "arrivals" / "city=landing_city").glob("*.parquet"))
    assert len(kept) == 1, "the rows of the withdrawn file are deleted"


def test_a_correction_replaces_the_rows_of_its_day(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    header, *_ = (tmp_path / "a.csv").read_text().splitlines()
    correction = tmp_path / "correction_2024-03-02.csv"
    corrected = [{**ROWS[1], "id": name} for name in "xy"]
    pd.DataFrame(corrected).to_csv(correction, index=False)
    assert folder(tmp_path).read(FIRST, LAST)["source_id"].to_pylist() == ["a", "x", "y", None]
    correction.write_text(f"{header}\n")
    assert folder(tmp_path).read(FIRST, LAST)["date"].to_pylist() == [DAYS[0], DAYS[2]]
    correction.unlink()
    other = tmp_path / "correction_2024-03-05.csv"
    pd.DataFrame(corrected).to_csv(other, index=False)
    landed = folder(tmp_path).refresh()
    assert "as a correction of 2024-03-05: 2 of 2 rows are of other days" in landed.files[str(other)].error
    assert list(landed.rows) == DAYS


def test_a_file_of_another_place_is_set_aside_unless_acknowledged(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    foreign = tmp_path / "elsewhere.csv"
    rows = [{**ROWS[0], "lon": -90.1, "lat": 29.9, "id": f"e{at}"} for at in range(6)]
    pd.DataFrame(rows).to_csv(foreign, index=False)
    landing = folder(tmp_path)
    [reason] = unusable_files(landing.refresh().files, CITY.site).values()
    assert "elsewhere.csv is set aside: 6 of 6 rows lie further from the city's box" in reason
    assert landing.read(FIRST, LAST).num_rows == 3
    acknowledged = (Acknowledged(file="elsewhere.csv", by="A. Nalyst", on=LAST),)
    accepting = CITY.model_copy(update={"acknowledged": acknowledged})
    assert (
        LandingFolder(accepting.site, accepting.source, str(tmp_path), store(tmp_path)).read(FIRST, LAST).num_rows == 9
    )
    (tmp_path / "a.csv").unlink()
    assert landing.read(FIRST, LAST).num_rows == 6, "without rows of the city, its box may be wrong"


def test_a_name_that_is_no_text_is_refused_alone(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "csv")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")).write_text("when\n")
    landed = folder(tmp_path).refresh()
    assert list(landed.rows) == DAYS
    name = f"{tmp_path}/caf\\xe9.csv"
    assert landed.files[name].error == f"City landing_city: {name} has a name that is not UTF-8. Rename it."


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("id", pa.array([["a"]]), "the column id is of the type list"),
        ("id", pa.array([{"a": 1}]), "the column id is of the type struct"),
        ("lon", pa.array([b"1"]), "the column lon is of the type binary"),
        ("id", pa.array([b"\xff" * 16], pa.uuid()), "cannot be read"),
        ("when", pa.array([0], pa.timestamp("us", "Mars/Olympus")), "the zone 'Mars/Olympus', which is not known"),
    ],
)
def test_unreadable_parquet_columns_are_named(tmp_path: Path, column: str, values: pa.Array, says: str) -> None:
    table = pa.table({**{name: pa.array([value]) for name, value in ROWS[0].items()}, column: values})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=rf"City landing_city: {tmp_path}/a\.parquet.*{says}"):
        folder(tmp_path, ignore_zone=True, naive_times="local").read(FIRST, LAST)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_time_beyond_all_calendars_spoils_its_row_alone(tmp_path: Path, unit: str, zone: str | None) -> None:
    ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    good = int(datetime(2024, 3, 2, 12, tzinfo=UTC).timestamp()) * ticks
    far = min(2**63 - 1, 10**15 * ticks)
    times = pa.array([good, far, -far, good], pa.timestamp(unit, zone))
    table = pa.Table.from_pylist([ROWS[0]] * 4).set_column(0, "when", times)
    pq.write_table(table, tmp_path / "a.parquet")
    for source in ({"naive_times": "local"}, {"naive_times": "local", "ignore_zone": True}):
        raw = folder(tmp_path, **source).read(FIRST, LAST)
        assert raw["time_utc"].null_count == 2
        assert raw["date"].to_pylist() == [CITY.start] * 2 + [date(2024, 3, 2)] * 2


def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ROWS, "csv")

    def slowly(batch: Batch) -> list[Any]:
        results = list(read_in_subprocess(batch))
        with (tmp_path / "a.csv").open("a") as file:
            file.write("2024-03-05T12:00:00Z,-76.5,38.5,SG,1,z\n")
        return results

    monkeypatch.setattr("shotspotter_assets.alerts.sources.landing.folder.read_in_subprocess", slowly)
    with pytest.raises(SourceError, match=r"a\.csv was written to while it was read"):
        folder(tmp_path).read(FIRST, LAST)


def test_s3_objects_do_not_wait(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"{s3_server.bucket}/landing_{uuid.uuid4().hex}"
    text = pd.DataFrame(ROWS).astype({"rounds": "Int32"}).to_csv(index=False)
    for name in ("a.csv", "_hidden.csv", "b.csv.part"):
        key = f"{place.partition('/')[2]}/{name}"
        s3_server.client().put_object(Bucket=s3_server.bucket, Key=key, Body=text.encode())
    at = store(tmp_path)
    landing = LandingFolder(CITY.site, city(settle_seconds=3600).source, f"s3://{place}", at, s3_server.client)
    landed = landing.refresh()
    assert (list(landed.files), landed.in_transfer) == ([f"s3://{place}/a.csv"], [f"s3://{place}/b.csv.part"])
    raw = landing.read(FIRST, LAST)
    assert raw["date"].to_pylist() == DAYS
    assert raw["received_from"].unique().to_pylist() == list(landed.files)
    with pytest.raises(SourceError, match=r"landing folder s3://no-such-bucket.*(cannot be listed|is missing)"):
        LandingFolder(CITY.site, CITY.source, "s3://no-such-bucket/landing", at, s3_server.client).read(FIRST, LAST)
    replaced = ListedFile(f"s3://{place}/a.csv", "another-etag")
    monkeypatch.setattr("shotspotter_assets.alerts.sources.landing.folder.s3_files", lambda *_: [replaced])
    with pytest.raises(SourceError, match="cannot be fetched"):
        landing.refresh()


def test_dates_far_from_the_day_of_a_daily_file_are_filed_under_that_day(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "when": f"2024-03-{day:02}T12:00:00Z"} for day in (9, 10, 15)]
    pd.DataFrame(rows).to_csv(tmp_path / "20240310.csv", index=False)
    for name in ("20240101", "20990101"):  # outside the city's days
        pd.DataFrame([{**ROWS[0], "when": f"{name}T12:00:00Z"}]).to_csv(tmp_path / f"{name}.csv", index=False)
    landing = folder(tmp_path, file_date="%Y%m%d")
    days = [FIRST, date(2024, 3, 9), *[date(2024, 3, 10)] * 2, date(2099, 1, 1)]
    assert landing.read(FIRST, days[-1])["date"].to_pylist() == days
    with pytest.raises(SourceError, match="file_date"):
        folder(tmp_path, file_date="drop_%Y%m%d").read(FIRST, LAST)
