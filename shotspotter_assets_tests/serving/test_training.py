from datetime import date, timedelta

import numpy as np
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs, next_day_inputs
from shotspotter_assets.serving.training import live_windows
from shotspotter_assets_tests.serving.town import TOWN


def test_the_last_days_validate() -> None:
    def windows(days: int) -> tuple[range, range]:
        windows = live_windows(days_between(TOWN.start, TOWN.start + timedelta(days=days - 1)), 91)
        return windows.train, windows.validation

    assert windows(1000) == (range(909), range(909, 1000))
    assert windows(150) == (range(100), range(100, 150))
    assert live_windows(days_between(TOWN.start, date(2024, 4, 29)), 91).validation_first == TOWN.start + timedelta(
        days=80
    )


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("forecast", [(), ("robbery",)])
def test_names_of_inputs_follow_from_the_city_alone(late: bool, forecast: tuple[str, ...]) -> None:
    kinds = {"robbery": ("robbery",), "calls": ("shots fired",)}
    changes = {"event_types": kinds, "forecast": forecast, "time_precision": "second" if late else "day"}
    town = TOWN.model_copy(update=changes)
    counts = np.random.default_rng(0).poisson(0.1, (30, 6, *town.shape))
    hours = np.ones((30, *town.shape)) if late else None
    history = History(town, town.start, counts, np.eye(4, dtype=bool), hours)
    made = next_day_inputs(history, range(10, 20)).names
    assert names_of_inputs(town) == made
    assert "log_nearby_calls_30_days" in made
    assert made != names_of_inputs(TOWN)
