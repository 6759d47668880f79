from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.calendar import local_time
from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.catalogue import POLLED
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.automation.living_city import LivingCity, noon, row
from shotspotter_assets_tests.defs.chain import DAILY, requested_days, resources, run_days, stale_days, tick
from shotspotter_assets_tests.made_up_city import made_up_city
from shotspotter_assets_tests.sources.api.api_server import Arcgis, serving

START, NEWEST, END = date(2024, 9, 1), date(2024, 9, 30), date(2024, 11, 22)
LAYER = "/arcgis/rest/services/Alerts/MapServer/29"


def rows_of(first: date, last: date) -> pa.Table:
    """Alerts at noon and later of each day, in the city's box."""
    minutes = [pd.Timedelta(hours=17, minutes=at) for at in range(20)]
    moments = pd.Series([pd.Timestamp(day) + after for day in days_between(first, last) for after in minutes])
    number = np.arange(len(moments))
    columns = {"OBJECTID": (first - START).days * 100 + 10 + number, "DATETIME": moments.astype("datetime64[us]")}
    frame = pd.DataFrame(columns | {"LATITUDE": 41.8 + number % 7 / 100, "LONGITUDE": -87.7})
    return pa.Table.from_pandas(frame, preserve_index=False)


class Town:
    """A city behind a layer, its store, and the runs and ticks over it."""

    def __init__(self, folder: Path, url: str, layer: Arcgis, instance: dg.DagsterInstance) -> None:
        self.layer, self.instance, self.store = layer, instance, Store(str(folder / "store"))
        columns = {"time": "DATETIME", "longitude": "LONGITUDE", "latitude": "LATITUDE"}
        more = {"time_zone": "America/Chicago", "start": START, "end": END, "automation": "history"}
        more["source"] = {"kind": "arcgis", "layer": url + LAYER, "columns": columns}
        self.city = made_up_city("live_city", (-87.9, 41.6, -87.5, 42.1), (6, 5), **more)
        self.cities = {"live_city": self.city}
        self.resources = resources(str(folder / "store"), str(folder), self.cities)
        self.cursor: str | None = None

    def publish(self, rows: pa.Table) -> None:
        self.layer.database.register("further", rows)
        self.layer.database.execute("INSERT INTO features SELECT * FROM further")

    def run(self, first: date, last: date) -> None:
        assert run_days("live_city", str(first), str(last), self.resources, self.instance).success

    def tick(self) -> list[tuple[str, str]]:
        """One tick of the city's sensor, which asks the source, and its runs of the alert assets alone."""
        self.store.delete(POLLED, "live_city")
        requests, self.cursor = tick("live_city_automation", self.resources, self.instance, self.cursor)
        alerts = [one for one in requests if {key.path[-1] for key in one.asset_selection or ()} == set(DAILY)]
        requested = [requested_days(request) for request in alerts]
        for first, last in requested:
            self.run(date.fromisoformat(first), date.fromisoformat(last))
        return requested

    def shown(self, asset: str, day: date) -> dict[str, Any]:
        event = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(["live_city", asset]), asset_partitions=[str(day)]), limit=1
        ).records[0]
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    def state(self, day: date) -> str:
        return DayTable.read(self.store, "live_city").days[day].state

    def stale(self, asset: str, days: list[date]) -> list[date]:
        found = stale_days(self.resources, self.instance, "live_city", asset, list(map(str, days)))
        return list(map(date.fromisoformat, found))


@pytest.fixture
def town(tmp_path: Path, stored_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    monkeypatch.setattr(local_time, "now", lambda: datetime.combine(END + timedelta(days=1), time(18), UTC))
    layer = Arcgis(rows_of(START, NEWEST))
    with serving(layer.routes) as server:
        yield Town(tmp_path, server.url, layer, stored_instance)


class Folder(LivingCity):
    """A city of landed files, by default without a rule of publication."""

    def land_day(self, day: date, alerts: int, days_later: int = 1) -> None:
        self.now = noon(day + timedelta(days=days_later))
        self.land(f"{day}.csv", *(row(day, at, hour=10 + at % 9) for at in range(alerts)))

    def states(self, days: list[date]) -> list[str]:
        """Return the states of days after the run of the morning after the last one."""
        self.now = noon(days[-1] + timedelta(days=1))
        assert self.run(self.tick()[0])
        return [self.table.days[day].state for day in days]

    def lead(self, day: date) -> int:
        return CityHistory.load(self.store, self.city, day).lead


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path / "town", START, noon(START))
    folder.write_city_file(publication="{}")
    folder.load()
    yield folder
    folder.close()


