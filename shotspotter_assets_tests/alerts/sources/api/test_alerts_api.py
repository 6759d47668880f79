from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.api.alerts_api import AlertsApi
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA
from shotspotter_assets.city_files import PACKAGE_CITIES, CityFile, load_city
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.alerts.sources.api.api_server import QUICK, Alerts, Ckan, Recorded, Server, serving
from shotspotter_assets_tests.defs.chain import resources, run_days
from shotspotter_assets_tests.gateway.recording import FOLDER, PORT, Exchange, exchanges
from shotspotter_assets_tests.instances import instance_in_memory

DC = load_city(PACKAGE_CITIES / "washington_dc.yaml")
FIRST = date(2024, 3, 1)
LAST = date(2024, 3, 10)
TOKEN = "s3cret/token+"
PAGING: dict[str, dict[str, Any]] = {
    "page": {"style": "page"},
    "offset": {"style": "offset", "size_parameter": "limit", "size": 50},
    "cursor": {"style": "cursor", "next": "meta.next"},
    "link_header": {"style": "link_header"},
}


def alert(name: str | None, at: str, kind: str = "SG", **more: Any) -> dict[str, Any]:
    detected = {"at": f"{at}Z", "where": [-77.0, "38.9"]}
    return {"incident": {"id": name, "type": kind, "shots": "3"}, "detected": detected} | more


TIMES = [str(pd.Timestamp("2024-03-01T05:00:00") + pd.Timedelta(hours=7 * at)).replace(" ", "T") for at in range(30)]
ALERTS = [alert(f"a{at}", time) for at, time in enumerate(TIMES)]


def feed(server: Server, style: str = "page", secret: str | None = TOKEN, **source: Any) -> AlertsApi:
    described = {
        "url": f"{server.url}/{style}/alerts?from={{first}}&to={{last}}",
        "token": {"variable": "DC_ALERTS_TOKEN"},
        "paging": PAGING[style],
        "rows": "data.alerts",
        "columns": {
            "time": "detected.at", "longitude": "detected.where[0]", "latitude": "detected.where[1]",
            "gunshot_type": "incident.type", "rounds": "incident.shots", "source_id": "incident.id",
        },
    } | source  # fmt: skip
    return opened(described, secret)


def opened(described: dict[str, Any], secret: str | None = None) -> AlertsApi:
    source = {"kind": "alerts_api", "patience": QUICK, **described}
    city = CityFile.model_validate(DC.model_dump() | {"source": source, "start": date(2024, 2, 1)})
    return AlertsApi(city.site, city.source, secret)


@pytest.mark.parametrize("style", list(PAGING))
def test_every_style_of_paging_returns_the_whole_range_with_the_token(style: str) -> None:
    by_parameter = {"variable": "DC_ALERTS_TOKEN", "sent_as": "parameter", "name": "key"}
    with serving(Alerts(ALERTS, TOKEN).routes) as server:
        raw = feed(server, style, token=by_parameter).read(FIRST, LAST)
        assert {request.query_params["key"] for request in server.requests} == {TOKEN}
        with pytest.raises(SourceError, match="HTTP 401: bad credentials; check the token"):
            feed(server, style, secret="wrong").read(FIRST, LAST)
    assert TOKEN not in str(raw.to_pylist())
    assert raw.schema == RAW_SCHEMA
    assert raw["source_id"].to_pylist() == [f"a{at}" for at in range(30)]
    assert raw["time_utc"].to_pylist() == [datetime.fromisoformat(f"{time}Z") for time in TIMES]
    assert set(raw["longitude"].to_pylist()) == {-77.0}
    assert set(raw["latitude"].to_pylist()) == {38.9}
    assert set(raw["rounds"].to_pylist()) == {3}
    assert set(raw["received_from"].to_pylist()) == {f"{server.url}/{style}/alerts"}
    assert raw["as_received"].null_count == 30


def test_the_latest_version_counts_and_withdrawn_alerts_are_left_out() -> None:
    versions = [
        alert("a0", TIMES[0], "MG", issued="2024-03-02T00:00:00Z", version=10),
        alert("a0", TIMES[0], "PG", issued="2024-03-02T00:00:00Z", version="9"),
        alert("a1", TIMES[1], issued="2024-03-02T00:00:00Z", version=2, status="dismissed"),
    ]
    listed = [*ALERTS[:3], alert(None, "2024-03-02T01:00:00"), alert(None, "2024-03-02T01:00:00"), *versions]
    with serving(Alerts(listed, TOKEN).routes) as server:
        raw = feed(server, version="version", withdrawn="status == 'dismissed'").read(FIRST, FIRST)
        assert raw["source_id"].to_pylist() == ["a0", "a2", None, None]
        assert raw["gunshot_type"].to_pylist()[0] == "MG"
        assert feed(server, version="issued").read(FIRST, FIRST)["gunshot_type"].to_pylist()[0] == "PG"
        with pytest.raises(SourceError, match="such as 'SG', are neither numbers nor ISO 8601 times"):
            feed(server, version="incident.type").read(FIRST, FIRST)


