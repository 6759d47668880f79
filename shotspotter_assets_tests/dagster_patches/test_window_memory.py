"""Remembered moves between windows are the computed ones, and make the launch of a long backfill quick."""

import time
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.partitions.mapping import time_window
from dagster._utils.schedules import cron_string_iterator, reverse_cron_string_iterator

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.dagster_patches import window_memory
from shotspotter_assets.partitions import DAYS_BEFORE_CUTOFF, FOLD_CRON, build_partitions
from shotspotter_assets_tests.conftest import TEST_CITIES

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture(autouse=True)
def remembering() -> None:
    window_memory.apply()
    window_memory.apply()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", None])
@pytest.mark.parametrize("cron", [FOLD_CRON, "0 0 * * *", "0 * * * *", "15 6 * * 1"])
def test_ticks_are_those_that_dagster_computes(zone: str | None, cron: str) -> None:
    on_ticks = [tick.timestamp() for tick in islice(cron_string_iterator(1.5e9, cron, zone), 3)]
    over_new_year = datetime(2018, 12, 31, 22, 30, tzinfo=UTC).timestamp()
    when_clocks_go_back = datetime(2018, 11, 4, 5, 30, tzinfo=UTC).timestamp()
    between = [(one + other) / 2 for one, other in pairwise(on_ticks)]
    for instant in (*on_ticks, *between, over_new_year, when_clocks_go_back):
        for stock, remembered in (
            (cron_string_iterator, window_memory.ticks_from),
            (reverse_cron_string_iterator, window_memory.ticks_to),
        ):
            expected = list(islice(stock(instant, cron, zone), 12))
            found = list(islice(remembered(instant, cron, zone), 12))
            assert [(tick, tick.tzinfo, tick.fold) for tick in found] == [
                (tick, tick.tzinfo, tick.fold) for tick in expected
            ]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("offset", [-100, -1, 0, 1, 100])
def test_moves_are_those_that_dagster_computes(zone: str, offset: int) -> None:
    folds = dg.TimeWindowPartitionsDefinition(
        start="2014-04-01", fmt="%Y-%m-%d", cron_schedule=FOLD_CRON, timezone=zone
    )
    for month in (1, 4, 7):
        moment = datetime(2018, month, 1, tzinfo=ZoneInfo(zone))
        expected = window_memory.STOCK_MOVE(folds, moment, offset)
        for _ in range(2):
            found = time_window._offsetted_datetime(folds, moment, offset)
            assert (found, found.tzinfo) == (expected, expected.tzinfo)


def test_equal_moments_of_different_zones_are_kept_apart() -> None:
    for zone in ("UTC", "America/New_York"):
        folds = dg.TimeWindowPartitionsDefinition(
            start="2014-04-01", fmt="%Y-%m-%d", cron_schedule=FOLD_CRON, timezone=zone
        )
        for moment in (datetime(2018, 4, 1, 4, tzinfo=UTC), datetime(2018, 4, 1, tzinfo=NEW_YORK)):
            found = time_window._offsetted_datetime(folds, moment, 0)
            assert found.tzinfo is moment.tzinfo


def test_an_hour_that_the_clock_shows_twice_is_two_hours() -> None:
    hours = dg.HourlyPartitionsDefinition("2018-01-01-00:00", timezone="America/New_York")
    first = datetime(2018, 11, 4, 1, tzinfo=NEW_YORK)
    for moment in (first, first.replace(fold=1)):
        found = time_window._offsetted_datetime(hours, moment, 1)
        assert found.timestamp() == moment.timestamp() + timedelta(hours=1).total_seconds()


def test_folds_of_years_of_days_are_found_quickly() -> None:
    partitions = build_partitions(load_cities(TEST_CITIES))
    keys = [key for key in partitions.city_date.get_partition_keys() if key.startswith("washington_dc")]

    def folds_of(number: int) -> tuple[list[str], float]:
        days = partitions.city_date.subset_with_partition_keys(keys[:number])
        started = time.process_time()
        folds = DAYS_BEFORE_CUTOFF.get_downstream_partitions_for_partitions(
            days, partitions.city_date, partitions.city_fold
        )
        return sorted(folds.get_partition_keys()), time.process_time() - started

    folds, _ = folds_of(1)
    assert folds[0] == "washington_dc|2014-04-01"
    many, seconds = folds_of(1_826)
    assert many == folds
    # Less than one where ticks and moves are remembered; eight where only moves are, and minutes where neither is.
    assert seconds < 4
