import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.cities.publication import NowcastRules, Publication
from shotspotter_assets.forecasts import nowcasting
from shotspotter_assets.forecasts.nowcasting import Nowcast, NowcastRecord, write_nowcast
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import FORMAT_VERSION, MARKER, StoreFormat
from shotspotter_assets_tests.defs.chain import CITIES, evaluate, resources, with_city

NOW = datetime(2024, 1, 23, 12, 5, tzinfo=UTC)
CITY = "tiny_city"
LIVE = {"nowcasts": NowcastRules(every_seconds=30), "publication": Publication(days_late=0), "automation": "recent"}


def a_nowcast(alerts: int) -> Nowcast:
    rows = {
        "horizon": ["15m"], "starts_utc": [NOW], "minutes": [15], "row": [1], "column": [2], "probability": [0.1],
        "expected": [0.11], "even": [0.05],
    }  # fmt: skip
    record = NowcastRecord(
        city=CITY, now=NOW.isoformat(), starts="2024-01-23T13:00:00Z", models_from=date(2024, 1, 20),
        alerts_since_midnight=alerts, incidents_last_hour=0, incidents=[], without_minutes="",
    )  # fmt: skip
    minutes = pa.table(rows, schema=catalogue.NOWCAST_MINUTES.schema)
    return Nowcast(catalogue.NOWCAST_HOURS.schema.empty_table(), minutes, record)


class Ticks:
    """Ticks of the city's sensor, whose nowcaster finds a number of alerts or fails."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace the nowcaster, which needs live models, by one that issues a nowcast whenever `find` returns another number."""
        self.find: Callable[[], int] = lambda: 3
        self.on = resources(str(folder), cities=with_city(CITY, **LIVE))
        self.store = Store(str(folder))
        self.instance = instance
        self.cursor = None

        class CountingNowcaster:
            def issue(_, last_inputs: str) -> tuple[Nowcast | None, str]:
                alerts = self.find()
                inputs = f"{alerts} 2024-01-23T12"
                if inputs == last_inputs:
                    return None, last_inputs
                nowcast = a_nowcast(alerts)
                write_nowcast(self.store, CITIES[CITY], nowcast)
                return nowcast, inputs

        monkeypatch.setattr(nowcasting, "Nowcaster", lambda *_, **__: CountingNowcaster())

    def tick(self) -> list[Any]:
        result = evaluate(f"{CITY}_nowcasts", self.on, self.instance, self.cursor)
        self.cursor = result.cursor
        self.requests = list(result.run_requests or ())
        assert all(event.asset_key.path == [CITY, "nowcasts"] for event in result.asset_events)
        return [event.metadata["alerts_since_midnight"].value for event in result.asset_events]


@pytest.fixture
def ticks(tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Ticks:
    return Ticks(tmp_path, instance, monkeypatch)


def test_a_store_in_another_format_gets_no_nowcast(ticks: Ticks) -> None:
    Path(ticks.store.root, MARKER).write_bytes(StoreFormat(format_version=FORMAT_VERSION + 1).content())
    assert ticks.tick() == []
    Path(ticks.store.root, MARKER).unlink()
    assert ticks.tick() == [3]


def test_each_change_of_the_source_makes_a_nowcast(ticks: Ticks) -> None:
    assert ticks.tick() == [3]
    assert ticks.tick() == []
    ticks.find = lambda: 4
    assert ticks.tick() == [4]
    stored = json.loads(ticks.store.read_bytes(catalogue.NOWCAST_RECORD, CITY))
    assert stored["alerts_since_midnight"] == 4
    # Both start at one instant here, and one instant is stored once.
    assert ticks.store.read_table(catalogue.ISSUED_MINUTES, CITY, date(2024, 1, 23)).num_rows == 1


def test_a_failing_source_fails_the_tick_and_the_next_one_polls_again(ticks: Ticks) -> None:
    def fails() -> int:
        raise SourceError("City tiny_city: the gateway is down.")

    ticks.find = fails
    with pytest.raises(SourceError, match=CITY):
        ticks.tick()
    ticks.find = lambda: 1
    assert ticks.tick() == [1]


def test_new_alerts_request_one_run_an_hour_that_refits(ticks: Ticks) -> None:
    assert ticks.tick() == [3]
    assert ticks.requests == []
    ticks.on = resources(ticks.store.root, cities=with_city(CITY, **LIVE, retraining="hourly"))
    ticks.cursor = "3 2024-01-23T11"
    ticks.tick()
    assert ticks.requests == []  # an hour began, and nothing is new
    keys = []
    for number in (4, 5):
        ticks.find = partial(int, number)
        ticks.tick()
        [request] = ticks.requests
        keys.append(request.run_key)
    assert keys == ["refit 2024-01-23T12"] * 2
    job = ticks.on.definitions.resolve_implicit_global_asset_job_def()
    assert request.asset_selection == [dg.AssetKey([CITY, "nowcasts"])]
    assert list(request.run_config["ops"]) == [job.get_subset(asset_selection={*request.asset_selection}).nodes[0].name]
    ticks.instance.create_run_for_job(
        job.get_subset(asset_selection={*request.asset_selection}),
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset(request.asset_selection),
    )
    ticks.find = lambda: 6
    ticks.tick()
    assert ticks.requests == []


def test_a_failing_page_does_not_repeat_the_nowcast(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shotspotter_assets.pages.site.renew_last_hours", lambda *_: 1 / 0)
    assert ticks.tick() == [3]
    assert ticks.tick() == []


def test_only_automated_cities_with_nowcasts_have_the_sensor() -> None:
    def names(**changes: Any) -> set[str]:
        sensors = resources("store", cities=with_city(CITY, **LIVE | changes)).definitions.sensors or []
        return {sensor.name for sensor in sensors if sensor.name.endswith("_nowcasts")}

    assert names() == {f"{CITY}_nowcasts"}
    assert names(automation="manual") == names(nowcasts=None) == set()
