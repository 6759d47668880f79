from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.evaluation.forecasts_table import (
    cells_of,
    forecasts_table,
    model_names,
    observed_of,
    periods_of,
    pool_tables,
    without_firework_days,
)
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.hourly_forecasts import hour_forecasts, type_forecasts
from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, type_rows
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.evaluation.forecasts import random_table
from shotspotter_assets_tests.models.hours import COVERED, TEST, TRAIN, VALIDATION, counts, history, stored


def test_keeps_the_models_that_all_folds_have():
    more = {"conv_lstm": np.full(200, 0.1)}
    pooled = pool_tables([random_table(date(2021, 4, 1), 20, 10, **more), random_table(date(2021, 5, 1), 20, 10)])
    assert model_names(pooled) == ["network", "historical_mean"]


def test_refuses_nothing_and_overlapping_folds():
    with pytest.raises(ValueError, match="No forecasts"):
        pool_tables([])
    with pytest.raises(ValueError, match="2021-04-10 is forecast by two"):
        pool_tables([random_table(date(2021, 4, 1), 10, 5), random_table(date(2021, 4, 10), 10, 5)])


def test_leaves_firework_days_out():
    forecasts = random_table(date(2021, 7, 1), 7, 10)
    kept = without_firework_days(forecasts)
    assert [day.day for day in kept["date"].unique().to_pylist()] == [1, 2, 6, 7]
    losses = log_losses(kept["network"].to_numpy(), kept["observed"].to_numpy() == 1)
    assert score_table(kept)["network"]["log_loss"] == pytest.approx(losses.mean())
    assert score_table(forecasts)["network"]["log_loss"] != pytest.approx(losses.mean())
    assert score_table(without_firework_days(random_table(date(2021, 7, 3), 3, 10))) == {}


def test_rows_are_in_the_order_of_periods_and_cells():
    in_coverage = np.array([[False, True], [True, True]])
    days = np.array(["2021-05-01", "2021-05-02"], dtype="datetime64[D]")
    observed = np.array([[True, False, False], [False, False, True]])
    p = np.arange(6).reshape(2, 3) / 10
    table = forecasts_table(days, np.nonzero(in_coverage), observed, {"model": p}, hours=np.array([22, 1]), horizon=4)
    assert table.column_names == ["date", "hour", "horizon", "row", "column", "observed", "model"]
    assert list(zip(*(axis.tolist() for axis in cells_of(table)), strict=True)) == 2 * [(0, 1), (1, 0), (1, 1)]
    assert (dates_of(table) == np.repeat(days, 3)).all()
    assert [str(period) for period in np.unique(periods_of(table))] == ["2021-05-01T22", "2021-05-02T01"]
    assert observed_of(table).tolist() == [True, False, False, False, False, True]
    assert table["model"].to_pylist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert table.schema.field("date").type == pa.date32()
    assert set(table["horizon"].to_pylist()) == {4}


def test_blocks_of_hours_with_their_alerts() -> None:
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
