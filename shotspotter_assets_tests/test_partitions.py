"""The partition dimensions and the windows that the mappings show."""

from datetime import date, timedelta

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.partitions import (
    DAYS_BEFORE_CUTOFF,
    DAYS_TO_NEXT_CUTOFF,
    SAME_FOLD,
    build_partitions,
    fold_days,
    next_cutoff,
)
from shotspotter_assets_tests.conftest import TEST_CITIES

CITIES = load_cities(TEST_CITIES)
PARTITIONS = build_partitions(CITIES)


def upstream(
    mapping: dg.PartitionMapping, downstream: dg.PartitionsDefinition, key: str, of: dg.PartitionsDefinition
) -> list[str]:
    subset = downstream.subset_with_partition_keys([key])
    return sorted(
        mapping.get_upstream_mapped_partitions_result_for_partitions(
            subset, downstream, of
        ).partitions_subset.get_partition_keys()
    )


def test_keys_read_city_then_day() -> None:
    keys = PARTITIONS.city_date.get_partition_keys()
    assert "washington_dc|2018-05-01" in keys
    assert min(keys) == f"{min(CITIES)}|2014-01-01"


def test_a_fold_is_made_from_all_days_before_its_cutoff() -> None:
    days = upstream(DAYS_BEFORE_CUTOFF, PARTITIONS.city_fold, "washington_dc|2018-01-01", PARTITIONS.city_date)
    assert days == [f"washington_dc|{day}" for day in days_between(date(2014, 1, 1), date(2017, 12, 31))]


def test_a_report_is_made_from_the_days_to_the_next_cutoff_and_from_its_own_fold() -> None:
    report = "washington_dc|2018-10-01"
    days = upstream(DAYS_TO_NEXT_CUTOFF, PARTITIONS.city_tested_fold, report, PARTITIONS.city_date)
    assert (days[0], days[-1], len(days)) == ("washington_dc|2014-01-01", "washington_dc|2018-12-31", 1826)
    assert upstream(SAME_FOLD, PARTITIONS.city_tested_fold, report, PARTITIONS.city_fold) == [report]


def test_a_fold_can_be_trained_before_its_test_window_is_over() -> None:
    trainable, tested = (set(part.get_partition_keys()) for part in (PARTITIONS.city_fold, PARTITIONS.city_tested_fold))
    assert tested < trainable
    assert len(trainable - tested) == len(CITIES)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_next_cutoff_is_the_first_day_of_the_next_quarter(day: date) -> None:
    cutoff = next_cutoff(day)
    assert cutoff > day
    assert cutoff.day == 1
    assert cutoff.month in (1, 4, 7, 10)
    assert cutoff - day <= timedelta(days=92)


def test_fold_days_meet_at_the_cutoff() -> None:
    before, test = fold_days(CITIES["washington_dc"], date(2018, 4, 1))
    assert (before[0], before[-1], test[0], test[-1]) == (
        date(2014, 1, 1), date(2018, 3, 31), date(2018, 4, 1), date(2018, 6, 30),
    )  # fmt: skip
    assert (len(before), len(test)) == (1551, 91)


def test_a_range_across_two_cities_is_silently_empty_in_dagster() -> None:
    # The reason why runs are grouped by city: an upgrade that changes this may simplify that.
    first, second = list(CITIES)[:2]
    days = PARTITIONS.city_date.get_partition_keys_in_range(
        dg.PartitionKeyRange(f"{second}|2014-01-01", f"{first}|2014-01-02")
    )
    assert days == []


@pytest.mark.parametrize("definition", [PARTITIONS.city_date, PARTITIONS.city_fold, PARTITIONS.city_tested_fold])
def test_dimensions_do_not_depend_on_the_present_day(definition: dg.MultiPartitionsDefinition) -> None:
    time_window = definition.time_window_dimension.partitions_def
    assert isinstance(time_window, dg.TimeWindowPartitionsDefinition)
    assert time_window.start.date().isoformat() in ("2014-01-01", "2014-04-01")
