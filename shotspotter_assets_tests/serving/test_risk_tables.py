"""The tables of one forecast."""

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.serving.risk_tables import RISK_SCHEMA, risk_table
from shotspotter_assets_tests.serving.town import SOME_CELLS

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
