"""The sensor of live nowcasts: who is asked when, and what becomes of slow and failing sources."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from shotspotter_assets.cities.nowcast_rules import NowcastRules
from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.defs.automation import live_nowcasts
from shotspotter_assets.models.next_minutes.incidents import Incidents
from shotspotter_assets.serving.incidents import NO_ALERTS
from shotspotter_assets.serving.nowcast_poller import Snapshot
from shotspotter_assets.serving.nowcasts import MINUTES_SCHEMA, Nowcast, NowcastRecord
from shotspotter_assets.serving.risk_tables import RISK_SCHEMA
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.protocol import SourceError
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.defs.chain import CITIES, resources, with_city

NOW = datetime(2024, 1, 23, 12, 5, tzinfo=UTC)
LIVE = {"nowcasts": NowcastRules(every_seconds=30), "publication": Publication(days_late=0), "automation": "recent"}


def a_nowcast(city: str, alerts: int) -> Nowcast:
    rows = {
        "horizon": ["15m"], "starts_utc": [NOW], "minutes": [15], "row": [1], "column": [2], "probability": [0.1],
        "expected": [0.11], "even": [0.05],
    }  # fmt: skip
    record = NowcastRecord(
        city=city,
        now=NOW.isoformat(),
        starts="2024-01-23T13:00:00Z",
        models_from=date(2024, 1, 20),
        alerts_since_midnight=alerts,
    )
    minutes, nothing = pa.table(rows, schema=MINUTES_SCHEMA), Incidents.of_alerts(NO_ALERTS, CITIES[city])
    return Nowcast(RISK_SCHEMA.empty_table(), minutes, record, date(2024, 1, 23), nothing)


class Told:
    """A poller that finds a number of alerts, waits, or fails, as the test says."""

    def __init__(self, city: str, find: Callable[[], int]) -> None:
        self.city, self.find, self.asked = city, find, 0

    def poll(self, last: Snapshot) -> tuple[Nowcast | None, Snapshot]:
        self.asked += 1
        alerts = self.find()
        found = Snapshot(str(alerts), "12")
        return (None, last) if found == last else (a_nowcast(self.city, alerts), found)


class Ticks:
    """Ticks of the sensor over the tests' cities."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, names: tuple[str, ...]) -> None:
        cities = CITIES
        for name in names:
            cities = {**cities, name: with_city(name, **LIVE)[name]}
        self.store, self.instance, self.cursor = Store(str(folder)), instance, None
        self.resources = resources(str(folder), cities=cities)
        [self.sensor] = live_nowcasts.definitions(Settings(cities, str(folder), "landing")).sensors or []
        self.log: list[str] = []

    def tick(self, due: bool = True) -> dg.SensorResult:
        if due and self.cursor is not None:
            kept = json.loads(self.cursor)
            self.cursor = json.dumps({name: one | {"asked": 0} for name, one in kept.items()})
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=self.resources)
        result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return result

    def said(self, result: dg.SensorResult) -> str:
        assert isinstance(result.skip_reason, dg.SkipReason)
        return result.skip_reason.skip_message or ""

    def made(self, result: dg.SensorResult) -> list[tuple[str, int]]:
        return [
            (event.partition, event.metadata["alerts_since_midnight"].value)
            for event in result.asset_events
            if isinstance(event, dg.AssetMaterialization)
        ]


@pytest.fixture
def lookouts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Told]:
    told: dict[str, Told] = {}
    monkeypatch.setattr(live_nowcasts, "_lookout", lambda city, *_: told[city.name])
    return told


def test_a_nowcast_is_made_when_the_source_says_something_new(
    tmp_path: Path, instance: dg.DagsterInstance, lookouts: dict[str, Told]
) -> None:
    ticks, alerts = Ticks(tmp_path, instance, ("tiny_city",)), [3]
    lookouts["tiny_city"] = Told("tiny_city", lambda: alerts[0])
    assert ticks.made(ticks.tick()) == [("tiny_city", 3)]
    assert ticks.made(ticks.tick()) == []
    alerts[0] = 4
    assert ticks.made(ticks.tick(due=False)) == []
    assert lookouts["tiny_city"].asked == 2
    assert ticks.made(ticks.tick()) == [("tiny_city", 4)]
    stored = json.loads(ticks.store.read_bytes(Partition("nowcasts", "tiny_city"), "record.json"))
    assert stored["alerts_since_midnight"] == 4
    # Both were made at one instant here, and what is issued at one instant is kept once.
    issued = ticks.store.read_table(
        Partition("nowcasts", "tiny_city", "date", date(2024, 1, 23)), "issued_minutes.parquet"
    )
    assert issued.num_rows == 1


def test_a_slow_source_is_not_asked_again_and_what_it_says_late_is_dropped(
    tmp_path: Path, instance: dg.DagsterInstance, lookouts: dict[str, Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_nowcasts, "MAX_SECONDS", 0.1)
    ticks, answers = Ticks(tmp_path, instance, ("tiny_city", "landing_city")), threading.Event()
    lookouts["landing_city"] = Told("landing_city", lambda: 1)

    def slow() -> int:
        answers.wait(30)
        return 9

    lookouts["tiny_city"] = Told("tiny_city", slow)
    first = ticks.tick()
    assert ticks.made(first) == [("landing_city", 1)]
    assert "tiny_city: its source has not answered within 0.1 s" in ticks.said(first)
    second = ticks.tick()
    assert "tiny_city: its source has not answered the last question yet" in ticks.said(second)
    assert lookouts["tiny_city"].asked == 1
    answers.set()
    # The late answer is dropped, and the source is asked anew.
    monkeypatch.setattr(live_nowcasts, "MAX_SECONDS", 20)
    while lookouts["tiny_city"].asked < 2:
        third = ticks.tick()
    assert ticks.made(third) == [("tiny_city", 9)]


def test_a_failing_source_stops_no_other_city_and_is_named(
    tmp_path: Path, instance: dg.DagsterInstance, lookouts: dict[str, Told]
) -> None:
    ticks = Ticks(tmp_path, instance, ("tiny_city", "landing_city"))
    lookouts["landing_city"] = Told("landing_city", lambda: 1)

    def fails() -> int:
        raise SourceError("City tiny_city: the gateway is down.")

    lookouts["tiny_city"] = Told("tiny_city", fails)
    result = ticks.tick()
    assert ticks.made(result) == [("landing_city", 1)]
    assert "the gateway is down" in ticks.said(result)
    lookouts["landing_city"].find = fails
    with pytest.raises(dg.Failure, match=r"No source could be looked at\. .*the gateway is down"):
        ticks.tick()


def test_without_such_a_city_the_sensor_stands_still_and_says_what_to_write(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    ticks = Ticks(tmp_path, instance, ())
    assert ticks.sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert "write `nowcasts: {every_seconds: 60}`" in ticks.said(ticks.tick())
    watched = Ticks(tmp_path, instance, ("tiny_city",)).sensor
    assert (watched.default_status, watched.minimum_interval_seconds) == (dg.DefaultSensorStatus.RUNNING, 30)
