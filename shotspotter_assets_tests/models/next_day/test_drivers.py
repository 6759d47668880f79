import numpy as np

from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import is_same_for_all_cells, next_day_inputs
from shotspotter_assets.models.next_day.drivers import main_drivers
from shotspotter_assets_tests.models.histories import CITY, COVERED, FIRST_DAY


def history(evening: bool = False) -> History:
    counts = np.zeros((200, 4, *COVERED.shape), dtype=np.int64)
    counts[::2, 0, 1, 1] = 1
    return History(CITY, FIRST_DAY, counts, COVERED, np.zeros((200, *COVERED.shape)) if evening else None)


def test_drivers_are_what_is_unlike_the_average_cell() -> None:
    inputs = next_day_inputs(history(), [200])
    name = "log_occupied_inf_days_0_cells"
    drivers = main_drivers(inputs, np.array([1.0 if other == name else 0.0 for other in inputs.names]))
    loud = [tuple(cell) for cell in np.argwhere(COVERED)].index((1, 1))
    values = inputs.values[0, :, inputs.names.index(name)]
    factor = np.exp(values[loud] - values.mean())
    assert drivers[loud] == (f"alerts here over the years (odds x{factor:.1f})",)
    assert all(phrases == () for cell, phrases in enumerate(drivers) if cell != loud)


def test_every_input_that_cells_differ_in_has_words() -> None:
    inputs = next_day_inputs(history(evening=True), [200])
    for at, name in enumerate(inputs.names):
        difference = inputs.values[0, :, at] - inputs.values[0, :, at].mean()
        if is_same_for_all_cells(name) or not difference.any():
            continue
        # One cell whose odds this input alone lifts.
        slopes = np.zeros(len(inputs.names))
        slopes[at] = 1 / difference[np.abs(difference).argmax()]
        assert any(main_drivers(inputs, slopes)), name
