"""A city with a live source through the chain and its sensor and schedule, against a server that speaks SODA."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest
from shotspotter_assets.defs.automation.automated_cities import NO_CITY

from shotspotter_assets.cities.city import City
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.automation import arrivals, runs
from shotspotter_assets.defs.resources import SourcesResource
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.protocol import AlertSource, SourceError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import (
    CITIES,
    DAILY,
    DAILY_CHECKS,
    DEFINITIONS,
    SCHEDULES,
    SENSORS,
    materialize,
    resources,
    run_days,
)
from shotspotter_assets_tests.defs.chain import requested_days as asked_days
from shotspotter_assets_tests.sources.api.api_server import Server, Socrata, serving


class Redirected(SourcesResource):
    """The sources of the city files, with the test server's address in place of the portal's."""

    url: str

    def readers(self, city: City, left_out: Mapping[str, str] | None = None) -> list[AlertSource]:
        redirected = city.source.model_copy(update={"domain": self.url})
        return super().readers(city.model_copy(update={"source": redirected}), left_out)


class Portal:
    """The server, the store and the instance."""

    def __init__(self, folder: Path, server: Server, data: Socrata, instance: dg.DagsterInstance) -> None:
        self.server, self.data, self.instance = server, data, instance
        self.store = Store(str(folder / "store"))
        self.resources = resources(str(folder / "store")) | {
            "sources": Redirected(landing_root=str(folder), url=server.url)
        }
        self.cursor: str | None = None

    def tick(self) -> list[tuple[str, str]]:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=DEFINITIONS, resources=self.resources
        )
        result = SENSORS["polled_arrivals"](context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        self.requests = list(result.run_requests)
        return [asked_days(asked) for asked in self.requests]

    def run_asked(self) -> None:
        for asked in self.requests:
            made = materialize(DAILY, self.resources, checks=DAILY_CHECKS, instance=self.instance, tags=asked.tags)
            assert made.success

    def clock(self, now: str) -> list[str]:
        schedule = SCHEDULES["daily_america_chicago"]
        moment = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo("America/Chicago"))
        with dg.build_schedule_context(self.instance, moment) as context:  # else it holds the instance beyond the test
            self.requests = list(schedule.evaluate_tick(context).run_requests)
        return [asked_days(asked)[0] for asked in self.requests]

    def alerts(self, first: date, last: date) -> pa.Table:
        return self.store.read_window("cleaned_alerts", "live_city", "alerts.parquet", first, last)


@pytest.fixture
def portal(tmp_path: Path, stored_instance: dg.DagsterInstance) -> Iterator[Portal]:
    times = pd.to_datetime(["2024-03-02T23:30:00", "2024-03-03T01:15:00", "2024-03-10T02:30:00"])
    frame = pd.DataFrame(
        {
            "date": times.astype("datetime64[ms]"),
            "latitude": [41.8, 41.81, 41.82],
            "longitude": [-87.7, -87.71, -87.72],
            "incident_type_description": ["SINGLE GUNSHOT", "MULTIPLE GUNSHOTS", None],
            "rounds": pd.array([1, 5, None], dtype="Int64"),
            "unique_id": ["SST-1", "SST-2", "SST-3"],
            "_id": ["row-1", "row-2", "row-3"],
            "_updated": pd.Timestamp("2024-09-24T10:00:00.123Z"),
        }
    )
    data = Socrata(pa.Table.from_pandas(frame, preserve_index=False))
    with serving(data.routes) as server:
        yield Portal(tmp_path, server, data, stored_instance)


def test_from_the_portal_to_the_grid_and_only_what_changed_again(portal: Portal) -> None:
    # The first look is at the whole of the service, days without alerts included, in one run.
    assert portal.tick() == [("2024-03-01", "2024-03-15")]
    portal.run_asked()
    assert portal.alerts(date(2024, 3, 2), date(2024, 3, 3))["source_id"].to_pylist() == ["SST-1", "SST-2"]
    # What the run read is what the portal has.
    assert portal.tick() == []
    portal.data.database.execute(
        "UPDATE alerts SET incident_type_description = 'GUNSHOT OR FIRECRACKER', _updated = TIMESTAMPTZ '2024-10-01' "
        "WHERE unique_id = 'SST-2'"
    )
    assert portal.tick() == [("2024-03-03", "2024-03-03")]
    portal.run_asked()
    assert portal.alerts(date(2024, 3, 3), date(2024, 3, 3))["gunshot_type"].to_pylist() == [2]
    assert portal.tick() == []
    # A correction that is taken back is a change like any other.
    portal.data.database.execute(
        "UPDATE alerts SET incident_type_description = 'MULTIPLE GUNSHOTS', _updated = TIMESTAMPTZ '2024-09-24 10:00:00.123Z' "
        "WHERE unique_id = 'SST-2'"
    )
    asked_before = portal.requests
    assert portal.tick() == [("2024-03-03", "2024-03-03")]
    assert portal.requests[0].run_key not in {one.run_key for one in asked_before}


def test_a_history_that_was_made_by_hand_is_not_made_again(portal: Portal) -> None:
    assert run_days("live_city", "2024-03-01", "2024-03-15", portal.resources, portal.instance).success
    assert [portal.tick() for _ in range(3)] == [[], [], []]
    portal.data.database.execute(
        "UPDATE alerts SET rounds = 9, _updated = TIMESTAMPTZ '2024-10-01' WHERE unique_id = 'SST-2'"
    )
    assert portal.tick() == [("2024-03-03", "2024-03-03")]


def test_a_run_that_failed_is_asked_for_again(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    portal.tick()
    portal.server.faults.extend(["500"] * 50)
    (asked,) = portal.requests
    failed = materialize(DAILY, portal.resources, instance=portal.instance, tags=asked.tags, raise_on_error=False)
    assert not failed.success
    portal.server.faults.clear()
    # The second look knows what the source has, and that nothing of it was received.
    assert portal.tick() == [("2024-03-01", "2024-03-15")]
    assert portal.tick() == []
    monkeypatch.setattr(runs, "WAITS", (timedelta(0), timedelta(hours=1)))
    assert portal.tick() == [("2024-03-01", "2024-03-15")]
    portal.run_asked()
    assert portal.tick() == []


def test_a_day_that_goes_while_it_is_being_made_is_asked_for_afterwards(portal: Portal) -> None:
    # The first look, the one that learns the versions, and one that finds them unchanged.
    assert [bool(portal.tick()) for _ in range(3)] == [True, True, False]
    portal.data.database.execute("DELETE FROM alerts WHERE unique_id = 'SST-2'")
    tags = runs.city_tags("live_city", date(2024, 3, 3), date(2024, 3, 3))
    run = portal.instance.add_run(dg.DagsterRun(job_name="daily", status=dg.DagsterRunStatus.STARTED, tags=tags))
    assert [portal.tick() for _ in range(3)] == [[], [], []]
    portal.instance.delete_run(run.run_id)
    assert portal.tick() == [("2024-03-03", "2024-03-03")]
    assert portal.tick() == []


def test_a_city_that_does_not_answer_stops_no_other(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    live = CITIES["live_city"]
    portal.resources["cities"] = {"live_city": live, "twin": live.model_copy(update={"name": "twin"})}
    monkeypatch.setattr(arrivals, "SECONDS_PER_TICK", 1.0)
    monkeypatch.setattr(arrivals, "MAX_SECONDS", 2.0)
    portal.tick()
    assert {asked.tags[runs.CITY_TAG] for asked in portal.requests} == {"live_city", "twin"}
    portal.server.faults.append("slow 3")
    assert portal.tick() == [("2024-03-01", "2024-03-15")]
    (answered,) = portal.requests
    # The other one's answer counts in the next tick, without being asked for again.
    asked_before = len(portal.server.requests)
    assert portal.tick() == [("2024-03-01", "2024-03-15")]
    assert portal.requests[0].tags[runs.CITY_TAG] != answered.tags[runs.CITY_TAG]
    assert len(portal.server.requests) == asked_before + 1
    assert portal.tick() == []


def test_a_look_is_less_patient_than_a_run(portal: Portal) -> None:
    portal.tick()
    portal.server.faults.extend(["503"] * 50)
    asked_before = len(portal.server.requests)
    with pytest.raises(dg.Failure, match="live_city"):
        portal.tick()
    assert len(portal.server.requests) - asked_before == 2


def test_one_range_is_one_logical_query(portal: Portal) -> None:
    result = run_days("live_city", "2024-03-01", "2024-03-15", portal.resources, portal.instance)
    assert result.success
    # One for the versions of the days, one for the rows, and as the last days are silent one for the newest row.
    assert len(portal.server.requests) == 3
    # 02:30 of the night that skips that hour is an hour later.
    assert portal.alerts(date(2024, 3, 10), date(2024, 3, 10))["time_utc"].to_pylist()[0].hour == 8


def test_the_portal_down_stops_the_run_before_anything_is_written(portal: Portal) -> None:
    portal.server.faults.extend(["500"] * 50)
    with pytest.raises(SourceError, match="live_city"):
        run_days("live_city", "2024-03-01", "2024-03-15", portal.resources, portal.instance)
    assert portal.store.days_present("raw_alerts", "live_city", "alerts.parquet") == set()


def test_the_clock_asks_for_yesterday_once(portal: Portal) -> None:
    assert portal.clock("2024-03-06T06:30") == ["2024-03-05"]
    portal.run_asked()
    assert portal.clock("2024-03-06T06:30") == []
    # What the sensor had made before is not made again either.
    portal.tick()
    portal.run_asked()
    assert portal.clock("2024-03-04T06:30") == []
    # The service has ended.
    assert portal.clock("2024-03-20T06:30") == []


def test_the_clock_asks_for_nothing_of_a_manual_city(tmp_path: Path, stored_instance: dg.DagsterInstance) -> None:
    city = CITIES["live_city"].model_copy(update={"automation": "manual"})
    on = resources(str(tmp_path), cities={city.name: city})
    built = build_definitions(Settings({city.name: city}, store_root="store", landing_root="landing"))
    moment = datetime(2024, 3, 6, 6, 30, tzinfo=city.zone)
    for schedule in built.schedules or []:
        with dg.build_schedule_context(stored_instance, moment, resources=on) as context:
            result = schedule.evaluate_tick(context)
        assert (result.run_requests, result.skip_message) == ([], NO_CITY)
