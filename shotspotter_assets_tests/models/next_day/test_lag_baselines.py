from datetime import date

import numpy as np
import pytest

from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.lag_baselines import MIN_RATE, lag_features
from shotspotter_assets_tests.models.histories import CITY


def test_values_by_hand():
    alerts = np.zeros((400, 4, 1, 2), dtype=np.uint16)
    alerts[3, 0, 0, 0] = 4  # 4 July
    alerts[3, 3, 0, 0] = 1
    alerts[3:5, 1, 0, 1] = 1  # 4 and 5 July
    first = date(2021, 7, 1)
    features = lag_features(History(CITY, first, alerts, np.ones((1, 2), dtype=bool)), range(401))

    def value(day: int, cell: int, name: str) -> float:
        value = float(features.values[day, cell, features.names.index(name)])
        return np.exp(value) - (0 if "since" in name else MIN_RATE) if name.startswith("log") else value

    assert len(set(features.names)) == len(features.names) == features.values.shape[2]
    assert value(4, 0, "log_occupied_inf_days_0_cells") == pytest.approx(1 / 4)
    assert value(4, 0, "log_alerts_inf_days") == pytest.approx(3 / 4)  # five alerts count as three
    assert [value(day, 0, "alerts_yesterday") for day in (4, 5)] == [3, 0]
    assert [value(day, 0, "log_days_since_last_alert") for day in (3, 4, 13)] == pytest.approx([730, 1, 10])
    # Both alerts fell on firework days, so the level of ordinary days is 0.
    assert value(10, 0, "log_city_7_days") == pytest.approx(0, abs=1e-6)
    assert [value(day, 0, "is_firework_day") for day in range(6)] == [0, 0, 1, 1, 1, 0]
    a_year_later = [(date(2022, 7, day) - first).days for day in (3, 4, 5, 6)]
    last_year = [value(day, 0, "log_city_last_year_on_firework_day") for day in a_year_later]
    assert last_year == pytest.approx([0, 1, 0.5, 0], abs=1e-6)
    past = [value(day, 0, "log_occupied_on_past_firework_days") for day in (a_year_later[0], a_year_later[3])]
    assert past[0] > 0
    assert past[1] == pytest.approx(0, abs=1e-6)
