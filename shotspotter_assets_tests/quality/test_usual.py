from datetime import date

import numpy as np
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.quality.usual import special_days, usual_volume
from shotspotter_assets_tests.quality.sound_city import CITY, FIRST, LAST


def test_holidays_are_expected_to_be_unusual() -> None:
    days = days_between(FIRST, LAST)
    counts = dict.fromkeys(days, 10)
    special = special_days(days, "US")
    named = {day for day, holiday in zip(days, special, strict=True) if holiday}
    assert {date(2024, 7, 4), date(2024, 1, 1), date(2024, 11, 28), date(2024, 7, 6)} <= named
    assert date(2024, 3, 9) not in named
    assert np.nanmax(usual_volume(counts, days, CITY).mean) == pytest.approx(10)


@pytest.mark.parametrize(("per_day", "is_missing"), [(10, True), (1, True), (0.2, False)])
def test_early_silences_are_judged_by_the_days_after_them(per_day: float, is_missing: bool) -> None:
    days = days_between(FIRST, LAST)
    number = np.random.default_rng(0).poisson(per_day, len(days))
    number[-1] = 1
    for start, stop in ((0, 25), (40, 65)):
        number[start:stop] = 0
    usual = usual_volume(dict(zip(days, number.tolist(), strict=True)), days, CITY)
    missing = usual.all_silences()
    assert missing[:25].all() == is_missing
    assert missing[40:65].all() == is_missing
    assert not missing[66:].any()
