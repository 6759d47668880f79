"""Remembered windows are the computed ones, and remembering is what makes a long backfill's launch quick."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.dagster_patches import window_memory
from shotspotter_assets.dagster_patches.window_memory import remember_windows
from shotspotter_assets.partitions import DAYS_BEFORE_CUTOFF, FOLD_CRON, build_partitions
from shotspotter_assets_tests.conftest import TEST_CITIES


@pytest.fixture(autouse=True)
def remembering() -> None:
    remember_windows()
    remember_windows()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("name", ["get_next_partition_window", "get_prev_partition_window"])
@pytest.mark.parametrize("bounded", [False, True])
def test_windows_are_those_that_dagster_computes(zone: str, name: str, bounded: bool) -> None:
    folds = dg.TimeWindowPartitionsDefinition(
        start="2014-04-01", fmt="%Y-%m-%d", cron_schedule=FOLD_CRON, timezone=zone
    )
    moment = datetime(2018, 5, 17, tzinfo=ZoneInfo(zone))
    for _ in range(8):
        expected = window_memory._computed[name](folds, moment, respect_bounds=bounded)
        for _ in range(2):
            assert getattr(folds, name)(moment, respect_bounds=bounded) == expected
        assert str(expected.start.tzinfo) == zone
        moment = expected.start if name == "get_prev_partition_window" else expected.end


def test_equal_moments_of_different_zones_are_kept_apart() -> None:
    moment = datetime(2018, 4, 1, 4, tzinfo=UTC)
    for zone in ("UTC", "America/New_York"):
        folds = dg.TimeWindowPartitionsDefinition(
            start="2014-04-01", fmt="%Y-%m-%d", cron_schedule=FOLD_CRON, timezone=zone
        )
        window = folds.get_next_partition_window(moment, respect_bounds=False)
        assert window == window_memory._computed["get_next_partition_window"](folds, moment, respect_bounds=False)


def test_folds_of_many_days_are_found_quickly() -> None:
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
    few, seconds = folds_of(200)
    assert few == folds
    # Stepping through the schedule anew for each day takes half a minute for these 200.
    assert seconds < 5


def test_the_instance_brings_it_into_every_dagster_process() -> None:
    code = (
        "import shotspotter_assets.dagster_patches.sqlite_event_log, dagster as dg;"
        "print(dg.TimeWindowPartitionsDefinition.get_next_partition_window.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "shotspotter_assets.dagster_patches.window_memory"