def test_long_ranges_are_asked_for_in_parts_where_the_api_wants_that() -> None:
    api = Alerts(ALERTS, TOKEN)
    api.longest_days = 3
    with serving(api.routes) as server:
        assert feed(server, longest_days=3).read(FIRST, LAST).num_rows == 30
        with pytest.raises(SourceError, match="HTTP 400: at most 3 days"):
            feed(server).read(FIRST, LAST)


@pytest.mark.parametrize(("form", "written"), [("epoch_s", "1709182800"), ("%Y%m%d%H%M", "202402290500")])
def test_instants_are_written_as_the_api_wants_them(form: str, written: str) -> None:
    with serving(Alerts(ALERTS, TOKEN).routes) as server:
        server.faults.append("404")
        with pytest.raises(SourceError, match="HTTP 404"):
            feed(server, instant_format=form).read(FIRST, LAST)
    assert server.requests[0].query_params["from"] == written


class Unsorted(Alerts):
    async def list_alerts(self, request: Any) -> Any:
        return self._page(request, self.alerts)


def test_equal_rows_of_overlapping_answers_count_once() -> None:
    listed = [alert(None, TIMES[3]), alert(None, TIMES[3]), alert("", TIMES[4])]
    with serving(Unsorted(listed, TOKEN).routes) as server:
        raw = feed(server, longest_days=3).read(FIRST, LAST)
    assert raw["source_id"].to_pylist() == [None, None, None]


def test_unreadable_times_are_filed_under_the_first_day() -> None:
    later = datetime.now(UTC).date() + timedelta(days=9)
    listed = [alert("bad", "soon"), alert("future", f"{later}T00:00:00"), *ALERTS]
    with serving(Unsorted(listed, TOKEN).routes) as server:
        start = feed(server).site.start
        raw = feed(server).read(start, start)
        assert feed(server).read(FIRST, LAST).num_rows == 30
    assert raw["source_id"].to_pylist() == ["future", "bad"]
    assert raw["as_received"].null_count == 1


@pytest.mark.parametrize(
    ("style", "source", "says"),
    [
        ("page", {"rows": "data.incidents"}, "there is no list of alerts at 'data.incidents'"),
        ("page", {"paging": {"style": "page", "parameter": "p"}}, "this page was there before"),
        ("cursor", {"paging": {"style": "cursor", "next": "data.alerts[0].incident.shots"}}, "was there before"),
    ],
)  # fmt: skip
def test_answers_in_another_form_name_the_key_to_correct(style: str, source: dict[str, Any], says: str) -> None:
    with serving(Alerts(ALERTS, TOKEN).routes) as server, pytest.raises(SourceError, match=says):
        feed(server, style, **source).read(FIRST, LAST)


def test_pages_on_another_host_are_not_followed() -> None:
    class Elsewhere(Alerts):
        def _page(self, request: Any, rows: Any) -> Any:
            answer = super()._page(request, rows)
            answer.headers["Link"] = '<https://elsewhere.example/alerts?after=3>; rel="next"'
            return answer

    with serving(Elsewhere(ALERTS, TOKEN).routes) as server, pytest.raises(SourceError, match="on another host"):
        feed(server, "link_header").read(FIRST, LAST)


def ckan(server: Server, path: str, **source: Any) -> AlertsApi:
    """A feed described by the preset of CKAN, whose columns are DATETIME, LONGITUDE, LATITUDE and ID."""
    columns = {"time": "DATETIME", "longitude": "LONGITUDE", "latitude": "LATITUDE", "source_id": "ID"}
    return opened({"preset": "ckan", "url": server.url + path, "columns": columns} | source)


TABLE = pa.table(
    {
        "OBJECTID": list(range(30)),
        "_id": [f"row-{at:02}" for at in range(30)],
        "DATETIME": pa.array(pd.to_datetime(TIMES).astype("datetime64[us]")),
        "LONGITUDE": [-77.0] * 30,
        "LATITUDE": [38.9] * 30,
        "ID": [f"a{at}" for at in range(30)],
    }
)


def test_the_preset_of_ckan_reads_a_table_without_code() -> None:
    with serving(Ckan(TABLE).routes) as server:
        path = "/api/3/action/datastore_search?resource_id=alerts"
        raw = ckan(server, path, naive_times="utc").read(FIRST, LAST)
    assert raw["time_utc"].to_pylist() == [datetime.fromisoformat(f"{time}Z") for time in TIMES]
    assert raw["source_id"].to_pylist() == [f"a{at}" for at in range(30)]


@pytest.mark.parametrize(
    ("query", "source", "says"),
    [
        ("", {}, r"HTTP 404: Not found: resource; check"),
        ("&sort=when", {}, r"HTTP 409: .*field .when. not in table"),
        ("&sort=when", {"error": "error.__type"}, "HTTP 409: Validation Error;"),
    ],
)
def test_a_refusal_has_the_publishers_own_words(query: str, source: dict[str, str], says: str) -> None:
    path = f"/api/3/action/datastore_search?resource_id=gone{query}"
    with serving(Ckan(TABLE).routes) as server, pytest.raises(SourceError, match=says):
        ckan(server, path, naive_times="utc", **source).read(FIRST, LAST)


