"""The tables of one forecast, and main drivers."""

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import is_same_for_all_cells, next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import FittedRegimeRegression
from shotspotter_assets.serving.risk_forecasts import RISK_SCHEMA, drivers_of, risk_table
from shotspotter_assets_tests.serving.town import SOME_CELLS, TOWN

CELLS = int(SOME_CELLS.sum())
COUNTS = AlertCounts((0.0, 0.0), 0.3, (0.0, 0.0), 0.1)


def next_day(probability: np.ndarray) -> pa.Table:
    ends = (np.full(CELLS, -6.0), np.full(CELLS, 1.0))
    return risk_table(
        "day", np.datetime64("2024-03-10T05", "us"), 23, SOME_CELLS, probability, ends, COUNTS, False, None
    )


def test_a_horizon_has_a_row_per_cell_with_counts() -> None:
    p = np.linspace(0.01, 0.6, CELLS)
    table = next_day(p)
    assert table.schema == RISK_SCHEMA
    np.testing.assert_array_equal(table["probability"].to_numpy(), p)
    assert table["low"][0].as_py() == pytest.approx(1 / (1 + np.exp(6)))
    np.testing.assert_allclose(table["expected"].to_numpy(), COUNTS.expected(p, np.zeros(CELLS, dtype=bool)))
    # Two of ten such days have no more than the first count, eight no more than the second.
    assert table["count_low"].to_numpy().max() == 0
    assert table["count_high"].to_numpy()[p > 0.2].min() >= 1
    assert table["type_0"].null_count == CELLS


def test_drivers_say_what_is_unlike_the_average_cell() -> None:
    counts = np.zeros((200, 4, 4, 4), dtype=np.int64)
    counts[::2, 0, 1, 1] = 1
    history = History(TOWN, TOWN.start, counts, SOME_CELLS)
    names = next_day_inputs(history, [200]).names
    weights = np.array([1.0 if name == "log_occupied_inf_days_0_cells" else 0.0 for name in names])
    linear = FittedRegimeRegression(names, weights, 0.0, np.zeros(len(names)), np.ones(len(names)), {})
    found = drivers_of(linear, history)
    busy = [tuple(cell) for cell in np.argwhere(SOME_CELLS)].index((1, 1))
    values = next_day_inputs(history, [200]).values[0, :, names.index("log_occupied_inf_days_0_cells")]
    factor = np.exp(values[busy] - values.mean())
    assert found[busy] == (f"alerts here over the years (odds x{factor:.1f})",)
    assert all(of == () for at, of in enumerate(found) if at != busy)


def test_every_input_that_cells_differ_in_has_words() -> None:
    counts = np.zeros((200, 4, 4, 4), dtype=np.int64)
    counts[::2, 0, 1, 1] = 1
    history = History(TOWN, TOWN.start, counts, SOME_CELLS, np.zeros((200, 4, 4)))
    inputs = next_day_inputs(history, [200])
    for at, name in enumerate(inputs.names):
        if is_same_for_all_cells(name):
            continue
        # One cell whose odds this input alone lifts.
        weights = np.zeros(len(inputs.names))
        spread = inputs.values[0, :, at] - inputs.values[0, :, at].mean()
        if not spread.any():
            continue
        weights[at] = 1 / spread[np.abs(spread).argmax()]
        linear = FittedRegimeRegression(inputs.names, weights, 0.0, np.zeros(len(weights)), np.ones(len(weights)), {})
        assert any(drivers_of(linear, history)), name
