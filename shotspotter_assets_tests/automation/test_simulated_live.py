"""The packaged city that lives: under a shifted clock it runs through the last day of a year and the night after it."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pyarrow.compute as pc
import pytest

from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.cities.local_time import ONE_DAY, days_between
from shotspotter_assets.city_files import PACKAGE_CITIES
from shotspotter_assets.defs.requested_runs import LONG_TAG, SIMULATED_TAG
from shotspotter_assets.forecasts.nowcasting import NowcastRecord
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.storage.catalogue import PAGE, RAW_ROWS, Asset
from shotspotter_assets_tests.automation.living_city import LivingCity, assets_of
from shotspotter_assets_tests.defs.chain import evaluate, skip_message

NAME = "simulated_live"
FILE = PACKAGE_CITIES / f"{NAME}.yaml"
LAST_DAY = date(2026, 12, 31)
NEW_YEAR = LAST_DAY + ONE_DAY
SMALLER = {"{rows: 24, columns: 24}": "{rows: 8, columns: 8}", "alerts_per_day: 1440": "alerts_per_day: 60"}


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)


class Lives(LivingCity):
    """The packaged city on a coarser grid with fewer alerts, whose nowcast sensor ticks too."""

    nowcast_cursor: str | None = None

    def nowcast(self) -> bool:
        """Let the sensor of nowcasts tick; return True if it has issued one."""
        with self.clock():
            result = evaluate(f"{NAME}_nowcasts", self.on, self.instance, self.nowcast_cursor)
        self.nowcast_cursor = result.cursor
        self.message = skip_message(result)
        return any(event.asset_key == dg.AssetKey([NAME, "nowcasts"]) for event in result.asset_events)

    def page(self) -> str:
        return self.store.read_bytes(PAGE.named(file="last_hours.html"), NAME).decode()

    def alerts(self, first: date, last: date) -> list[datetime]:
        """Return the times of the alerts that the source has published by now."""
        with self.clock():
            return self.city.source.open(self.city.site, None).read(first, last)["time_utc"].to_pylist()


@pytest.fixture
def city(tmp_path: Path) -> Lives:
    folder = tmp_path / "city"
    cities = folder / "cities"
    cities.mkdir(parents=True)
    text = FILE.read_text()
    for written, smaller in SMALLER.items():
        assert written in text
        text = text.replace(written, smaller)
    (cities / FILE.name).write_text(text)
    shutil.copytree(PACKAGE_CITIES / "simulated_city", cities / "simulated_city")
    return Lives(folder, date(2026, 7, 1), at(date(2026, 12, 24), 9), NAME)


def test_a_city_without_models_has_no_nowcast_and_no_failed_tick(city: Lives) -> None:
    assert not city.nowcast()
    assert city.message == f"City {NAME}: no live models before 2026-12-24. Materialize live_models for {NAME} first."


def test_a_day_closes_at_midnight_and_alerts_after_now_do_not_exist(city: Lives) -> None:
    midnight = at(date(2026, 12, 24), 0)
    city.now = midnight - timedelta(seconds=1)
    [days] = city.tick()
    assert days.tags["shotspotter/target"] == f"{NAME} raw_alerts 2026-07-01...2026-12-22"
    city.now = midnight + timedelta(seconds=1)
    [days] = city.tick()
    assert days.tags["shotspotter/target"] == f"{NAME} raw_alerts 2026-07-01...2026-12-23"
    city.now = at(date(2026, 12, 23), 18)
    so_far = city.alerts(date(2026, 12, 23), date(2026, 12, 24))
    assert len(so_far) > 0
    assert max(so_far) <= city.now
    city.now = at(date(2026, 12, 25), 0)
    assert city.alerts(date(2026, 12, 23), date(2026, 12, 23))[: len(so_far)] == so_far


def test_runs_of_a_simulated_city_take_no_place_of_other_cities(city: Lives) -> None:
    for request in city.tick():
        assert request.tags[SIMULATED_TAG] == "true"
        assert LONG_TAG not in request.tags
    pools = {op.pool for op in city.on.definitions.resolve_job_def("__ASSET_JOB").graph.node_defs}
    assert pools == {None, "training"}, "that of the models of all cities"


@pytest.mark.slow
def test_the_city_lives_through_the_last_day_of_a_year(city: Lives) -> None:
    city.settle(checks=False)
    stored = Stored.read(city.store, city.city)
    assert stored.is_current(Asset.FOLD_MODELS, date(2026, 10, 1))
    assert not stored.versions(Asset.EVALUATION_REPORTS)

    # A week later: the computer was off meanwhile.
    city.now = at(LAST_DAY, 0, 5)
    made = city.settle(checks=False)
    assert "raw_alerts 2026-12-24...2026-12-30" in made
    assert "live_models 2026-12-30...2026-12-30" in made, "a week after the first training"
    assert ServingRecord.load(city.store, NAME, LAST_DAY - ONE_DAY).trained

    issued = 0
    while city.now < at(LAST_DAY, 23, 59):
        before = NowcastRecord.find(city.store, NAME)
        page = city.page()
        city.settle(checks=False)
        if city.nowcast():
            issued += 1
            record = NowcastRecord.load(city.store, NAME)
            came = city.alerts(LAST_DAY, LAST_DAY)
            assert record.alerts_since_midnight == len(came)
            assert city.page() != page
            assert before is None or before.alerts_since_midnight <= len(came)
        assert f"The source was last polled at {city.now.astimezone(city.city.zone):%Y-%m-%d %H:%M}." in city.page()
        city.now += timedelta(minutes=30)
    assert issued >= 24

    city.now = at(NEW_YEAR, 0, 1)
    [newest, *_] = city.tick()
    assert newest.tags["shotspotter/target"] == f"{NAME} raw_alerts {LAST_DAY}...{LAST_DAY}"
    assert {"raw_alerts", "forecast_scores", "nowcast_scores", "city_pages"} <= assets_of(newest)
    made = city.settle(checks=False)
    assert {"evaluation_reports 2026-10-01...2026-10-01", f"fold_models {NEW_YEAR}...{NEW_YEAR}"} <= {*made}
    assert "annual_reports 2026-01-01...2026-01-01" in made
    assert any(run.startswith("walk_forward_reports") for run in made)
    assert city.tick() == []
    assert city.message == "Everything is built from what the sources hold."

    # Nobody has to accept the firework night.
    city.now = at(NEW_YEAR + ONE_DAY, 0, 1)
    assert f"raw_alerts {NEW_YEAR}...{NEW_YEAR}" in city.settle(checks=False)

    days = days_between(city.start, NEW_YEAR)
    rebuilt = city.city.source.open(city.city.site, None)
    with city.clock():
        again = rebuilt.read(days[0], days[-1])
    kept = city.store.read_window(RAW_ROWS, NAME, days[0], days[-1])
    assert kept.select(again.column_names).equals(again.replace_schema_metadata(kept.schema.metadata))
    assert pc.max(kept["time_utc"]).as_py() < at(NEW_YEAR + ONE_DAY, 0)
    assert city.table.in_state("known").keys() == {*days}
