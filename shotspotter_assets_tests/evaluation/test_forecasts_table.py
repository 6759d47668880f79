from datetime import date

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
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.evaluation.forecasts import random_table


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
