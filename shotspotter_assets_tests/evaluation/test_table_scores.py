from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.forecasts_table import model_names, pool_tables
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.table_scores import grouped_scores, score_table
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.evaluation.forecasts import random_table, score_days


def test_pools_folds_with_different_coverage():
    first, second = random_table(date(2021, 4, 1), 30, 40), random_table(date(2021, 5, 1), 20, 25, seed=1)
    pooled = pool_tables([first, second])
    scores = score_table(pooled)["network"]
    losses = np.concatenate(
        [log_losses(t["network"].to_numpy(), t["observed"].to_numpy() == 1) for t in (first, second)]
    )
    assert scores.log_loss == pytest.approx(losses.mean())
    parts = []
    for fold, shape in ((first, (30, 40)), (second, (20, 25))):
        p, r, o = (fold[name].to_numpy().reshape(shape) for name in ("network", "historical_mean", "observed"))
        parts.append(score_days(p, o == 1, r))
    positives = np.array([t["observed"].to_numpy().sum() for t in (first, second)])
    hit_rate = np.array([part.hit_rate[20] for part in parts]) @ positives / positives.sum()
    assert scores.hit_rate[20] == pytest.approx(hit_rate)
    assert scores.pai[20] == pytest.approx(hit_rate / ((30 * 8 + 20 * 5) / (30 * 40 + 20 * 25)))


def test_grouped_scores_are_the_scores_of_the_rows_of_each_group():
    forecasts = random_table(date(2021, 1, 4), 70, 30)
    groups = np.where(forecasts["column"].to_numpy() < 10, "left", "right")
    found = grouped_scores(forecasts, groups, "historical_mean")
    assert list(found) == ["left", "right"]
    assert sum(group.cell_days for group in found.values()) == len(forecasts)
    left = forecasts.filter(pa.array(groups == "left"))
    scores = score_table(left)["network"]
    of_group = found["left"].models["network"]
    for name in ("log_loss", "brier_skill", "predicted_over_observed"):
        assert getattr(of_group, name) == pytest.approx(getattr(scores, name))
    assert of_group.gain_over_reference == pytest.approx(scores.gain_nats_per_positive)
    assert of_group.gain_over_best_baseline == table_gain(left, "network", "historical_mean")


def test_hours_are_periods_of_their_own():
    by_day = random_table(date(2021, 1, 4), 48, 20)
    # The same cell-days as 24 hours of two days: cells compete within an hour, as they did within a day.
    hourly = by_day.append_column("hour", pa.array(np.repeat(np.tile(np.arange(24), 2), 20).astype(np.int8)))
    two_days = pa.array(np.repeat(np.datetime64("2021-01-04") + np.repeat([0, 1], 24), 20), pa.date32())
    hourly = hourly.set_column(0, "date", two_days)
    assert model_names(hourly) == model_names(by_day)
    assert score_table(hourly)["network"].hit_rate == score_table(by_day)["network"].hit_rate
