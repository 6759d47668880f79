from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.gains import Gain, table_gain
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.evaluation.forecasts import random_table


def test_bootstrap_finds_the_gain_and_a_sane_interval():
    forecasts = random_table(date(2021, 1, 4), 182, 60)
    result = table_gain(forecasts, "network", "historical_mean")
    gain = score_table(forecasts)["network"]["gain_nats_per_positive"]
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


def test_bootstrap_without_positives_has_no_gain():
    forecasts = random_table(date(2021, 1, 1), 10, 5)
    silent = forecasts.set_column(3, "observed", pa.array(np.zeros(50, dtype=np.int8)))
    result = table_gain(silent, "network", "historical_mean")
    assert (result.gain, result.low, result.high) == (None, None, None)


@pytest.mark.parametrize(("days", "weeks", "words"), [(5, 1, "1 week"), (14, 2, "2 weeks"), (21, 3, "3 weeks")])
def test_a_few_weeks_give_a_gain_without_an_interval(days: int, weeks: int, words: str) -> None:
    result = table_gain(random_table(date(2021, 1, 4), days, 60), "network", "historical_mean")
    assert result.weeks == weeks
    assert (result.low, result.high, result.is_shown) == (None, None, False)
    assert result.text() == f"{result.gain:+.4f} (no interval from {words})"
    of_four = table_gain(random_table(date(2021, 1, 4), 28, 60), "network", "historical_mean")
    assert of_four.low < of_four.gain < of_four.high


def test_a_gain_is_shown_if_its_whole_interval_is_above_zero():
    shown, zero, unknown = (Gain(*ends, 13) for ends in ((0.5, 0.1, 0.9), (0.5, 0.0, 0.9), (None, None, None)))
    assert (shown.is_shown, zero.is_shown, unknown.is_shown) == (True, False, False)
    assert (shown.text(), unknown.text("+.3f")) == ("+0.5000 (+0.1000, +0.9000)", "-")
    assert (zero.ends(), unknown.ends()) == ({"gain": 0.5, "low": 0.0, "high": 0.9}, {})
