import pytest

from shotspotter_assets.models.training_windows import after_warm_up, split_days


def test_the_last_days_before_the_cutoff_are_for_validation():
    assert split_days(400, 60, 16) == (range(340), range(340, 400))
    with pytest.raises(ValueError, match="60 days before the cutoff give 51 days to train and 9 to validate"):
        split_days(60, 9, 16)


def test_the_first_days_of_all_history_are_left_out_but_for_half_of_them():
    assert after_warm_up(range(400), 60) == range(60, 400)
    assert after_warm_up(range(100, 400), 60) == range(100, 400)
    assert after_warm_up(range(80), 60) == range(40, 80)
