"""Failures of earlier versions, each as it was found: the city must end as its sources are.

`test_due` has the order of reports and folds.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.defs.partitions import range_tags
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.forecasts.training import MIN_HISTORY_DAYS, train_live
from shotspotter_assets.storage.catalogue import ALERTS, FORECAST_RECORD, PRODUCTS, Asset
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.automation.conftest import START, TODAY, YESTERDAY
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, assets_of, noon, row, rows
from shotspotter_assets_tests.automation.statements import Said
from shotspotter_assets_tests.defs.chain import requested_days

ONE_DAY = timedelta(days=1)


@pytest.fixture
def town(tmp_path: Path) -> LivingCity:
    town = LivingCity(tmp_path / "town", START, noon(TODAY))
    town.land("history.csv", *rows(START, YESTERDAY))
    return town


def at_hour(day: date, hour: int, minute: int = 0) -> datetime:
    """The instant of a local time of the town."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)


def of_assets(names: tuple[str, ...], town: LivingCity) -> list[dg.RunRequest]:
    return [one for one in town.requested if assets_of(one) & set(names)]


def test_nothing_is_forecast_before_the_first_forecast(town: LivingCity) -> None:
    tomorrow = TODAY + ONE_DAY
    town.write_city_file(more=f"first_forecast: {tomorrow}\n")
    town.settle()
    assert not of_assets(PRODUCTS, town)
    town.now += ONE_DAY
    town.land("later.csv", *rows(TODAY, TODAY))
    name = f"{NAME}_automation"
    made = town.on.definitions
    with town.clock():
        context = dg.build_sensor_context(town.instance, definitions=made, sensor_name=name, resources=dict(town.on))
        requested = made.resolve_sensor_def(name).evaluate_tick(context).run_requests
    assert [requested_days(request) for request in requested or ()] == [(str(TODAY), str(TODAY))]
    town.settle()
    assert town.forecast(tomorrow).last_known == TODAY
    graph = town.on.definitions.resolve_asset_graph()
    for asset in PRODUCTS:
        with town.clock():
            days = graph.get(dg.AssetKey([NAME, asset])).partitions_def.get_partition_keys()
        assert days == sorted(Stored.read(town.store, town.city).versions(asset)) == [str(tomorrow)]


def test_a_correction_of_a_past_day_refreshes_the_newest_forecast(settled: LivingCity) -> None:
    before = settled.forecast(TODAY)
    corrected = YESTERDAY - timedelta(days=6)
    settled.requested.clear()
    settled.land("late.csv", *(row(corrected, number, hour=20, place=number) for number in range(30, 39)))
    settled.settle(checks=False)
    assert [requested_days(one) for one in of_assets(PRODUCTS[:1], settled)] == [(str(YESTERDAY), str(TODAY))]
    assert settled.forecast(TODAY).version != before.version
    assert settled.store.days_present(FORECAST_RECORD, NAME) == {YESTERDAY, TODAY}


def test_a_tick_within_a_first_run_requests_no_days(town: LivingCity) -> None:
    [request] = town.tick()
    write = Store.write_tables
    requested = list[dg.RunRequest]()

    def write_and_tick(store: Store, *arguments: Any) -> None:
        write(store, *arguments)
        with town.under_way(ALERTS, request.tags):
            requested.extend(town.tick())

    with mock.patch.object(Store, "write_tables", write_and_tick):
        assert town.run(request)
    assert requested == []
    assert len(town.settle(checks=False)) == 1, "the products of today and tomorrow"


def test_a_newest_day_is_requested_beside_runs_of_a_person_and_once(settled: LivingCity) -> None:
    settled.now += timedelta(days=1)
    backfill = range_tags(START + 9 * ONE_DAY, YESTERDAY)
    with settled.under_way(("live_models", "risk_forecasts"), backfill):
        settled.land("daily.csv", *rows(TODAY, TODAY))
        [request] = settled.tick()
        assert requested_days(request) == (str(TODAY), str(TODAY))
        assert "raw_alerts" in assets_of(request)
        with settled.under_way(assets_of(request), request.tags):
            assert settled.tick() == []
            assert "daily.csv" in settled.message
            assert str(TODAY) in settled.message
            settled.land("more.csv", row(TODAY, 30))
            [newer] = settled.tick()
            assert assets_of(newer) == assets_of(request)
            assert "more.csv" in newer.tags["shotspotter/reason"]
            with settled.under_way(assets_of(newer), newer.tags):
                assert settled.tick() == []
                assert "more.csv" in settled.message


