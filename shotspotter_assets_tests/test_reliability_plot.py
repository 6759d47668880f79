from datetime import date
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.reports.reliability_plot import reliability_by_city, weekly_reliability
from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets_tests.evaluation.forecasts import forecasts_table, with_column

TABLE = forecasts_table(date(2021, 1, 4), 364, shape=(8, 8), seed=3)
TRUE = "historical_mean"


def test_bins_hold_equally_many_expected_alerts_and_all_of_them():
    of = weekly_reliability(TABLE, TRUE)
    p = TABLE[TRUE].to_numpy()
    assert (np.diff(of.predicted) > 0).all()
    # Each bin's cell-days follow from its share of the expected alerts.
    number = p.sum() / 10 / of.predicted
    assert number.sum() == pytest.approx(len(p), rel=0.02)
    assert (number * of.observed).sum() == pytest.approx(observed_of(TABLE).sum(), rel=0.02)


def test_bands_hold_what_is_true_and_not_what_is_twice_too_high():
    def share_held(by: float) -> float:
        of = weekly_reliability(with_column(TABLE, "m", TABLE[TRUE].to_numpy() * by), "m")
        return float(((of.low <= 1) & (of.high >= 1)).mean())

    assert share_held(1) >= 0.7
    assert share_held(2) <= 0.3


def test_weeks_that_go_together_make_wide_bands():
    """The same alerts, all cells of a week at once, say less than as many that are independent."""
    random = np.random.default_rng(0)
    week = (TABLE["date"].to_numpy().astype("datetime64[D]").astype(int) + 3) // 7
    together = random.random(week.max() + 1)[week] < TABLE[TRUE].to_numpy()
    alone = random.random(len(TABLE)) < TABLE[TRUE].to_numpy()
    tables = (with_column(TABLE, "observed", observed.astype(np.int8)) for observed in (together, alone))
    width = [np.mean(of.high - of.low) for of in (weekly_reliability(table, TRUE) for table in tables)]
    assert width[0] > 2 * width[1]


def test_draws_a_small_svg_that_is_the_same_each_time():
    later = forecasts_table(date(2031, 1, 6), 364, shape=(8, 8), seed=4)
    svg = reliability_by_city({"one city": TABLE, "another": later}, TRUE)
    assert svg == reliability_by_city({"one city": TABLE, "another": later}, TRUE)
    assert len(svg) < 100_000
    text = "".join(ElementTree.fromstring(svg).itertext())
    pooled = int(observed_of(TABLE).sum() + observed_of(later).sum())
    for said in ("one city", "another", f"all: {pooled:,}", "observed frequency"):
        assert said in text
