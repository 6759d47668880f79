import json
from datetime import date, timedelta
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest

from shotspotter_assets.defs.city_sensors import NOT_AUTOMATED
from shotspotter_assets.defs.partitions import range_tags
from shotspotter_assets.storage.catalogue import ALERTS, RAW_ROWS, WAITING
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import FORMAT_VERSION, MARKER, StoreFormat
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, assets_of, noon, row
from shotspotter_assets_tests.defs.chain import requested_days

START = date(2026, 3, 2)
TODAY = date(2026, 3, 10)
YESTERDAY = TODAY - timedelta(days=1)
HISTORY = [row(START + timedelta(days=at), number) for at in range(8) for number in range(2)]


@pytest.fixture
def town(tmp_path: Path) -> LivingCity:
    return LivingCity(tmp_path / "town", START, noon(TODAY))


@pytest.fixture
def stored(town: LivingCity) -> LivingCity:
    """The town with the days of its history stored, and nothing made from them."""
    town.land("a.csv", *HISTORY)
    [request] = town.tick()
    assert town.run(request)
    return town


def days_of(town: LivingCity, runs: bool = False) -> list[tuple[str, str]]:
    """Tick; return the days of the runs of alert assets, which succeed if they are run."""
    requests = [one for one in town.tick() if assets_of(one) >= set(ALERTS)]
    assert all(town.run(one) for one in requests if runs)
    return [requested_days(request) for request in requests]


def are_readable(town: LivingCity) -> list[bool]:
    checks = [event for event in town.events if isinstance(event, dg.AssetCheckEvaluation)]
    return [check.passed for check in checks if check.check_name == "files_are_readable"]


def test_nothing_is_requested_before_anything_lands(town: LivingCity) -> None:
    assert town.tick() == []
    assert "No day that is over has landed yet." in town.message


def test_a_store_in_another_format_is_left_alone(stored: LivingCity) -> None:
    stored.now += timedelta(days=1)
    stored.land("b.csv", row(TODAY, 1))
    marker = stored.folder / "store" / MARKER
    present = marker.read_bytes()
    for other, words in {
        StoreFormat(format_version=1): "format 1 is older than format 2",
        StoreFormat(format_version=FORMAT_VERSION + 1): "Update the program",
    }.items():
        marker.write_bytes(other.content())
        assert stored.tick() == []
        assert words in stored.message
    marker.write_bytes(present)
    assert stored.tick()


def test_a_manual_city_requests_nothing(town: LivingCity) -> None:
    town.write_city_file(automation="manual")
    town.land("a.csv", *HISTORY)
    assert town.tick() == []
    assert town.message == NOT_AUTOMATED


def test_a_city_switched_to_manual_shows_nothing_as_waiting(town: LivingCity) -> None:
    town.land("a.csv", *HISTORY)
    town.tick()
    assert json.loads(town.store.read_bytes(WAITING, NAME))["waits"]
    town.write_city_file(automation="manual")
    town.tick()
    assert json.loads(town.store.read_bytes(WAITING, NAME))["waits"] == []


def test_a_backlog_is_stored_before_the_newest_day_is_forecast(town: LivingCity) -> None:
    town.land("a.csv", *HISTORY)
    [request] = town.tick()
    assert requested_days(request) == (str(START), str(YESTERDAY))
    assert assets_of(request) == set(ALERTS)
    town.run(request)
    [request] = town.tick()
    assert requested_days(request) == (str(YESTERDAY), str(TODAY)), "the forecasts of today and tomorrow"
    assert {"live_models", "risk_forecasts", "patrol_plans", "city_pages"} <= assets_of(request)


def test_a_new_day_is_one_run_before_all_others(stored: LivingCity) -> None:
    stored.now += timedelta(days=1)
    stored.land("b.csv", row(TODAY, 1))
    stored.land("a.csv", HISTORY[0], *HISTORY[2:])
    newest, corrected = stored.tick()
    assert requested_days(newest) == (str(TODAY), str(TODAY))
    assert assets_of(newest) == {*ALERTS, "forecast_scores"}, "the products of tomorrow follow"
    # The incidents of the day after a corrected one may have begun on it.
    assert requested_days(corrected) == (str(START), str(START + timedelta(days=1)))
    assert int(newest.tags["dagster/priority"]) > int(corrected.tags["dagster/priority"]) > 0


def test_a_correction_that_comes_and_goes_runs_each_time(stored: LivingCity) -> None:
    for content in (HISTORY[1:], HISTORY, HISTORY[1:]):
        stored.land("a.csv", *content)
        assert days_of(stored, runs=True) == [("2026-03-02", "2026-03-03")]
        assert days_of(stored) == []


def test_a_lost_request_is_repeated_with_its_key(town: LivingCity) -> None:
    town.land("a.csv", *HISTORY)
    [lost] = town.tick()
    [again] = town.tick()
    assert lost.run_key == again.run_key


def test_days_wait_while_a_run_of_a_person_writes_them(town: LivingCity) -> None:
    town.land("a.csv", *HISTORY)
    with town.under_way(["grid_tensors"], range_tags(START, YESTERDAY)):
        assert town.tick() == []
        assert "(a.csv)" in town.message
        assert "grid_tensors" in town.message
    with town.under_way(["grid_tensors"], {"dagster/partition": str(START)}):
        [request] = town.tick()
        assert requested_days(request) == (str(START + timedelta(days=1)), str(YESTERDAY))
    with town.under_way(["fold_models"], {"dagster/partition": str(START)}):
        assert len(town.tick()) == 1


def test_a_failed_run_is_requested_again_after_longer_and_longer_waits(town: LivingCity) -> None:
    town.land("a.csv", *HISTORY)
    for wait in (timedelta(minutes=1), timedelta(minutes=10)):
        [request] = town.tick()
        with mock.patch.object(Store, "write_bytes", side_effect=OSError("The disk is full.")):
            assert not town.run(request)
        assert town.tick() == []
        assert "ended as failure; it is tried again at" in town.message
        town.now += wait
    assert len(town.tick()) == 1


def test_a_bad_file_fails_its_check_and_the_others_are_used(town: LivingCity) -> None:
    bad = town.folder / "landing" / NAME / "bad.parquet"
    bad.write_bytes(b"PAR1 nothing")
    town.land("a.csv", *HISTORY)
    assert days_of(town, runs=True) == [(str(START), str(YESTERDAY))]
    assert are_readable(town) == [False]
    assert days_of(town) == []
    bad.unlink()
    town.tick()
    assert are_readable(town) == [True]


def test_a_run_leaves_out_a_file_that_broke_after_its_request(town: LivingCity) -> None:
    town.land("a.csv", *HISTORY)
    [request] = town.tick()
    (town.folder / "landing" / NAME / "bad.parquet").write_bytes(b"PAR1 nothing")
    assert town.run(request)
    stored = town.store.read_window(RAW_ROWS, NAME, START, YESTERDAY)
    assert {Path(path).name for path in stored["received_from"].to_pylist()} == {"a.csv"}
    town.tick()
    assert are_readable(town) == [False]


def test_a_silent_city_fails_its_check_although_no_run_starts(stored: LivingCity) -> None:
    stored.now += timedelta(days=20)
    stored.tick()
    [late] = [one for one in stored.events if isinstance(one, dg.AssetCheckEvaluation)]
    assert (late.check_name, late.passed) == ("alerts_are_on_time", False)
