"""Washington DC as it is shipped: packaged days, and a layer on loopback for the later ones."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.calendar import local_time
from shotspotter_assets.city_files import PACKAGE_CITIES, load_city
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.catalogue import CLEANED
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import PACKAGED_ALERTS
from shotspotter_assets_tests.defs.chain import requested_days, resources, run_days, tick
from shotspotter_assets_tests.sources.api.api_server import Arcgis, Server, serving
from shotspotter_assets_tests.sources.api.test_arcgis import LAYER, features

CITY = load_city(PACKAGE_CITIES / "washington_dc.yaml")
QUARTERS = ["2018-10-01", "2019-01-01", "2019-04-01", "2019-07-01"]


def a_quarter(number: int) -> pa.Table:
    """One alert a day; ids and row numbers are those of the quarter."""
    days = pd.date_range(*QUARTERS[number : number + 2], inclusive="left") + pd.Timedelta(hours=17)
    rows, ids = [1000 * number + at for at in range(len(days))], [f"Q{number}-{at}" for at in range(len(days))]
    return features(DATETIME=days.astype(str).tolist(), OBJECTID=rows, ID=ids)


class Town:
    def __init__(self, folder: Path, server: Server, layer: Arcgis, instance: dg.DagsterInstance) -> None:
        self.server, self.layer, self.instance = server, layer, instance
        source = CITY.source.model_copy(update={"layer": server.url + LAYER})
        rule = CITY.publication.model_copy(update={"every": "quarter", "days_late": 30})
        city = CITY.model_copy(update={"source": source, "publication": rule, "automation": "recent"})
        self.store, self.on = Store(str(folder / "store")), resources(str(folder / "store"), cities={CITY.name: city})
        self.now, self.cursor = datetime(2019, 5, 10, 16, tzinfo=UTC), None

    def tick(self) -> list[tuple[str, str]]:
        """One tick, an hour after the last; the days of requested runs of raw alerts."""
        self.now += timedelta(hours=1)
        requests, self.cursor = tick(f"{CITY.name}_automation", self.on, self.instance, self.cursor)
        raw = dg.AssetKey([CITY.name, "raw_alerts"])
        return [requested_days(one) for one in requests if raw in (one.asset_selection or ())]

    def run(self, days: tuple[str, str]) -> None:
        assert run_days(CITY.name, *days, self.on, self.instance).success

    def state(self, day: str) -> str:
        return DayTable.read(self.store, CITY.name).state(date.fromisoformat(day))


@pytest.fixture
def town(tmp_path: Path, stored_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    layer = Arcgis(pa.concat_tables([a_quarter(0), a_quarter(1)]))
    with serving(layer.routes) as server:
        town = Town(tmp_path, server, layer, stored_instance)
        monkeypatch.setattr(local_time, "now", lambda: town.now)
        yield town


def test_days_of_the_packaged_file_are_built_without_the_layer(town: Town) -> None:
    town.server.faults.extend(["503"] * 50)
    town.run(("2018-12-01", "2018-12-31"))
    assert not town.server.requests
    found = town.store.read_window(CLEANED, CITY.name, date(2018, 12, 1), date(2018, 12, 31))
    times = pq.read_table(PACKAGED_ALERTS)["occurred_at"].to_pandas().dt.tz_convert(CITY.time_zone)
    assert found.num_rows == (times >= pd.Timestamp("2018-12-01", tz=CITY.time_zone)).sum() > 300
    # An installation elsewhere has the same files.
    days = DayTable.read(town.store, CITY.name).days.values()
    assert {name for day in days for name in day.sources} == {"washington_dc/alerts/alerts_2014_2018.parquet"}
    # Nor does an outage of the layer hold up the packaged days.
    assert town.tick() == [("2014-01-01", "2018-12-01")]


@pytest.mark.slow
def test_the_history_is_built_once_and_then_each_quarter(town: Town) -> None:
    assert town.tick() == [("2014-01-01", "2019-05-09")]
    town.run(("2014-01-01", "2019-05-09"))
    days = DayTable.read(town.store, CITY.name).days
    assert sum(day.rows for day in days.values()) == pq.read_metadata(PACKAGED_ALERTS).num_rows + 90
    assert all(town.state(day) == "known" for day in ("2014-01-01", "2018-12-31", "2019-03-31"))
    assert town.state("2019-04-01") == "unknown"
    assert not any("2018-0" in str(request.query_params) for request in town.server.requests)
    assert town.tick() == []
    town.layer.add(a_quarter(2))
    town.now = datetime(2019, 8, 2, 16, tzinfo=UTC)
    assert town.tick() == [("2019-04-01", "2019-08-01")]
    town.run(("2019-04-01", "2019-08-01"))
    assert [town.state(day) for day in ("2019-04-01", "2019-06-30", "2019-07-01")] == ["known", "known", "unknown"]
    assert town.tick() == []
