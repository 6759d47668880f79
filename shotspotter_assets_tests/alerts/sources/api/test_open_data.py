import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.api.open_data import ArcgisLayer, SocrataDataset
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA
from shotspotter_assets.city_files import PACKAGE_CITIES, CityFile, load_city
from shotspotter_assets.grid.cells import cell_metres
from shotspotter_assets_tests.alerts.sources.api.api_server import QUICK, Arcgis, Server, Socrata, serving

DC = load_city(PACKAGE_CITIES / "washington_dc.yaml")
FIRST = date(2018, 3, 1)
LAST = date(2018, 3, 31)
LAYER = "/arcgis/rest/services/Alerts/MapServer/29"


def features(**columns: list[Any]) -> pa.Table:
    number = len(next(iter(columns.values())))
    given = {
        "OBJECTID": [10 + 3 * at for at in range(number)],
        "ID": [f"7D{at}" for at in range(number)],
        "TYPE": ["Single_Gunshot"] * number,
        "SOURCE": ["WashingtonDC7D"] * number,
        "DATETIME": ["2018-03-05T12:00:00"] * number,
        "LATITUDE": [38.9 + at % 20 / 1000 for at in range(number)],
        "LONGITUDE": [-77.0] * number,
    } | columns
    frame = pd.DataFrame(given)
    frame["DATETIME"] = pd.to_datetime(frame["DATETIME"], format="ISO8601").astype("datetime64[us]")
    return pa.Table.from_pandas(frame, preserve_index=False)


def layer(server: Server, **source: Any) -> ArcgisLayer:
    own = {"layer": server.url + LAYER, "patience": QUICK, "since": None, **source}
    city = CityFile.model_validate(DC.model_dump() | {"source": DC.source.model_dump() | own})
    return ArcgisLayer(city.site, city.source, "s3cret-of-the-layer")


MANY = features(DATETIME=[str(pd.Timestamp("2018-03-01T05:00") + pd.Timedelta(minutes=20 * at)) for at in range(1100)])


@pytest.mark.parametrize(("says_more", "most_rows"), [(True, 110), (False, 100), (False, 110), (True, 5000)])
def test_a_range_over_many_pages_is_whole(says_more: bool, most_rows: int) -> None:
    with serving(Arcgis(MANY, most_rows, says_more=says_more).routes) as server:
        raw = layer(server).read(FIRST, LAST)
    assert raw.schema == RAW_SCHEMA
    assert sorted(raw["source_id"].to_pylist()) == sorted(MANY["ID"].to_pylist())
    assert raw["date"].to_pylist() == sorted(raw["date"].to_pylist())
    assert set(raw["received_from"].to_pylist()) == {server.url + LAYER}
    assert len(server.requests) <= 1100 // most_rows + 4


def test_a_token_is_sent_with_every_question() -> None:
    with serving(Arcgis(MANY, 500).routes) as server:
        raw = layer(server, token={"variable": "TOKEN", "sent_as": "parameter", "name": "token"}).read(FIRST, LAST)
    assert [request.query_params["token"] for request in server.requests] == ["s3cret-of-the-layer"] * 4
    assert "s3cret" not in str(raw.to_pylist())


def test_times_are_utc_and_the_question_has_a_day_more_on_each_side() -> None:
    table = features(DATETIME=[f"2018-03-{day}T{at}" for day in ("05", "06") for at in ("04:59:59", "05:00:00")])
    with serving(Arcgis(table).routes) as server:
        raw = layer(server).read(date(2018, 3, 5), date(2018, 3, 5))
    times = ["2018-03-05 05:00:00+00:00", "2018-03-06 04:59:59+00:00"]
    assert list(map(str, raw["time_utc"].to_pylist())) == times
    _, query = server.requests
    condition = "(DATETIME >= TIMESTAMP '2018-03-04 00:00:00' AND DATETIME < TIMESTAMP '2018-03-07 00:00:00')"
    assert query.query_params["where"] == condition
    assert query.query_params["outFields"] == "OBJECTID,DATETIME,LONGITUDE,LATITUDE,TYPE,ID"
    assert query.query_params["returnGeometry"] == "false"


