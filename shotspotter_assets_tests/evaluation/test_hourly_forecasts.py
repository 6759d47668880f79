from datetime import date, datetime

import numpy as np
import pytest

from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.hourly_forecasts import hour_forecasts, type_forecasts
from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, type_rows
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets_tests.models.hours import COVERED, TEST, TRAIN, VALIDATION, counts, history, stored


def test_blocks_of_hours_and_what_came() -> None:
    context = FitContext(horizons=(2, 4))
    hourly = {
        name: forecaster(name).fit(history(), TRAIN, VALIDATION, context) for name in ("hourly_stack", "climatology")
    }
    table = hour_forecasts(history(), hourly, TEST, [4, 2])
    cells = int(COVERED.sum())
    of_four = table.filter([horizon == 4 for horizon in table["horizon"].to_pylist()])
    assert len(of_four) == 40 * 6 * cells
    assert len(table) == 40 * (6 + 12) * cells
    assert set(of_four["hour"].to_pylist()) == {0, 4, 8, 12, 16, 20}
    assert of_four["date"][0].as_py() == date(2021, 11, 17)
    first = history().hour_at(datetime.fromisoformat("2021-11-17T05:00:00+00:00"))
    came = counts()[first : first + 4].sum(axis=(0, 1))[COVERED] > 0
    np.testing.assert_array_equal(of_four["observed"].to_numpy()[:cells].astype(bool), came)
    assert table["self_exciting"].null_count == 0
    assert table_gain(of_four, "next_hours", "climatology").low > 0
    with pytest.raises(ValueError, match=r"horizons of \(1, 2, 4\) hours, not \[3\]"):
        hour_forecasts(history(), hourly, TEST, [3])


def test_types_of_the_alerts_that_came() -> None:
    types = GunshotTypes.fit(history(), TRAIN, VALIDATION)
    forecasts = type_forecasts(types, {}, history(), stored(counts()).daily(COVERED), TEST)
    assert len(forecasts) == counts()[TEST.start : TEST.stop, :3][:, :, COVERED].sum()
    for name in ("type_regression", "trailing_mix"):
        total = sum(forecasts[f"{name}_{code}"].to_numpy() for code in range(3))
        np.testing.assert_allclose(total, 1)
    # Types differ by place, which the recent mix of the whole city does not know.
    assert ScoreTable(type_rows([forecasts])).gain("trailing_mix", "type_regression", TYPES).low > 0
