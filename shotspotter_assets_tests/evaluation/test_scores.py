import json
import re
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, confusion_matrix, log_loss, roc_auc_score

from shotspotter_assets.evaluation.estimates import Gain, table_gain
from shotspotter_assets.evaluation.forecasts_table import pool_tables
from shotspotter_assets.evaluation.scores import (
    AREAS,
    SCORE_DEFINITIONS,
    corp,
    recalibrated,
    reliability,
    score_cell_days,
    score_table,
)
from shotspotter_assets.models.forecaster import log_losses
from shotspotter_assets_tests.evaluation.forecasts import random_table, score_days


def example(seed: int = 0, days: int = 30, cells: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.clip(random.gamma(0.6, 0.15, (1, cells)) * random.gamma(4, 0.25, (days, 1)), 1e-4, 0.9)
    observed = random.random((days, cells)) < truth
    forecast = -np.expm1(-truth * random.lognormal(0, 0.4, truth.shape))  # no two are equal
    reference = np.broadcast_to(np.clip(truth.mean(axis=0), 0.001, 1), truth.shape)
    return forecast, observed, reference


def test_against_sklearn_and_plain_arithmetic():
    p, o, r = example()
    scores = score_days(p, o, r)
    assert scores["log_loss"] == pytest.approx(log_loss(o.ravel(), p.ravel()))
    assert scores["average_precision"] == pytest.approx(average_precision_score(o.ravel(), p.ravel()))
    assert scores["roc_auc"] == pytest.approx(roc_auc_score(o.ravel(), p.ravel()))
    assert scores["brier"] == pytest.approx(((p - o) ** 2).mean())
    gain = (log_loss(o.ravel(), r.ravel(), normalize=False) - log_loss(o.ravel(), p.ravel(), normalize=False)) / o.sum()
    assert scores["gain_nats_per_positive"] == pytest.approx(gain)
    assert scores["brier_skill"] == pytest.approx(1 - ((p - o) ** 2).sum() / ((r - o) ** 2).sum())
    assert scores["predicted_over_observed"] == pytest.approx(p.sum() / o.sum())
    for weight in (1, 10, 100, 0.01):
        yes = weight * p / (1 + (weight - 1) * p) >= 0.5  # the odds of a w:1 weighted loss
        expected = accuracy_score(o.ravel(), yes.ravel(), sample_weight=np.where(o.ravel(), weight, 1))
        assert scores[f"accuracy_{weight}"] == pytest.approx(expected)
        counts = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        assert [scores[f"{count}_{weight}"] for count in counts] == confusion_matrix(
            o.ravel(), yes.ravel()
        ).ravel().tolist()


def test_calibration_maximises_the_likelihood():
    p, o, r = example(3)
    fit = LogisticRegression(C=np.inf, tol=1e-8).fit(np.log(p / (1 - p)).reshape(-1, 1), o.ravel())
    scores = score_days(p, o, r)
    assert scores["calibration_slope"] == pytest.approx(fit.coef_[0, 0], abs=1e-4)
    assert scores["calibration_intercept"] == pytest.approx(fit.intercept_[0], abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_hit_rates_by_counting_cell_by_cell(seed):
    p, o, r = example(seed)
    scores = score_days(p, o, r)
    for area in AREAS:
        flagged = max(int(50 * area / 100 + 0.5), 1)
        hits = sum(o[day, sorted(range(50), key=lambda c, d=day: -p[d, c])[:flagged]].sum() for day in range(30))
        assert scores[f"hit_rate_{area}"] == pytest.approx(hits / o.sum())
        assert scores[f"pai_{area}"] == pytest.approx(hits / o.sum() / (flagged / 50))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), days=st.integers(1, 5), cells=st.integers(2, 12))