def test_an_empty_daily_file_is_a_known_day_and_a_missing_one_is_not(folder: Folder) -> None:
    folder.write_city_file(publication="{}", more='  file_date: "%Y-%m-%d"\n')
    folder.load()
    days = days_between(START, START + timedelta(days=23))
    for day in days[:-1]:
        folder.land_day(day, alerts=20 if day < days[-3] else 0)
    assert folder.states(days)[-4:] == ["known", "known", "known", "unknown"]
    assert (folder.lead(days[-2]), folder.lead(days[-1])) == (1, 2)


def test_the_lateness_of_a_source_is_learned(folder: Folder) -> None:
    days = days_between(START, START + timedelta(days=40))
    # Three days late, and so quiet that three days of silence are plausible.
    for day in days[:-3]:
        folder.land_day(day, alerts=1, days_later=4)
    assert folder.states(days)[-4:] == ["known", "unknown", "unknown", "unknown"]
    assert folder.lead(days[-1]) == 4


def test_a_city_with_an_alert_a_week_is_silent_and_known(folder: Folder) -> None:
    days = days_between(START, START + timedelta(days=90))
    for day in days[:70:7]:
        folder.land_day(day, alerts=1)
    assert set(folder.states(days)[64:]) == {"silent"}
    assert folder.lead(days[-1]) == 1


def test_days_after_the_newest_row_are_unknown_and_in_no_history(town: Town) -> None:
    town.run(START, NEWEST)
    for day in days_between(NEWEST + timedelta(days=1), date(2024, 10, 3)):
        town.run(day, day)
    town.run(date(2024, 10, 4), END)
    assert [town.state(day) for day in (NEWEST, date(2024, 10, 1), END)] == ["known", "unknown", "unknown"]
    for asset in DAILY:
        assert town.shown(asset, END)["state"] == "unknown"
        assert "2024-09-30" in town.shown(asset, END)["why_not_known"]
    history = CityHistory.load(town.store, town.city, END)
    assert (history.last_known, history.lead, history.days[-1]) == (NEWEST, 54, NEWEST)
    assert history.daily_counts.sum() == 20 * 30


def test_unknown_days_are_rebuilt_once_when_newer_rows_arrive(town: Town) -> None:
    assert town.tick() == [(str(START), str(END))]
    assert town.tick() == town.tick() == []
    gap = days_between(date(2024, 10, 1), date(2024, 10, 14))
    town.publish(rows_of(gap[2], gap[-1]))
    assert town.tick() == [("2024-10-01", "2024-10-15")]
    assert town.state(gap[0]) == "known"
    assert town.stale("cleaned_alerts", gap) == []
    history = CityHistory.load(town.store, town.city, END)
    assert (history.last_known, history.lead) == (gap[-1], 40)
    assert town.tick() == []
    town.publish(rows_of(date(2024, 10, 15), date(2024, 10, 28)))
    assert town.tick() == [("2024-10-15", "2024-10-29")]
    assert town.tick() == []


def test_a_day_that_becomes_known_makes_its_cleaned_alerts_stale(town: Town) -> None:
    days = days_between(date(2024, 10, 1), date(2024, 10, 4))
    town.run(START, days[-1])
    town.publish(rows_of(days[2], days[2]))
    run_days("live_city", str(days[0]), str(days[-1]), town.resources, town.instance, assets=["raw_alerts"])
    assert town.stale("cleaned_alerts", [NEWEST, *days]) == days[:3]
    town.run(days[0], days[-1])
    assert town.stale("grid_tensors", [NEWEST, *days]) == []
