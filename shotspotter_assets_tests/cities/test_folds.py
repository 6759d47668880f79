from datetime import date

import pytest

from shotspotter_assets.cities.folds import Folds

CUTOFF, START = date(2020, 1, 1), date(2014, 1, 1)


@pytest.mark.parametrize(
    ("windows", "first", "validation_days"),
    [
        ({}, date(2019, 10, 3), 329),
        ({"validation": "1y"}, date(2018, 10, 3), 365),
        ({"train": "5y", "validation": "1y"}, START, 365),
        # 1,095 days to train on are 85% of 1,288.
        ({"train": "3y"}, date(2016, 6, 22), 193),
    ],
)
def test_windows_before_the_cutoff(windows: dict[str, str], first: date, validation_days: int) -> None:
    folds = Folds(**windows)
    assert folds.first_day(CUTOFF) == first
    days = (CUTOFF - (START if folds.train == "all" else first)).days
    assert folds.validation_days(CUTOFF, days) == validation_days
    assert folds.problem(START, CUTOFF) == ""


def test_the_first_cutoff_has_its_windows_before_it() -> None:
    assert Folds(every="year", train="5y", validation="1y").first_cutoff(START) == CUTOFF
    # 90 days to train on, then a year.
    assert Folds(validation="1y").first_cutoff(START) == date(2015, 4, 1)
    assert Folds().first_cutoff(START) == date(2014, 4, 1)


def test_windows_longer_than_the_history_are_named_with_what_is_allowed() -> None:
    assert Folds(train="5y", validation="1y").problem(START, date(2018, 1, 1)) == (
        "folds.train (5y) and folds.validation (1y) before 2018-01-01 need data from 2012-01-01 on, and the city's start is "
        "2014-01-01 (allowed: 4.0 years together, or train: all)"
    )


def test_a_run_changes_only_the_windows_that_it_names() -> None:
    folds = Folds(every="year", train="5y")
    assert folds.changed({"train": "", "validation": "1y"}) == Folds(every="year", train="5y", validation="1y")
    with pytest.raises(ValueError, match=r"^folds.train: write all, or years such as 5y$"):
        folds.changed({"train": "70%"})


def test_windows_of_a_cutoff_on_29_february() -> None:
    folds, cutoff = Folds(train="5y", validation="1y", test="1y"), date(2020, 2, 29)
    assert folds.first_day(cutoff) == date(2014, 3, 1)
    assert folds.last_test_day(cutoff) == date(2021, 2, 28)
    assert folds.validation_days(cutoff, 2000) == 365