def test_days_before_since_are_not_asked_for_but_unusable_rows_are() -> None:
    ahead = str(datetime.now(UTC).date() + timedelta(days=40))
    times = [None, "1899-12-30", ahead, "2018-03-04T12:00", "2018-03-05T04:59", "2018-03-05T05:00", "2018-03-07T12:00"]
    with serving(Arcgis(features(DATETIME=times)).routes) as server:
        since = layer(server, since=date(2018, 3, 5))
        assert since.read(FIRST, date(2018, 3, 4)).num_rows == 0
        assert not server.requests
        raw = since.read(FIRST, LAST)
        assert sorted(raw["source_id"].to_pylist()) == ["7D0", "7D1", "7D2", "7D5", "7D6"]
        assert min(raw["date"].to_pylist()) == date(2018, 3, 5)
        assert json.loads(raw["as_received"].drop_null()[0].as_py())["DATETIME"] is None
        assert since.read(date(2018, 3, 6), LAST)["source_id"].to_pylist() == ["7D6"]


def test_points_of_the_geometry_and_a_condition_of_the_citys() -> None:
    columns = {"time": "DATETIME", "longitude": "geometry.x", "latitude": "geometry.y", "source_id": "ID"}
    with serving(Arcgis(MANY).routes) as server:
        raw = layer(server, columns=columns, where="ID = '7D3' OR ID = '7D4'").read(FIRST, LAST)
    assert raw["source_id"].to_pylist() == ["7D3", "7D4"]
    assert raw["longitude"].to_pylist() == [-77.0, -77.0]
    assert raw["latitude"].to_pylist() == pytest.approx([38.903, 38.904])


def test_layers_with_times_as_text_or_numbers() -> None:
    text = MANY.set_column(4, "DATETIME", MANY["DATETIME"].cast(pa.string()))
    with serving(Arcgis(text).routes) as server:
        raw = layer(server, time_format=None, naive_times="utc").read(FIRST, FIRST)
        assert raw.num_rows == 72
        assert server.requests[1].query_params["where"] == "1=1"
    numbers = MANY.set_column(4, "DATETIME", MANY["DATETIME"].cast(pa.timestamp("ms")).cast(pa.int64()))
    with serving(Arcgis(numbers).routes) as server:
        assert layer(server).read(FIRST, FIRST).num_rows == 72
        assert "DATETIME < 1520035200000" in server.requests[1].query_params["where"]


@pytest.mark.parametrize(
    ("faults", "has_pages", "time", "says"),
    [
        (["an object"], True, "DATETIME", "no layer with fields; source.layer must end in FeatureServer/N or"),
        (["ok", "an object"], True, "DATETIME", "the answer has no features; check source.layer"),
        ([], True, "DATE_", "no field DATE_ (it has: OBJECTID, ID,"),
        ([], False, "DATETIME", "export it to files"),
    ],
)
def test_unusable_layers_name_city_address_and_remedy(faults: list[str], has_pages: bool, time: str, says: str) -> None:
    columns = {"time": time, "longitude": "LONGITUDE", "latitude": "LATITUDE"}
    with serving(Arcgis(MANY, has_pages=has_pages).routes) as server:
        server.faults.extend(faults)
        with pytest.raises(SourceError) as caught:
            layer(server, columns=columns).read(FIRST, FIRST)
    assert str(caught.value).startswith(f"City washington_dc: {server.url}{LAYER}")
    assert says in str(caught.value)


def test_a_refused_literal_can_be_changed_in_the_city_file() -> None:
    with serving(Arcgis(MANY).routes) as server:
        with pytest.raises(SourceError, match="'where' parameter is invalid"):
            layer(server, time_literal="text").read(FIRST, FIRST)
        assert layer(server, time_literal="date").read(FIRST, FIRST).num_rows == 72


