"""Tests of the simulated city's offspring: shares in closed form against drawn lags and steps."""

from datetime import date

import numpy as np
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.simulated.background import HOUR
from shotspotter_assets.sources.simulated.offspring import MAX_LAG, Steps, draw_lags, lag_share

DRAWS = 400_000


def make_steps(sensors: np.ndarray) -> Steps:
    city = City.model_validate(
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
    return Steps(city, sensors)


def test_lags_follow_their_shares() -> None:
    lags = draw_lags(np.random.default_rng(1), DRAWS)
    assert lags.min() >= 0
    assert lags.max() < MAX_LAG
    for hours in (1, 5, 12, 24, 40):
        share = float(lag_share(np.array(hours * HOUR)))
        assert (lags < hours * HOUR).mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / DRAWS))
    np.testing.assert_array_equal(lag_share(np.array([-HOUR, 0, MAX_LAG, 2 * MAX_LAG])), [0, 0, 1, 1])


def test_shares_of_an_alert_are_where_its_offspring_fall() -> None:
    steps = make_steps(np.ones((3, 4), bool))
    row, column = 1.1, 3.4
    by_row, by_column = steps.shares(np.array([row]), np.array([column]))
    share = steps.in_cells(np.outer(by_row, by_column))
    row_step, column_step = steps.draw(np.random.default_rng(2), DRAWS)
    assert np.abs(row_step).max() <= 3 * 200 / 500 + 1e-6
    edges = np.arange(4), np.arange(5)
    found = np.histogram2d(row + row_step, column + column_step, bins=edges)[0] / DRAWS
    assert share.sum() < 0.99  # some are lost beyond the east edge
    np.testing.assert_allclose(found, share, atol=4 * 0.5 / np.sqrt(DRAWS))


def test_stay_back_and_onward_are_what_two_steps_show() -> None:
    sensors = np.ones((3, 4), bool)
    sensors[1, 2] = False
    steps = make_steps(sensors)
    assert steps.stay.shape == (9, 8)  # 3 parts of 167 m, 2 parts of 175 m
    random = np.random.default_rng(3)
    part_row, part_column = 3, 3  # in cell (1, 1), in its south-east part, beside the cell without a sensor
    row = (part_row + random.random(DRAWS)) / 3
    column = (part_column + random.random(DRAWS)) / 2
    start = np.zeros((9, 8))
    start[part_row, part_column] = 1.0

    def step(row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        row_step, column_step = steps.draw(random, len(row))
        row, column = row + row_step, column + column_step
        return row, column, (row >= 0) & (row < 3) & (column >= 0) & (column < 4)

    row, column, inside = step(row, column)
    found = np.histogram2d(row * 3, column * 2, bins=(np.arange(10), np.arange(9)))[0] / DRAWS
    np.testing.assert_allclose(found, steps.onward(start), atol=4 * 0.3 / np.sqrt(DRAWS))
    stayed = inside & (row // 1 == 1) & (column // 1 == 1)
    stay = steps.stay[part_row, part_column]
    assert stayed.mean() == pytest.approx(stay, abs=4 * np.sqrt(stay * (1 - stay) / DRAWS))

    left = inside & ~stayed
    left[left] = sensors[row[left].astype(int), column[left].astype(int)]
    # `back` counts offspring that are anywhere in the parts they fell into, so they are put there.
    row, column = (
        (np.floor(place[left] * cut) + random.random(left.sum())) / cut for place, cut in ((row, 3), (column, 2))
    )
    row, column, inside = step(row, column)
    returned = (inside & (row // 1 == 1) & (column // 1 == 1)).sum() / DRAWS
    back = steps.back[part_row, part_column]
    assert returned == pytest.approx(back, abs=4 * np.sqrt(back / DRAWS))


def test_parts_and_cells_are_inverse() -> None:
    steps = make_steps(np.ones((3, 4), bool))
    cells = np.random.default_rng(4).random((3, 4))
    np.testing.assert_allclose(steps.in_cells(steps.in_parts(cells)), cells)
