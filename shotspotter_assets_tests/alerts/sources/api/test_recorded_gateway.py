"""Faults of a recorded gateway end in the alerts of its exchange without the fault."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from shotspotter_assets.alerts.sources.api.alerts_api import AlertsApi
from shotspotter_assets.city_files import PACKAGE_CITIES, CityFile, load_city
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.alerts.sources.api.api_server import Recorded, Server, serving
from shotspotter_assets_tests.defs.chain import resources, run_days
from shotspotter_assets_tests.gateway.recording import FOLDER, PORT, Exchange, exchanges
from shotspotter_assets_tests.instances import instance_in_memory

TOWN = load_city(FOLDER / "gateway_town.yaml")
FIRST = date(2018, 3, 5)
LAST = date(2018, 3, 11)
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
        raw = AlertsApi(city, city.source, "any").read(FIRST, LAST)
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
        assert run_days(city.name, str(FIRST), str(LAST), on, instance).success
    store = Store(str(tmp_path / "store")).of(city.target)
    assert CityHistory.load(store, city, LAST).alerts.sum(axis=(1, 2)).tolist() == [5, 8, 6, 13, 4, 12, 17]


def test_all_faults_together_end_in_the_published_alerts_of_washington_dc() -> None:
    alerts, _ = read(exchanges())
    published = pd.read_parquet(PACKAGE_CITIES / "washington_dc/alerts/alerts_2014_2018.parquet")
    week = published[published["occurred_at"].dt.strftime("%Y-%m-%d").between(str(FIRST), str(LAST))]
    expected = week.assign(time_utc=week["occurred_at"].dt.tz_convert("UTC"))
    found = alerts[COLUMNS].replace({"gunshot_type": TYPES}).sort_values("source_id", ignore_index=True)
    expected = expected.rename(columns={"alert_type": "gunshot_type"})[COLUMNS].sort_values(
        "source_id", ignore_index=True
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
