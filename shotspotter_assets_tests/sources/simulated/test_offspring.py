"""Offspring of the simulated city: drawn lags and steps against their closed form."""

from datetime import date

import numpy as np
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.simulated.background import HOUR
from shotspotter_assets.sources.simulated.offspring import MAX_LAG, MEAN_LAG, draw_lags, draw_steps, share_heard

DRAWS = 400_000
CITY = City.model_validate(
    {
        "name": "simulated_city",
        "time_zone": "America/New_York",
        "start": date(2015, 1, 1),
        # 3 x 4 cells, 500 m high and 350 m wide
        "box": {"west": -77.0, "south": 38.9, "east": -76.98384, "north": 38.913475},
        "grid": {"rows": 3, "columns": 4},
        "source": {"kind": "simulated"},
    }
)


def test_lags_are_exponential_up_to_the_cut() -> None:
    lags = draw_lags(np.random.default_rng(1), DRAWS)
    assert 0 <= lags.min() <= lags.max() < MAX_LAG
    for hours in (1, 5, 12, 24, 40):
        share = float(np.expm1(-hours * HOUR / MEAN_LAG) / np.expm1(-MAX_LAG / MEAN_LAG))
        assert (lags < hours * HOUR).mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / DRAWS))


def test_the_share_heard_is_that_of_drawn_steps() -> None:
    sensors = np.ones((3, 4), bool)
    sensors[1, 2] = False
    parents = np.zeros((3, 4))
    parents[1, 1], parents[2, 3] = 0.75, 0.25
    random = np.random.default_rng(3)
    is_first = random.random(DRAWS) < 0.75
    row_step, column_step = draw_steps(random, DRAWS, CITY)
    assert np.abs(row_step).max() <= 3 * 200 / 500 + 1e-6
    row = np.where(is_first, 1, 2) + random.random(DRAWS) + row_step
    column = np.where(is_first, 1, 3) + random.random(DRAWS) + column_step
    heard = (row >= 0) & (row < 3) & (column >= 0) & (column < 4)
    heard[heard] = sensors[row[heard].astype(int), column[heard].astype(int)]
    assert share_heard(CITY, sensors, parents) == pytest.approx(heard.mean(), abs=4 * 0.5 / np.sqrt(DRAWS))