def test_rows_deleted_between_pages_leave_no_gap() -> None:
    arcgis = Arcgis(MANY, most_rows=200)

    def delete_once(server: Server) -> None:
        if len(server.requests) == 3:
            arcgis.database.execute("DELETE FROM features WHERE OBJECTID < 40")

    with serving(arcgis.routes, Server(before=delete_once)) as server:
        assert layer(server).read(FIRST, LAST).num_rows == 1100
        assert layer(server).read(FIRST, LAST).num_rows == 1090


CHICAGO = load_city(PACKAGE_CITIES / "chicago.yaml")


def test_chicago_is_not_claimed_and_has_cells_of_250_to_500_m() -> None:
    assert not CHICAGO.is_tried
    assert CHICAGO.service == "ended on 2024-09-22, never tried"
    assert all(250 <= metres <= 500 for metres in cell_metres(CHICAGO))


TOKEN = "s3cret/token+"


def rows(**columns: list[Any]) -> pa.Table:
    number = len(next(iter(columns.values())))
    given = {
        "date": ["2018-03-05T12:00:00"] * number,
        "latitude": [41.8 + at / 1000 for at in range(number)],
        "longitude": [-87.7] * number,
        "incident_type_description": ["SINGLE GUNSHOT"] * number,
        "rounds": [1] * number,
        "unique_id": [f"SST-{at}" for at in range(number)],
    } | columns
    frame = pd.DataFrame(given).astype({"rounds": "Int64"})
    frame["date"] = pd.to_datetime(frame["date"], format="ISO8601").astype("datetime64[ms]")
    frame["_id"] = [f"row-{at:06}" for at in range(number)]
    return pa.Table.from_pandas(frame, preserve_index=False)


def dataset(server: Server, token: str | None = None, **source: Any) -> SocrataDataset:
    own = {"domain": server.url, "dataset": "test-data", "patience": QUICK, **source}
    city = CityFile.model_validate(CHICAGO.model_dump() | {"source": CHICAGO.source.model_dump() | own})
    return SocrataDataset(city.site, city.source, token)


MANY_ROWS = rows(date=[str(pd.Timestamp("2018-03-01") + pd.Timedelta(minutes=20 * at)) for at in range(2000)])


def test_a_range_over_many_pages_of_a_portal_is_whole() -> None:
    with serving(Socrata(MANY_ROWS).routes) as server:
        raw = dataset(server, page_size=300).read(FIRST, LAST)
    assert raw.schema == RAW_SCHEMA
    assert sorted(raw["source_id"].to_pylist()) == sorted(MANY_ROWS["unique_id"].to_pylist())
    days = raw["date"].to_pylist()
    assert days == sorted(days)
    assert set(raw["received_from"].to_pylist()) == {f"{server.url}/resource/test-data"}
    offsets = [int(request.query_params["$offset"]) for request in server.requests]
    assert offsets == list(range(0, 2001, 300))
    assert {request.query_params["$order"] for request in server.requests} == {":id"}


@pytest.mark.parametrize(("first", "last"), [(1, 1), (5, 8)])
def test_rows_of_a_day_depend_on_neither_range_nor_page_size(first: int, last: int) -> None:
    first_day = FIRST.replace(day=first)
    last_day = FIRST.replace(day=last)
    with serving(Socrata(MANY_ROWS).routes) as server:
        whole = dataset(server).read(FIRST, LAST).to_pandas()
        part = dataset(server, page_size=50).read(first_day, last_day).to_pandas()
    expected = whole[whole["date"].between(first_day, last_day)].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.drop(columns="received_at"), expected.drop(columns="received_at"))
    for _, of_day in part.groupby("date"):
        assert of_day["received_row"].tolist() == list(range(len(of_day)))


