from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.forecasts_table import model_names, pool_tables, without_firework_days
from shotspotter_assets.evaluation.gains import pooled_gain, table_gain, weekly_losses
from shotspotter_assets.evaluation.scores import score_forecast
from shotspotter_assets.evaluation.table_scores import grouped_scores, score_table
from shotspotter_assets.models.probability import log_losses


def table(first: date, days: int, cells: int, seed: int = 0, skill: float = 1.0, **more: np.ndarray) -> pa.Table:
    random = np.random.default_rng(seed)
    truth = np.clip(random.gamma(0.6, 0.15, (days, cells)), 1e-4, 0.9)
    observed = random.random((days, cells)) < truth
    return pa.table(
        {
            "date": pa.array(np.repeat(np.datetime64(first) + np.arange(days), cells), pa.date32()),
            "row": pa.array(np.zeros(days * cells, dtype=np.int16)),
            "column": pa.array(np.tile(np.arange(cells, dtype=np.int16), days)),
            "observed": pa.array(observed.ravel().astype(np.int8)),
            "network": (skill * truth + (1 - skill) * truth.mean()).ravel(),
            "historical_mean": np.full(days * cells, truth.mean()),
            **more,
        }
    )


def test_pools_folds_with_different_coverage():
    first, second = table(date(2021, 4, 1), 30, 40), table(date(2021, 5, 1), 20, 25, seed=1)
    pooled = pool_tables([first, second])
    scores = score_table(pooled)["network"]
    losses = np.concatenate(
        [log_losses(t["network"].to_numpy(), t["observed"].to_numpy() == 1) for t in (first, second)]
    )
    assert scores.log_loss == pytest.approx(losses.mean())
    parts = []
    for fold, shape in ((first, (30, 40)), (second, (20, 25))):
        p, r, o = (fold[name].to_numpy().reshape(shape) for name in ("network", "historical_mean", "observed"))
        parts.append(score_forecast(p, o == 1, r))
    positives = np.array([t["observed"].to_numpy().sum() for t in (first, second)])
    hit_rate = np.array([part.hit_rate[20] for part in parts]) @ positives / positives.sum()
    assert scores.hit_rate[20] == pytest.approx(hit_rate)
    assert scores.pai[20] == pytest.approx(hit_rate / ((30 * 8 + 20 * 5) / (30 * 40 + 20 * 25)))


def test_keeps_the_models_that_all_folds_have():
    more = {"true_intensity": np.full(200, 0.1)}
    pooled = pool_tables([table(date(2021, 4, 1), 20, 10, **more), table(date(2021, 5, 1), 20, 10)])
    assert model_names(pooled) == ["network", "historical_mean"]


def test_refuses_nothing_and_overlapping_folds():
    with pytest.raises(ValueError, match="No forecasts"):
        pool_tables([])
    with pytest.raises(ValueError, match="2021-04-10 is forecast by two"):
        pool_tables([table(date(2021, 4, 1), 10, 5), table(date(2021, 4, 10), 10, 5)])


def test_leaves_firework_days_out():
    forecasts = table(date(2021, 7, 1), 7, 10)
    kept = without_firework_days(forecasts)
    assert [day.day for day in kept["date"].unique().to_pylist()] == [1, 2, 6, 7]
    losses = log_losses(kept["network"].to_numpy(), kept["observed"].to_numpy() == 1)
    assert score_table(kept)["network"].log_loss == pytest.approx(losses.mean())
    assert score_table(forecasts)["network"].log_loss != pytest.approx(losses.mean())
    assert score_table(without_firework_days(table(date(2021, 7, 3), 3, 10))) == {}


def test_bootstrap_finds_the_gain_and_a_sane_interval():
    forecasts = table(date(2021, 1, 4), 182, 60)
    result = table_gain(forecasts, "network", "historical_mean")
    gain = score_table(forecasts)["network"].gain_nats_per_positive
    assert result.gain == pytest.approx(gain)
    assert 0 < result.low < result.gain < result.high
    assert result.weeks == 26
    assert table_gain(forecasts, "network", "historical_mean") == result
    turned = table_gain(forecasts, "historical_mean", "network")
    assert (turned.low, turned.high) == pytest.approx((-result.high, -result.low))
    # By a loop over explicitly drawn weeks.
    observed = forecasts["observed"].to_numpy().reshape(26, -1) == 1
    p, r = (forecasts[name].to_numpy().reshape(26, -1) for name in ("network", "historical_mean"))
    difference = (log_losses(r, observed) - log_losses(p, observed)).sum(axis=1)
    random = np.random.default_rng(5)
    drawn = [random.integers(0, 26, 26) for _ in range(4000)]
    loop = np.quantile([difference[weeks].sum() / observed[weeks].sum() for weeks in drawn], [0.05, 0.95])
    spread = result.high - result.low
    assert [result.low, result.high] == pytest.approx(list(loop), abs=0.15 * spread)


def test_bootstrap_of_a_model_over_itself_is_nothing():
    result = table_gain(table(date(2021, 1, 1), 30, 20), "network", "network")
    assert (result.gain, result.low, result.high) == (0, 0, 0)


def test_bootstrap_without_positives_has_no_gain():
    forecasts = table(date(2021, 1, 1), 10, 5)
    silent = forecasts.set_column(3, "observed", pa.array(np.zeros(50, dtype=np.int8)))
    result = table_gain(silent, "network", "historical_mean")
    assert (result.gain, result.low, result.high) == (None, None, None)


def test_gain_over_several_cities_is_that_of_all_their_cell_days():
    cities = [table(date(2021, 1, 4), 91, 40), table(date(2018, 1, 1), 56, 15, seed=1)]
    weekly = [weekly_losses(city, ("network", "historical_mean")) for city in cities]
    found = pooled_gain(weekly, [("network", "historical_mean")] * 2)
    together = table_gain(pa.concat_tables(cities), "network", "historical_mean")
    assert found.gain == pytest.approx(together.gain)
    assert found.weeks == 13 + 8
    assert found.low < found.gain < found.high
    # A city in which nothing is compared dilutes the gain by its positives.
    diluted = pooled_gain(weekly, [("network", "historical_mean"), ("network", "network")])
    assert 0 < diluted.gain < found.gain


def test_gain_without_any_week_is_unknown():
    empty = weekly_losses(table(date(2021, 1, 4), 7, 5).slice(0, 0), ("network", "historical_mean"))
    assert pooled_gain([empty], [("network", "historical_mean")]).gain is None


def test_grouped_scores_are_the_scores_of_the_rows_of_each_group():
    forecasts = table(date(2021, 1, 4), 70, 30)
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
    by_day = table(date(2021, 1, 4), 48, 20)
    # The same cell-days as 24 hours of two days: cells compete within an hour, as they did within a day.
    hourly = by_day.append_column("hour", pa.array(np.repeat(np.tile(np.arange(24), 2), 20).astype(np.int8)))
    two_days = pa.array(np.repeat(np.datetime64("2021-01-04") + np.repeat([0, 1], 24), 20), pa.date32())
    hourly = hourly.set_column(0, "date", two_days)
    assert model_names(hourly) == model_names(by_day)
    assert score_table(hourly)["network"].hit_rate == score_table(by_day)["network"].hit_rate
