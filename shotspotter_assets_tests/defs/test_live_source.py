from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.api import http
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import PACKAGE_CITIES, load_city
from shotspotter_assets.storage.catalogue import CLEANED, RAW_ROWS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.alerts.sources.api.api_server import Arcgis, Server, Socrata, serving
from shotspotter_assets_tests.alerts.sources.api.test_open_data import LAYER, features
from shotspotter_assets_tests.conftest import PACKAGED_ALERTS
from shotspotter_assets_tests.defs.chain import CITIES, requested_days, resources, run_days, tick

CITY = "live_city"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits before retries."""
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.01)


WASHINGTON = load_city(PACKAGE_CITIES / "washington_dc.yaml")
HISTORY = ("2024-03-01", "2024-03-15")


class LiveCity:
    """A city with a live source, `data` on a `server`; its ticks are an hour apart."""

    def __init__(self, folder: Path, city: City, server: Server, data: Any, instance: dg.DagsterInstance) -> None:
        self.name = city.name
        self.server = server
        self.data = data
        self.instance = instance
        self.store = Store(str(folder / "store"))
        self.on = resources(str(folder / "store"), str(folder), {**CITIES, city.name: city})
        self.cursor: str | None = None

    def tick(self) -> list[tuple[str, str]]:
        """Return the days of requested runs of raw alerts."""
        self.now += timedelta(hours=1)
        requests, self.cursor = tick(f"{self.name}_automation", self.on, self.instance, self.cursor)
        raw = dg.AssetKey([self.name, "raw_alerts"])
        return [requested_days(one) for one in requests if raw in (one.asset_selection or ())]

    def run(self, first: str, last: str) -> None:
        assert run_days(self.name, first, last, self.on, self.instance).success

    def change(self, changes: str) -> None:
        self.data.database.execute(f"UPDATE alerts SET {changes} WHERE unique_id = 'SST-2'")

    def alerts(self, first: str, last: str) -> pa.Table:
        return self.store.read_window(CLEANED, self.name, date.fromisoformat(first), date.fromisoformat(last))

    def state(self, day: str) -> str:
        return DayTable.read(self.store, self.name).state(date.fromisoformat(day))


@pytest.fixture
def portal(tmp_path: Path, stored_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveCity]:
    """A city on Socrata with three alerts, one in the hour that the clocks skip."""
    times = pd.to_datetime(["2024-03-02T23:30:00", "2024-03-03T01:15:00", "2024-03-10T02:30:00"])
    kinds = ["SINGLE GUNSHOT", "MULTIPLE GUNSHOTS", None]
    columns = {
        "date": times.astype("datetime64[ms]"), "latitude": [41.8, 41.81, 41.82], "longitude": [-87.7, -87.71, -87.72],
        "incident_type_description": kinds, "rounds": pd.array([1, 5, None], dtype="Int64"),
        "unique_id": ["SST-1", "SST-2", "SST-3"], "_id": ["row-1", "row-2", "row-3"],
    }  # fmt: skip
    data = Socrata(pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False))
    with serving(data.routes) as server:
        source = CITIES[CITY].source.model_copy(update={"domain": server.url})
        city = CITIES[CITY].model_copy(update={"source": source})
        portal = LiveCity(tmp_path, city, server, data, stored_instance)
        portal.now = datetime(2024, 3, 20, 18, tzinfo=UTC)
        monkeypatch.setattr(local_time, "now", lambda: portal.now)
        yield portal


def test_the_history_is_one_run_and_then_only_changed_days_are_requested(portal: LiveCity) -> None:
    # Days without alerts are built too, and with a day the next one, for incidents over midnight.
    assert portal.tick() == [HISTORY]
    portal.run(*HISTORY)
    assert portal.alerts("2024-03-02", "2024-03-03")["source_id"].to_pylist() == ["SST-1", "SST-2"]
    # 02:30 of the night that skips that hour is an hour later.
    assert portal.alerts("2024-03-10", "2024-03-10")["time_utc"].to_pylist()[0].hour == 8
    assert portal.tick() == []
    portal.change("incident_type_description = 'GUNSHOT OR FIRECRACKER'")
    assert portal.tick() == [("2024-03-03", "2024-03-04")]
    portal.run("2024-03-03", "2024-03-04")
    assert portal.alerts("2024-03-03", "2024-03-03")["gunshot_type"].to_pylist() == [2]
    assert portal.tick() == []


def test_days_that_were_built_by_hand_are_not_requested(portal: LiveCity) -> None:
    portal.run(*HISTORY)
    assert len(portal.server.requests) == 1
    assert [portal.tick() for _ in range(3)] == [[], [], []]
    portal.change("rounds = 9")
    assert portal.tick() == [("2024-03-03", "2024-03-04")]


def test_an_outage_stores_nothing_and_polls_ask_twice(portal: LiveCity) -> None:
    portal.server.faults.extend(["503"] * 50)
    assert portal.tick() == []
    assert len(portal.server.requests) == 2
    with pytest.raises(SourceError, match=CITY):
        portal.run(*HISTORY)
    assert portal.store.days_present(RAW_ROWS, CITY) == set()


QUARTERS = ["2018-10-01", "2019-01-01", "2019-04-01", "2019-07-01"]


def a_quarter(number: int) -> pa.Table:
    """One alert a day; ids and row numbers are those of the quarter."""
    days = pd.date_range(*QUARTERS[number : number + 2], inclusive="left") + pd.Timedelta(hours=17)
    rows = [1000 * number + at for at in range(len(days))]
    ids = [f"Q{number}-{at}" for at in range(len(days))]
    return features(DATETIME=days.astype(str).tolist(), OBJECTID=rows, ID=ids)


@pytest.fixture
def town(tmp_path: Path, stored_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveCity]:
    data = Arcgis(pa.concat_tables([a_quarter(0), a_quarter(1)]))
    with serving(data.routes) as server:
        source = WASHINGTON.source.model_copy(update={"layer": server.url + LAYER})
        rule = WASHINGTON.publication.model_copy(update={"every": "quarter", "days_late": 30})
        city = WASHINGTON.model_copy(update={"source": source, "publication": rule, "automation": "recent"})
        town = LiveCity(tmp_path, city, server, data, stored_instance)
        town.now = datetime(2019, 5, 10, 16, tzinfo=UTC)
        monkeypatch.setattr(local_time, "now", lambda: town.now)
        yield town


def test_days_of_the_packaged_file_are_built_without_the_layer(town: LiveCity) -> None:
    town.server.faults.extend(["503"] * 50)
    town.run("2018-12-01", "2018-12-31")
    assert not town.server.requests
    found = town.alerts("2018-12-01", "2018-12-31")
    times = pq.read_table(PACKAGED_ALERTS)["occurred_at"].to_pandas().dt.tz_convert(WASHINGTON.time_zone)
    assert found.num_rows == (times >= pd.Timestamp("2018-12-01", tz=WASHINGTON.time_zone)).sum() > 300
    # An installation elsewhere has the same files.
    days = DayTable.read(town.store, WASHINGTON.name).days.values()
    assert {name for day in days for name in day.sources} == {"washington_dc/alerts"}
    # Nor does an outage of the layer hold up the packaged days.
    assert town.tick() == [("2014-01-01", "2018-12-01")]


@pytest.mark.slow
def test_the_history_is_built_once_and_then_each_quarter(town: LiveCity) -> None:
    assert town.tick() == [("2014-01-01", "2019-05-09")]
    town.run("2014-01-01", "2019-05-09")
    days = DayTable.read(town.store, WASHINGTON.name).days
    assert sum(day.rows for day in days.values()) == pq.read_metadata(PACKAGED_ALERTS).num_rows + 90
    assert all(town.state(day) == "known" for day in ("2014-01-01", "2018-12-31", "2019-03-31"))
    assert town.state("2019-04-01") == "unknown"
    assert not any("2018-0" in str(request.query_params) for request in town.server.requests)
    assert town.tick() == []
    town.data.add(a_quarter(2))
    town.now = datetime(2019, 8, 2, 16, tzinfo=UTC)
    assert town.tick() == [("2019-04-01", "2019-08-01")]
    town.run("2019-04-01", "2019-08-01")
    assert [town.state(day) for day in ("2019-04-01", "2019-06-30", "2019-07-01")] == ["known", "known", "unknown"]
    assert town.tick() == []
