import numpy as np
import pytest

from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import next_day_inputs
from shotspotter_assets.models.training_windows import after_warm_up, split_days
from shotspotter_assets_tests.models.histories import CITY, COVERED, changed, history


def test_arrays_that_do_not_fit_are_refused():
    first_day, counts = history(30).first_day, history(30).counts
    with pytest.raises(ValueError, match="coverage"):
        History(CITY, first_day, counts, COVERED[:3])
    with pytest.raises(ValueError, match="0 cells"):
        History(CITY, first_day, counts, np.zeros_like(COVERED))


def test_a_history_ends_with_its_window():
    short = history().through(100)
    assert len(short.counts) == len(short.evening) == len(short.days()) == 100
    whole = history()
    assert whole.through(290) is whole


def test_inputs_of_the_same_days_are_made_once_for_each_history():
    one = history(60)
    assert next_day_inputs(one, [60]) is next_day_inputs(one, np.array([60]))
    assert next_day_inputs(one, [59]) is not next_day_inputs(one, [60])
    other = changed(one, 30)
    assert not np.array_equal(next_day_inputs(other, [60]).values, next_day_inputs(one, [60]).values)


def test_the_last_days_before_the_cutoff_are_for_validation():
    assert split_days(400, 60, 16) == (range(340), range(340, 400))
    with pytest.raises(ValueError, match="60 days before the cutoff give 51 days to train and 9 to validate"):
        split_days(60, 9, 16)


def test_the_first_days_of_all_history_are_left_out_but_for_half_of_them():
    assert after_warm_up(range(400), 60) == range(60, 400)
    assert after_warm_up(range(100, 400), 60) == range(100, 400)
    assert after_warm_up(range(80), 60) == range(40, 80)