TOWN = load_city(FOLDER / "gateway_town.yaml")
FIRST_RECORDED = date(2018, 3, 5)
LAST_RECORDED = date(2018, 3, 11)
COLUMNS = ["source_id", "time_utc", "longitude", "latitude", "gunshot_type"]
TYPES = {
    "SINGLE GUNSHOT": "Single_Gunshot",
    "MULTIPLE GUNSHOTS": "Multiple_Gunshots",
    "GUNSHOT OR FIRECRACKER": "Gunshot_or_Firecracker",
}


def town(server: Server) -> CityFile:
    """Return the example city with the server's address."""
    url = TOWN.source.url.replace(f"http://127.0.0.1:{PORT}", server.url)
    assert url.startswith(f"{server.url}/v2/alerts?")
    return CityFile.model_validate(TOWN.model_dump() | {"source": TOWN.source.model_dump() | {"url": url}})


def read(recorded: list[Exchange]) -> tuple[pd.DataFrame, Server]:
    """Return the alerts that the example city's source reads, without times of receipt, and the server that was asked."""
    with serving(Recorded(recorded).routes) as server:
        city = town(server)
        raw = AlertsApi(city.site, city.source, "any").read(FIRST_RECORDED, LAST_RECORDED)
    return raw.to_pandas().drop(columns=["received_at", "received_from"]), server


def without_faults() -> list[Exchange]:
    return [exchange for exchange in exchanges() if "fault" not in exchange]


def rows_of(recorded: list[Exchange]) -> list[Exchange]:
    return [row for exchange in recorded for row in exchange["body"]["alerts"]]


def one_page(rows: list[Exchange]) -> list[Exchange]:
    return [{"cursor": "", "status": 200, "headers": {}, "body": {"alerts": rows, "meta": {}}}]


@pytest.mark.parametrize("fault", ["429", "500", "half a page"])
def test_an_answer_that_fails_is_asked_for_again_and_changes_no_alert(fault: str) -> None:
    recorded = [exchange for exchange in exchanges() if exchange.get("fault", fault) == fault]
    assert len(recorded) == len(without_faults()) + 1
    with_fault, server = read(recorded)
    expected, quiet_server = read(without_faults())
    pd.testing.assert_frame_equal(with_fault, expected)
    assert len(server.requests) == len(quiet_server.requests) + 1


def latest(rows: list[Exchange]) -> list[Exchange]:
    """Return each alert once, in its last revision."""
    return list({row["id"]: row for row in rows}.values())


def published(rows: list[Exchange]) -> list[Exchange]:
    """Return the rows of alerts that nobody withdrew."""
    withdrawn = {row["id"] for row in rows if row["status"] == "dismissed"}
    assert len(withdrawn) == 1
    return [row for row in rows if row["id"] not in withdrawn]


@pytest.mark.parametrize("without", [list, latest, published], ids=["pages", "updates", "withdrawals"])
def test_pages_updates_and_withdrawals_end_in_the_same_alerts(
    without: Callable[[list[Exchange]], list[Exchange]],
) -> None:
    assert [len(exchange["body"]["alerts"]) for exchange in without_faults()] == [20, 8, 20, 20], (
        "a page in between is short"
    )
    expected, _ = read(one_page(without(rows_of(without_faults()))))
    alerts, _ = read(without_faults())
    pd.testing.assert_frame_equal(alerts, expected)


def test_the_example_city_stores_the_days_of_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "any")
    with serving(Recorded(exchanges()).routes) as server, instance_in_memory(tmp_path) as instance:
        city = town(server)
        on = resources(str(tmp_path / "store"), cities={city.name: city})
        assert run_days(city.name, str(FIRST_RECORDED), str(LAST_RECORDED), on, instance).success
    store = Store(str(tmp_path / "store")).of(city.target)
    assert CityHistory.load(store, city, LAST_RECORDED).alerts.sum(axis=(1, 2)).tolist() == [5, 8, 6, 13, 4, 12, 17]


def test_all_faults_together_end_in_the_published_alerts_of_washington_dc() -> None:
    alerts, _ = read(exchanges())
    published = pd.read_parquet(PACKAGE_CITIES / "washington_dc/alerts/alerts_2014_2018.parquet")
    week = published[published["occurred_at"].dt.strftime("%Y-%m-%d").between(str(FIRST_RECORDED), str(LAST_RECORDED))]
    expected = week.assign(time_utc=week["occurred_at"].dt.tz_convert("UTC"))
    found = alerts[COLUMNS].replace({"gunshot_type": TYPES}).sort_values("source_id", ignore_index=True)
    expected = expected.rename(columns={"alert_type": "gunshot_type"})[COLUMNS].sort_values(
        "source_id", ignore_index=True
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
