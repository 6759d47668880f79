"""The partition dimensions, their keys, the keys of a run, and the windows that the mappings show."""

from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.registry import UnknownCityError, load_cities
from shotspotter_assets.partitions import (
    DAYS_BEFORE_CUTOFF,
    DAYS_TO_NEXT_CUTOFF,
    RANGE_END,
    RANGE_START,
    SAME_FOLD,
    WEEK_BEFORE,
    BeforeStartError,
    IncompleteRunError,
    build_partitions,
    date_ranges,
    fold_days,
    key_of,
    next_cutoff,
    parse_key,
    parse_range_tags,
    range_tags,
    refuse_part_of_a_range,
    single_day,
    single_fold,
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


def run_of(*keys: str, **tags: str) -> Any:
    """What `date_ranges` and the like read of a run's context."""
    return SimpleNamespace(run=SimpleNamespace(tags=tags), partition_keys=list(keys), partition_key=keys[0])


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


def test_a_week_of_all_cities_shows_the_days_before_it_of_each() -> None:
    days = upstream(WEEK_BEFORE, PARTITIONS.weeks, "all-cities|2018-01-08", PARTITIONS.city_date)
    week = days_between(date(2018, 1, 1), date(2018, 1, 7))
    assert days == sorted(f"{name}|{day}" for name in CITIES for day in week)
    assert {date.fromisoformat(key.split("|")[1]).weekday() for key in PARTITIONS.weeks.get_partition_keys()} == {0}


def test_a_fold_can_be_trained_before_its_test_window_is_over() -> None:
    trainable, tested = (set(part.get_partition_keys()) for part in (PARTITIONS.city_fold, PARTITIONS.city_tested_fold))
    assert tested < trainable
    assert len(trainable - tested) == len(CITIES)


def test_a_key_and_the_tags_of_a_range_are_read_as_they_are_written() -> None:
    assert key_of("tiny_city", date(2024, 3, 1)) == "tiny_city|2024-03-01"
    assert parse_key("tiny_city|2024-03-01") == ("tiny_city", date(2024, 3, 1))
    tags = range_tags("tiny_city", date(2024, 3, 1), date(2024, 3, 5))
    assert parse_range_tags(tags) == ("tiny_city", date(2024, 3, 1), date(2024, 3, 5))
    assert parse_range_tags({}) is None
    assert parse_range_tags(tags | {RANGE_END: "landing_city|2024-03-05"}) is None


def test_the_keys_of_a_run_are_ranges_of_each_city_whatever_their_order() -> None:
    days = ["2024-03-05", "2024-03-02", "2024-03-04", "2024-03-01"]
    keys = [f"{city}|{day}" for day in days for city in ("tiny_city", "landing_city")]
    ranges = date_ranges(run_of(*keys), CITIES)
    assert [(found.city.name, found.first.day, found.last.day) for found in ranges] == [
        ("landing_city", 1, 2), ("landing_city", 4, 5), ("tiny_city", 1, 2), ("tiny_city", 4, 5),
    ]  # fmt: skip
    assert [ranges[0].key(day) for day in ranges[0].days] == ["landing_city|2024-03-01", "landing_city|2024-03-02"]


def test_a_run_of_one_day_has_its_city_and_day_and_no_other() -> None:
    city, day = single_day(run_of("tiny_city|2024-03-01"), CITIES)
    assert (city, day) == (CITIES["tiny_city"], date(2024, 3, 1))
    with pytest.raises(ValueError, match="unpack"):
        single_day(run_of("tiny_city|2024-03-01", "tiny_city|2024-03-02"), CITIES)


def test_an_unknown_city_and_a_fold_without_a_day_to_train_on_are_refused() -> None:
    with pytest.raises(UnknownCityError, match="No city 'nowhere'"):
        date_ranges(run_of("nowhere|2024-03-01"), CITIES)
    assert single_fold(run_of("landing_city|2024-04-01"), CITIES) == (CITIES["landing_city"], date(2024, 4, 1))
    with pytest.raises(BeforeStartError, match="has no day to train on, landing_city starts on 2024-03-01"):
        single_fold(run_of("landing_city|2024-01-01"), CITIES)


def test_a_run_with_part_of_its_range_is_refused() -> None:
    # What a job's backfill does (Dagster issue 28861): the tags name a range, the run has its first key only.
    tags = {RANGE_START: "landing_city|2024-03-01", RANGE_END: "landing_city|2024-03-05"}
    with pytest.raises(IncompleteRunError, match=r"5 partitions\) but was given 1"):
        refuse_part_of_a_range(tags, ["landing_city|2024-03-01"])
    refuse_part_of_a_range(tags, [f"landing_city|2024-03-0{day}" for day in range(1, 6)])
    refuse_part_of_a_range({}, ["landing_city|2024-03-01"])


def test_a_range_from_its_last_day_to_its_first_is_refused() -> None:
    tags = {RANGE_START: "landing_city|2024-03-05", RANGE_END: "landing_city|2024-03-01"}
    with pytest.raises(IncompleteRunError, match=r"from landing_city\|2024-03-05 to .*-01: name the first one first"):
        refuse_part_of_a_range(tags, [])


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