def test_a_day_whose_run_fails_stops_no_forecast(settled: LivingCity) -> None:
    settled.now += timedelta(days=1)
    settled.land("daily.csv", *rows(TODAY, TODAY))
    [request] = settled.tick()
    with mock.patch("shotspotter_assets.alerts.sources.schema.read_sources", side_effect=OSError("killed")):
        assert not settled.run(request)
    [stopgap] = settled.tick()
    assert assets_of(stopgap) == {*PRODUCTS, "city_pages"}
    assert settled.run(stopgap)
    assert settled.forecast(TODAY + ONE_DAY).last_known == YESTERDAY
    settled.settle(checks=False)
    assert settled.forecast(TODAY + ONE_DAY).last_known == TODAY


def test_a_run_whose_rows_are_outdated_issues_and_the_next_one_refreshes(settled: LivingCity) -> None:
    settled.now += timedelta(days=1)
    settled.land("daily.csv", *rows(TODAY, TODAY))
    [outdated] = settled.tick()
    finish = DayTable.finish

    def finish_and_land(*arguments: Any) -> None:
        finish(*arguments)
        settled.land("more.csv", row(TODAY, 30), row(TODAY, 31))

    with mock.patch.object(DayTable, "finish", finish_and_land):
        assert settled.run(outdated)
    stored = Stored.read(settled.store, settled.city)
    assert settled.table.days[TODAY].rows == 3
    assert stored.is_current(Asset.FORECAST_SCORES, TODAY)
    settled.settle(checks=False)
    assert settled.table.days[TODAY].rows == 5
    assert settled.forecast(TODAY + ONE_DAY).last_known == TODAY
    assert settled.message == "Everything is built from what the sources hold."


def test_a_day_after_a_backlog_is_requested_while_the_backlog_is_built(town: LivingCity) -> None:
    [backlog] = town.tick()
    with town.under_way(ALERTS, backlog.tags):
        assert town.tick() == []
        assert "history.csv" in town.message
        town.now += timedelta(days=1)
        town.land("daily.csv", *rows(TODAY, TODAY))
        [request] = town.tick()
        assert requested_days(request) == (str(TODAY), str(TODAY))
        assert assets_of(request) == set(ALERTS), "its forecast follows the days before"


def test_two_days_of_a_backfill_train_once(tmp_path: Path) -> None:
    start = TODAY - timedelta(days=MIN_HISTORY_DAYS + 9)
    town = LivingCity(tmp_path / "town", start, noon(TODAY))
    town.write_city_file(more="network: false\n")
    town.land("history.csv", *rows(town.start, YESTERDAY))
    assert town.run(town.tick()[0])
    days = (YESTERDAY - ONE_DAY, YESTERDAY)
    key = dg.AssetKey([NAME, "live_models"])
    with mock.patch("shotspotter_assets.forecasts.retraining.train_live", wraps=train_live) as trained:
        assert town.run(dg.RunRequest(asset_selection=[key], tags=range_tags(*days)))
    assert trained.call_count == 1
    earlier, later = (ServingRecord.load(town.store, NAME, day) for day in days)
    assert (earlier.trained, later.trained, later.models_from) == (True, False, days[0])


def test_products_follow_a_correction_whose_run_failed_half_way(settled: LivingCity) -> None:
    settled.land("late.csv", row(YESTERDAY, 30))
    [request] = settled.tick()
    assert settled.run(request)
    [request] = settled.tick()
    with mock.patch("shotspotter_assets.forecasts.retraining.choose_models", side_effect=OSError("killed")):
        assert not settled.run(request)
    settled.now += timedelta(minutes=2)
    settled.restart()
    settled.settle(checks=False)
    stored = Stored.read(settled.store, settled.city)
    assert settled.table.days[YESTERDAY].rows == 4
    assert all(stored.is_current(name, TODAY) for name in PRODUCTS)


def test_pages_are_built_once_after_a_new_day(settled: LivingCity) -> None:
    settled.requested.clear()
    settled.now += timedelta(days=1)
    settled.land("new.csv", *rows(TODAY, TODAY))
    settled.settle(checks=False)
    assert len(of_assets(("city_pages",), settled)) == len(of_assets(ALERTS, settled)) == 1


@pytest.mark.parametrize("changes", [{"start": str(START - ONE_DAY)}, {"more": "max_share_rejected: 0.6\n"}])
def test_rows_of_a_last_good_version_outlast_a_change_of_the_citys_file(
    town: LivingCity, changes: dict[str, str]
) -> None:
    town.settle(checks=False)
    town.land("small.csv", row(YESTERDAY, 50))
    town.land("history.csv").write_text("junk\n1\n")
    town.settle(checks=False)
    town.write_city_file(**changes)
    town.settle(checks=False)
    assert [town.table.days[day].rows for day in days_between(START, YESTERDAY)] == [3] * 13 + [4]