def test_invariants(data, days, cells):
    levels = st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.5, 1.0])
    size = days * cells
    p = np.array(data.draw(st.lists(levels, min_size=size, max_size=size))).reshape(days, cells)
    o = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size))).reshape(days, cells)
    r = np.full(p.shape, 0.2)
    scores = score_days(p, o, r)
    json.dumps(scores, allow_nan=False)
    if o.any():
        for area in AREAS:
            flagged = max(int(cells * area / 100 + 0.5), 1)
            assert scores[f"pai_{area}"] * flagged / cells == pytest.approx(scores[f"hit_rate_{area}"])
            assert 0 <= scores[f"hit_rate_{area}"] <= 1 + 1e-12
    order = np.array(data.draw(st.permutations(range(size))))
    day = np.repeat(np.arange(days), cells)
    shuffled = score_cell_days(p.ravel()[order], o.ravel()[order], r.ravel(), day[order])
    before = scores
    after = shuffled
    undefined = {name for name, value in before.items() if value is None}
    assert undefined == {name for name, value in after.items() if value is None}
    for name in before.keys() - undefined:
        assert after[name] == pytest.approx(before[name], rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("constant", [0.0, 0.03])
def test_constant_forecast_is_chance(constant):
    _, o, r = example()
    scores = score_days(np.full(o.shape, constant), o, r)
    base_rate = o.mean()
    assert scores["roc_auc"] == 0.5
    assert scores["average_precision"] == pytest.approx(base_rate)
    assert scores["accuracy_1"] == pytest.approx(1 - base_rate)
    assert scores["calibration_slope"] is None
    assert scores["calibration_intercept"] is None
    # 1% of 50 cells is half a cell, so one cell is flagged.
    assert [scores[f"hit_rate_{area}"] for area in AREAS] == pytest.approx([1 / 50, 3 / 50, 0.1, 0.2])
    assert [scores[f"pai_{area}"] for area in AREAS] == pytest.approx([1.0] * 4)
    json.dumps(scores, allow_nan=False)


def test_without_positives_undefined_scores_have_no_value():
    p, o, r = example()
    scores = score_days(p, np.zeros_like(o), r)
    json.dumps(scores, allow_nan=False)
    assert {name for name, value in scores.items() if value is None} == {
        "gain_nats_per_positive", "average_precision", "roc_auc", *(f"hit_rate_{area}" for area in AREAS),
        *(f"pai_{area}" for area in AREAS), "predicted_over_observed", "calibration_slope", "calibration_intercept",
    }  # fmt: skip


def test_every_score_is_defined():
    names = {re.sub(r"_[\d.]+$", "", name) for name in score_days(*example())}
    assert names == set(SCORE_DEFINITIONS)


def test_frequencies_of_reliability_rise_and_hold_all_cell_days():
    random = np.random.default_rng(0)
    p = np.clip(random.gamma(0.5, 0.04, 13_000), 1e-6, 1)
    o = random.random(p.shape) < p
    blocks = reliability(p, o)
    forecast = np.array(blocks.mean_forecast)
    frequency = np.array(blocks.observed_frequency)
    assert (np.diff(forecast) > 0).all()
    assert (np.diff(frequency) > 0).all()
    np.testing.assert_allclose(np.unique(recalibrated(p, o)), frequency, rtol=1e-9)
    middle = slice(len(frequency) // 4, -len(frequency) // 4)
    np.testing.assert_allclose(frequency[middle], forecast[middle], rtol=0.5)


def test_a_block_of_forecasts_has_the_interval_of_wilson():
    observed = np.arange(40) % 4 == 0
    blocks = reliability(np.array([0.1] * 30 + [0.4] * 10), observed | (np.arange(40) >= 38))
    assert blocks.mean_forecast == pytest.approx([0.1, 0.4])
    assert blocks.observed_frequency == pytest.approx([8 / 30, 0.4])
    # Published tables: 8 of 40.
    blocks = reliability(np.full(40, 0.2), np.arange(40) < 8)
    assert (blocks.low[0], blocks.high[0]) == pytest.approx((0.1050, 0.3478), abs=1e-3)


def test_folds_with_different_coverage_are_pooled():
    first = random_table(date(2021, 4, 1), 30, 40)
    second = random_table(date(2021, 5, 1), 20, 25, seed=1)
    scores = score_table(pool_tables([first, second]))["network"]
    parts = [score_table(table)["network"] for table in (first, second)]
    positives = [table["observed"].to_numpy().sum() for table in (first, second)]
    assert scores["log_loss"] == pytest.approx(np.average([part["log_loss"] for part in parts], weights=[1200, 500]))
    hit_rate = np.average([part["hit_rate_20"] for part in parts], weights=positives)
    assert scores["hit_rate_20"] == pytest.approx(hit_rate)
    assert scores["pai_20"] == pytest.approx(hit_rate / ((30 * 8 + 20 * 5) / (30 * 40 + 20 * 25)))


def test_cells_compete_within_an_hour_of_hourly_forecasts():
    by_day = random_table(date(2021, 1, 4), 48, 20)
    hourly = by_day.append_column("hour", pa.array(np.repeat(np.tile(np.arange(24), 2), 20).astype(np.int8)))
    two_days = pa.array(np.repeat(np.datetime64("2021-01-04") + np.repeat([0, 1], 24), 20), pa.date32())
    hourly = hourly.set_column(0, "date", two_days)
    assert score_table(hourly)["network"]["hit_rate_5"] == score_table(by_day)["network"]["hit_rate_5"]


def test_bootstrap_finds_the_gain_and_a_sane_interval():
    forecasts = random_table(date(2021, 1, 4), 182, 60)
    result = table_gain(forecasts, "network", "historical_mean")
    gain = score_table(forecasts)["network"]["gain_nats_per_positive"]
    assert result.value == pytest.approx(gain)
    assert 0 < result.low < result.value < result.high
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


def test_bootstrap_without_positives_has_no_gain():
    forecasts = random_table(date(2021, 1, 1), 10, 5)
    silent = forecasts.set_column(3, "observed", pa.array(np.zeros(50, dtype=np.int8)))
    result = table_gain(silent, "network", "historical_mean")
    assert (result.value, result.low, result.high) == (None, None, None)


@pytest.mark.parametrize(("days", "weeks"), [(5, 1), (14, 2), (21, 3)])
def test_a_few_weeks_give_a_gain_without_an_interval(days: int, weeks: int) -> None:
    result = table_gain(random_table(date(2021, 1, 4), days, 60), "network", "historical_mean")
    assert result.weeks == weeks
    assert (result.low, result.high, result.is_shown) == (None, None, False)
    assert result.text() == f"{result.value:+.4f} (no interval)"
    of_four = table_gain(random_table(date(2021, 1, 4), 28, 60), "network", "historical_mean")
    assert of_four.low < of_four.value < of_four.high


def test_a_gain_is_shown_if_its_whole_interval_is_above_zero():
    shown, zero, unknown = (Gain(*ends, 13) for ends in ((0.5, 0.1, 0.9), (0.5, 0.0, 0.9), (None, None, None)))
    assert (shown.is_shown, zero.is_shown, unknown.is_shown) == (True, False, False)
    assert (shown.text(), unknown.text("+.3f")) == ("+0.5000 (+0.1000 to +0.9000)", "unknown")
    assert (zero.ends("gain"), unknown.ends("gain")) == ({"gain": 0.5, "gain_low": 0.0, "gain_high": 0.9}, {})


def test_corp_recalibrates_as_scores_does() -> None:
    from scores.processing import isotonic_fit

    random = np.random.default_rng(0)
    probability = random.beta(0.5, 6.0, 3_000).round(3)
    observed = random.random(3_000) < probability**0.8
    fitted = isotonic_fit(probability, observed.astype(float))
    expected = np.interp(probability, fitted["fcst_sorted"], fitted["regression_values"])
    np.testing.assert_allclose(recalibrated(probability, observed), expected, atol=1e-9)
    parts = corp(probability, observed)
    brier = np.mean((probability - observed) ** 2)
    best = np.mean((expected - observed) ** 2)
    assert parts["uncertainty"] == pytest.approx(observed.mean() * (1 - observed.mean()))
    assert parts["miscalibration"] == pytest.approx(brier - best)
    assert parts["miscalibration"] - parts["discrimination"] + parts["uncertainty"] == pytest.approx(brier)


def test_corp_of_one_forecast_or_outcome_is_defined() -> None:
    constant = corp(np.full(10, 0.5), np.arange(10) < 2)
    assert (constant["discrimination"], constant["miscalibration"]) == pytest.approx((0, 0.09))
    assert (recalibrated(np.linspace(0, 0.1, 10), np.zeros(10, bool)) == 0).all()
