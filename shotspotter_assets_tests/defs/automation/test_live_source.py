from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.calendar import local_time
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.storage.catalogue import CLEANED, RAW_ROWS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, DAILY, requested_days, resources, run_days, tick, with_city
from shotspotter_assets_tests.sources.api.api_server import Server, Socrata, serving

CITY = "live_city"


class Portal:
    def __init__(self, folder: Path, server: Server, data: Socrata, instance: dg.DagsterInstance) -> None:
        self.server, self.data, self.instance = server, data, instance
        self.store = Store(str(folder / "store"))
        source = CITIES[CITY].source.model_copy(update={"domain": server.url})
        self.on = resources(str(folder / "store"), str(folder), with_city(CITY, source=source))
        self.cursor: str | None = None
        self.now = datetime(2024, 3, 20, 18, tzinfo=UTC)
        self.requests: list[dg.RunRequest] = []

    def tick(self) -> list[tuple[str, str]]:
        """One tick of the sensor, an hour after the last; the days of runs of the alert assets."""
        self.now += timedelta(hours=1)
        requests, self.cursor = tick(f"{CITY}_automation", self.on, self.instance, self.cursor)
        self.requests = [one for one in requests if {key.path[-1] for key in one.asset_selection or ()} >= set(DAILY)]
        return [requested_days(one) for one in self.requests]

    def run(self) -> None:
        for request in self.requests:
            assert run_days(CITY, *requested_days(request), self.on, self.instance).success

    def change(self, changes: str) -> None:
        self.data.database.execute(f"UPDATE alerts SET {changes} WHERE unique_id = 'SST-2'")

    def alerts(self, first: date, last: date) -> pa.Table:
        return self.store.read_window(CLEANED, CITY, first, last)


@pytest.fixture
def portal(tmp_path: Path, stored_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    times = pd.to_datetime(["2024-03-02T23:30:00", "2024-03-03T01:15:00", "2024-03-10T02:30:00"])
    columns = {
        "date": times.astype("datetime64[ms]"), "latitude": [41.8, 41.81, 41.82], "longitude": [-87.7, -87.71, -87.72],
        "incident_type_description": ["SINGLE GUNSHOT", "MULTIPLE GUNSHOTS", None],
        "rounds": pd.array([1, 5, None], dtype="Int64"), "unique_id": ["SST-1", "SST-2", "SST-3"],
        "_id": ["row-1", "row-2", "row-3"],
    }  # fmt: skip
    frame = pd.DataFrame(columns)
    data = Socrata(pa.Table.from_pandas(frame, preserve_index=False))
    with serving(data.routes) as server:
        portal = Portal(tmp_path, server, data, stored_instance)
        monkeypatch.setattr(local_time, "now", lambda: portal.now)
        yield portal


def test_the_history_is_one_run_and_then_only_changed_days_are_requested(portal: Portal) -> None:
    # Days without alerts are built too, and with a day the next one, for incidents over midnight.
    assert portal.tick() == [("2024-03-01", "2024-03-15")]
    portal.run()
    assert portal.alerts(date(2024, 3, 2), date(2024, 3, 3))["source_id"].to_pylist() == ["SST-1", "SST-2"]
    # 02:30 of the night that skips that hour is an hour later.
    assert portal.alerts(date(2024, 3, 10), date(2024, 3, 10))["time_utc"].to_pylist()[0].hour == 8
    assert portal.tick() == []
    portal.change("incident_type_description = 'GUNSHOT OR FIRECRACKER'")
    assert portal.tick() == [("2024-03-03", "2024-03-04")]
    portal.run()
    assert portal.alerts(date(2024, 3, 3), date(2024, 3, 3))["gunshot_type"].to_pylist() == [2]
    assert portal.tick() == []


def test_days_that_were_built_by_hand_are_not_requested(portal: Portal) -> None:
    assert run_days(CITY, "2024-03-01", "2024-03-15", portal.on, portal.instance).success
    assert len(portal.server.requests) == 1
    assert [portal.tick() for _ in range(3)] == [[], [], []]
    portal.change("rounds = 9")
    assert portal.tick() == [("2024-03-03", "2024-03-04")]


def test_an_outage_stores_nothing_and_polls_ask_twice(portal: Portal) -> None:
    portal.server.faults.extend(["503"] * 50)
    assert portal.tick() == []
    assert len(portal.server.requests) == 2
    with pytest.raises(SourceError, match=CITY):
        run_days(CITY, "2024-03-01", "2024-03-15", portal.on, portal.instance)
    assert portal.store.days_present(RAW_ROWS, CITY) == set()