@pytest.mark.parametrize("time", ["no time", "2020-01-01T17:00:00Z"])
def test_rows_without_a_usable_time_make_no_day_known(tmp_path: Path, time: str) -> None:
    town = LivingCity(tmp_path / "town", START, noon(TODAY))
    town.land("history.csv", *rows(START + 8 * ONE_DAY, YESTERDAY), f"{time},-76.8,38.2,Single_Gunshot,x\n")
    town.settle(days_only=True)
    assert set(town.table.in_state("unknown")) == set(days_between(START, START + 7 * ONE_DAY))


def test_the_newest_of_two_corrections_of_a_day_counts(settled: LivingCity) -> None:
    day = YESTERDAY - 4 * ONE_DAY
    for number, name in ((4, "z"), (2, "a")):
        settled.land(f"{name} correction_{day}.csv", *rows(day, day, number))
        settled.settle(days_only=True)
        assert settled.table.days[day].rows == number
        settled.now += timedelta(minutes=1)


def test_a_correction_may_mend_a_wrong_time_zone(settled: LivingCity) -> None:
    day = YESTERDAY - 4 * ONE_DAY
    settled.land("day.csv", *(row(day, number, hour=12, place=number) for number in range(20, 28)))
    settled.settle(days_only=True)
    settled.land(f"correction_{day}.csv", *(row(day, number, hour=16, place=number) for number in range(20, 28)))
    settled.settle(days_only=True)
    assert settled.table.days[day].rows == 8


def test_a_grid_changed_at_night_leaves_yesterdays_forecast_as_issued(settled: LivingCity) -> None:
    issued = settled.forecast(YESTERDAY)
    settled.now += timedelta(hours=14)  # after the forecast's day, before its alerts are due
    settled.write_city_file(grid="2")
    settled.settle(checks=False)
    assert settled.forecast(YESTERDAY) == issued


def test_a_damaged_index_is_made_anew(settled: LivingCity) -> None:
    before = {at: day.version for at, day in settled.table.days.items()}
    kept = settled.folder / "store"
    for path in [*kept.rglob("received.json"), *kept.rglob("_days.parquet"), *kept.rglob("_lineage.json")]:
        path.write_bytes(b"")
    settled.settle(checks=False)
    assert {at: day.version for at, day in settled.table.days.items()} == before
    next((kept / "arrivals").rglob("*.parquet")).unlink()
    settled.land("late.csv", row(YESTERDAY, 50))
    settled.settle(checks=False)
    assert settled.table.days[YESTERDAY].rows == 4


def test_the_newest_forecast_is_never_of_a_day_that_has_ended(tmp_path: Path) -> None:
    """Rows up to the 13th, and the clock at six on the 16th: the 15th is awaited until half past six."""
    town = LivingCity(tmp_path / "town", START, at_hour(TODAY, 6))
    town.land("history.csv", *rows(START, YESTERDAY - 2 * ONE_DAY))
    town.settle(checks=False)
    record = town.forecast(max(town.store.days_present(FORECAST_RECORD, NAME)))
    assert record.forecast_date == TODAY
    assert record.last_known < YESTERDAY


def said_of_alerts(town: LivingCity) -> list[str]:
    return [line[0] for line in (Said(town).status["newest known day"], Said(town).status["alerts"])]


def test_a_day_stored_before_half_past_six_is_said(settled: LivingCity) -> None:
    settled.now = at_hour(TODAY + ONE_DAY, 0, 1)
    assert said_of_alerts(settled) == [str(YESTERDAY), "Alerts up to 15 March 2026."]
    settled.land("today.csv", *rows(TODAY, TODAY))
    settled.settle(checks=False)
    assert said_of_alerts(settled) == [str(TODAY), "Alerts up to 16 March 2026."]


@pytest.mark.parametrize("last", [YESTERDAY, YESTERDAY - 2 * ONE_DAY])
def test_an_end_before_stored_days_leaves_them_out(tmp_path: Path, last: date) -> None:
    """As with the advice to write `end` for a service that has ended: days after it were stored."""
    town = LivingCity(tmp_path / "town", START, noon(TODAY))
    end = YESTERDAY - 2 * ONE_DAY
    town.land("history.csv", *rows(START, last))
    town.settle(checks=False)
    for grid in ("3", "2"):
        town.write_city_file(more=f"end: {end}\n", grid=grid)
        town.settle(checks=False)
        assert said_of_alerts(town) == [str(end), "Alerts up to 13 March 2026."]
        assert Said(town).status_file["forecast_date"] == str(end + ONE_DAY)
