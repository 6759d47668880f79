from datetime import date

import numpy as np
import pandas as pd
import pytest

from shotspotter_assets.quality.quarters import level_change
from shotspotter_assets_tests.quality.sound_city import city_of, firing, local_day, sound

ROWS = sound(seed=4)
BEFORE = local_day(ROWS) < date(2024, 3, 1)


@pytest.mark.parametrize(
    ("check", "missing", "says", "also"),
    [
        ("level_change", BEFORE & (np.arange(len(ROWS)) % 5 > 0), "the quarter to 2024-12-31", set()),
        ("new_area", BEFORE & (ROWS["longitude"] >= -76.9), "cells without one in the year before", {"level_change"}),
    ],
)
def test_a_changed_level_and_a_grown_area_are_found(check: str, missing: pd.Series, says: str, also: set[str]) -> None:
    found = firing(ROWS[~missing])
    assert says in found[check].message
    assert set(found) <= {check, "unusual_days", *also}, "the first days of a new level are unusual"


@pytest.mark.parametrize("gap", [(date(2023, 1, 1), date(2023, 6, 30)), (date(2023, 4, 10), date(2023, 8, 1))])
def test_a_gap_of_the_year_before_is_no_change_of_the_level(gap: tuple[date, date]) -> None:
    rows = sound(seed=3)
    city = city_of(rows[~local_day(rows).between(*gap)])
    for day in (date(2024, 4, 29), date(2024, 6, 10), date(2024, 9, 16), date(2024, 11, 25)):
        assert level_change(city.window([day])).passed, day
