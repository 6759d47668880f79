from datetime import date, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dagster._core.test_utils import freeze_time

from shotspotter_assets.cities.folds import Folds
from shotspotter_assets.cities.local_time import contiguous
from shotspotter_assets.defs import partitions
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets_tests.defs.chain import CITIES

TINY = CITIES["tiny_city"]


@pytest.mark.parametrize(("moment", "last"), [("2024-03-05T23:59", "2024-03-04"), ("2024-03-06T00:01", "2024-03-05")])
def test_a_day_exists_once_it_is_over_in_the_city(moment: str, last: str) -> None:
    zone = "America/Los_Angeles"
    city = TINY.model_copy(update={"time_zone": zone})
    with freeze_time(datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))):
        assert partitions.day_partitions(city).get_last_partition_key() == last


def test_issue_dates_begin_with_the_first_forecast() -> None:
    later = TINY.model_copy(update={"first_forecast": date(2024, 3, 1), "end": date(2024, 3, 3)})
    assert partitions.issue_dates(later).get_partition_keys() == ["2024-03-01", "2024-03-02", "2024-03-03"]
    assert partitions.day_partitions(later).get_first_partition_key() == str(TINY.start)
    assert partitions.issue_dates(TINY).start == partitions.day_partitions(TINY).start


@pytest.mark.parametrize(
    ("moment", "last"),
    [("2024-03-05T23:59", "2024-03-05"), ("2024-03-10T00:01", "2024-03-10"), ("2024-11-03T23:59", "2024-11-03")],
)
def test_an_issue_date_exists_once_it_has_begun(moment: str, last: str) -> None:
    with freeze_time(datetime.fromisoformat(moment).replace(tzinfo=TINY.zone)):
        assert partitions.issue_dates(TINY).get_last_partition_key() == last
        ended = TINY.model_copy(update={"end": date(2024, 3, 3)})
        assert partitions.issue_dates(ended).get_last_partition_key() == "2024-03-03"


def test_days_and_folds_end_with_the_citys_service() -> None:
    city = TINY.model_copy(update={"end": date(2024, 3, 15)})
    assert partitions.day_partitions(city).get_partition_keys()[-1] == "2024-03-15"
    assert partitions.fold_partitions(city, tested=True).get_partition_keys() == ["2023-10-01", "2024-01-01"]
    assert city.last_test_day(date(2024, 1, 1)) == date(2024, 3, 15)


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("month", ["2024-01-01", "2024-02-01", "2024-03-01"]),
        ("quarter", ["2024-01-01", "2024-04-01", "2024-07-01"]),
        ("half_year", ["2024-01-01", "2024-07-01", "2025-01-01"]),
        ("year", ["2024-01-01", "2025-01-01", "2026-01-01"]),
    ],
)
def test_folds_follow_the_citys_cadence(every: str, expected: list[str]) -> None:
    folds = Folds.model_validate({"every": every})
    city = TINY.model_copy(update={"folds": folds, "start": date(2023, 9, 3)})
    assert partitions.fold_partitions(city).get_partition_keys()[:3] == expected
    assert [str(folds.next_cutoff(date.fromisoformat(cutoff))) for cutoff in expected[:2]] == expected[1:]


def test_the_newest_fold_can_be_trained_before_its_test_window_is_over() -> None:
    with freeze_time(datetime(2024, 4, 2, tzinfo=ZoneInfo("America/New_York"))):
        cutoffs = [str(day) for day in TINY.cutoffs(date(2024, 3, 31))]
        assert partitions.fold_partitions(TINY).get_partition_keys() == cutoffs
        assert cutoffs[-1] == "2024-04-01"
        assert partitions.fold_partitions(TINY, tested=True).get_last_partition_key() == "2024-01-01"


def test_tested_folds_wait_for_a_year_of_test_days() -> None:
    folds = Folds(test="1y")
    city = TINY.model_copy(update={"folds": folds})
    with freeze_time(datetime(2024, 10, 2, tzinfo=ZoneInfo("America/New_York"))):
        tested = partitions.fold_partitions(city, tested=True)
        days = partitions.day_partitions(city)
        assert tested.get_partition_keys() == ["2023-10-01"]
        fold = tested.subset_with_partition_keys(["2023-10-01"])
        mapping = partitions.mapping_of(city, Asset.EVALUATION_REPORTS, Asset.GRID_TENSORS)
        mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(fold, tested, days)
        keys = sorted(mapped.partitions_subset.get_partition_keys())
    assert (keys[0], keys[-1]) == ("2023-10-01", "2024-09-30")
    assert folds.last_test_day(date(2023, 10, 1)) == date(2024, 9, 30)


def test_days_are_split_into_contiguous_stretches() -> None:
    days = [date(2024, 3, day) for day in (5, 1, 2, 7, 6)]
    assert [(stretch[0].day, stretch[-1].day) for stretch in contiguous(days)] == [(1, 2), (5, 7)]


def test_a_run_with_fewer_days_than_its_tags_name_is_refused() -> None:
    tags = partitions.range_tags(date(2024, 3, 1), date(2024, 3, 3))
    context: Any = SimpleNamespace(partition_keys=["2024-03-01"], run=SimpleNamespace(tags=tags))
    with pytest.raises(ValueError, match="2024-03-01 to 2024-03-03"):
        partitions.run_days(context, TINY)


def test_years_end_with_the_present_one_or_with_the_service() -> None:
    with freeze_time(datetime(2025, 1, 1, 0, 1, tzinfo=TINY.zone)):
        assert partitions.year_partitions(TINY).get_partition_keys() == ["2023-01-01", "2024-01-01", "2025-01-01"]
        ended = TINY.model_copy(update={"end": date(2024, 3, 3)})
        assert partitions.year_partitions(ended).get_partition_keys() == ["2023-01-01", "2024-01-01"]