def test_a_day_is_one_request_for_the_columns_in_use() -> None:
    with serving(Socrata(MANY_ROWS).routes) as server:
        raw = dataset(server, token=TOKEN).read(date(2018, 3, 5), date(2018, 3, 5))
    assert raw.num_rows == 72
    (request,) = server.requests
    assert request.headers["X-App-Token"] == TOKEN
    assert request.query_params["$select"] == (":id,date,longitude,latitude,incident_type_description,rounds,unique_id")


def test_local_times_missing_keys_and_numbers_as_text_are_read() -> None:
    table = rows(
        date=["2018-07-13T23:58:53", "2018-01-13T23:58:53", "2018-11-04T01:30:00"],
        rounds=[5, None, 2],
        latitude=[41.794573312, 41.8, None],
        incident_type_description=["MULTIPLE GUNSHOTS", None, "SINGLE GUNSHOT"],
    )
    with serving(Socrata(table).routes) as server:
        raw = dataset(server).read(date(2018, 1, 1), date(2018, 12, 31))
    times = ["2018-01-14 05:58:53+00:00", "2018-07-14 04:58:53+00:00", "2018-11-04 06:30:00+00:00"]
    assert list(map(str, raw["time_utc"].to_pylist())) == times
    assert raw["date"].to_pylist() == [date(2018, 1, 13), date(2018, 7, 13), date(2018, 11, 4)]
    assert raw["rounds"].to_pylist() == [None, 5, 2]
    assert raw["latitude"].to_pylist() == [41.8, 41.794573312, None]
    assert raw["gunshot_type"].to_pylist() == [None, "MULTIPLE GUNSHOTS", "SINGLE GUNSHOT"]
    kept = [None if text is None else json.loads(text) for text in raw["as_received"].to_pylist()]
    without_latitude = {
        "date": "2018-11-04T01:30:00.000", "longitude": "-87.7", "incident_type_description": "SINGLE GUNSHOT",
        "rounds": "2", "unique_id": "SST-2",
    }  # fmt: skip
    assert kept == [None, None, without_latitude]


def test_nested_columns_and_a_further_condition() -> None:
    table = MANY_ROWS.slice(0, 10)
    points = [{"type": "Point", "coordinates": [-87.5 - at / 100, 41.5]} for at in range(10)]
    table = table.append_column("location", pa.array(points))
    columns = {"time": "date", "longitude": "location.coordinates[0]", "latitude": "location.coordinates[1]"}
    with serving(Socrata(table).routes) as server:
        raw = dataset(server, columns=columns, where="rounds = 1 OR rounds = 7").read(FIRST, LAST)
        assert dataset(server, columns=columns, where="rounds = 7").read(FIRST, LAST).num_rows == 0
    assert raw["longitude"].to_pylist() == [-87.5 - at / 100 for at in range(10)]
    assert set(raw["latitude"].to_pylist()) == {41.5}


@pytest.mark.parametrize(
    ("times", "form", "condition"),
    [
        (["07/13/2018 11:58:53 PM", "03/05/2018 01:00:00 AM"], "%m/%d/%Y %I:%M:%S %p", None),
        ([1528092000000, 1520316000000], "epoch_ms", "(date >= 1519776000000 AND date < 1522627200000)"),
    ],
)
def test_text_is_filtered_here_and_numbers_by_the_portal(times: list, form: str, condition: str | None) -> None:
    table = rows(unique_id=["a", "b"]).drop_columns("date").append_column("date", pa.array(times))
    with serving(Socrata(table).routes) as server:
        assert dataset(server, time_format=form).read(FIRST, LAST)["source_id"].to_pylist() == ["b"]
    assert server.requests[0].query_params.get("$where") == condition


def test_a_wrong_token_is_refused() -> None:
    says = "HTTP 403: Invalid app_token specified; check the token"
    with serving(Socrata(MANY_ROWS, token="another").routes) as server, pytest.raises(SourceError, match=says):
        dataset(server, token=TOKEN).read(FIRST, FIRST)
