from datetime import date

import numpy as np
import pytest

from shotspotter_assets.quality.quarters import level_change
from shotspotter_assets_tests.quality.sound_city import city_of, firing, local_day, sound


def test_a_changed_level_is_found() -> None:
    rows = sound(seed=4)
    found = firing(rows[(local_day(rows) >= date(2024, 3, 1)) | (np.arange(len(rows)) % 5 == 0)])
    assert "the quarter to 2024-12-31" in found["level_change"].message
    assert set(found) <= {"level_change", "unusual_days"}, "the first days of the new level are unusual"


def test_a_grown_area_is_found() -> None:
    rows = sound(seed=4)
    found = firing(rows[(local_day(rows) >= date(2024, 3, 1)) | (rows["longitude"] < -76.9)])
    assert "cells without one in the year before" in found["new_area"].message
    assert set(found) <= {"new_area", "level_change", "unusual_days"}, "a larger area has more alerts"


@pytest.mark.parametrize("gap", [(date(2023, 1, 1), date(2023, 6, 30)), (date(2023, 4, 10), date(2023, 8, 1))])
def test_a_gap_of_the_year_before_is_no_change_of_the_level(gap: tuple[date, date]) -> None:
    rows = sound(seed=3)
    city = city_of(rows[~local_day(rows).between(*gap)])
    for day in (date(2024, 4, 29), date(2024, 6, 10), date(2024, 9, 16), date(2024, 11, 25)):
        assert level_change(city.window([day])).passed, day
