from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotspotter_assets.evaluation.estimates import Level, level_of

LEVEL = Level(1.0, 0.95, 1.05, days=365, last=date(2024, 12, 31), expected=100.0, observed=100)
YEAR = 365
DAYS = np.datetime64("2024-01-01") + np.arange(YEAR)


def level(ratio: float | None, low: float | None, high: float | None) -> Level:
    return replace(LEVEL, value=ratio, low=low, high=high)


@pytest.mark.parametrize(
    ("ratio", "low", "high", "starts", "goes_on"),
    [
        (1.00, 0.95, 1.05, False, False),
        (1.20, 1.11, 1.30, True, True),  # wholly above the range
        (0.80, 0.70, 0.89, True, True),  # wholly below it
        (1.20, 1.05, 1.40, False, True),  # not shown to be off, and not back
        (0.85, 0.75, 0.95, False, True),
        (1.10, 1.00, 1.20, False, False),  # back at the end of the range
        (0.90, 0.80, 1.00, False, False),
        (1.30, 0.60, 2.00, False, True),  # a quiet city
        (2.00, None, None, False, False),  # too few weeks show nothing
        (None, None, None, False, False),  # nothing was observed
    ],
)
def test_a_level_withholds_by_its_interval_and_returns_by_its_ratio(ratio, low, high, starts, goes_on):
    judged = level(ratio, low, high)
    assert (judged.withholds(False), judged.withholds(True)) == (starts, goes_on)
    assert judged.is_off == starts


@settings(max_examples=30)
@given(st.floats(0.3, 3.0), st.integers(0, 5))
def test_the_ratio_and_its_interval_scale_with_the_forecast(factor, seed):
    random = np.random.default_rng(seed)
    observed = random.poisson(3.0, YEAR)
    one, scaled = (level_of(DAYS, np.full(YEAR, 3.0 * times), observed) for times in (1.0, factor))
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx(
        (one.value * factor, one.low * factor, one.high * factor)
    )
    assert scaled.low <= scaled.value <= scaled.high
    assert (scaled.days, scaled.last, scaled.observed) == (365, date(2024, 12, 30), observed.sum())


def test_chance_accuses_no_quiet_city_and_a_busy_one_shows_its_level():
    random = np.random.default_rng(0)
    quiet = [random.poisson(100 / 365, YEAR) for _ in range(100)]
    levels = [level_of(DAYS, np.full(YEAR, 100 / 365), observed) for observed in quiet]
    assert sum(one.withholds(True) for one in levels) > 20  # the ratio alone would accuse them
    assert sum(one.is_off for one in levels) <= 2
    busy = level_of(DAYS, np.full(YEAR, 12.0), random.poisson(10.0, YEAR))
    assert busy.is_off
    assert f"is {busy.value:.2f} (90% interval " in busy.sentence()


def test_few_weeks_or_no_alert_have_no_interval():
    short = level_of(DAYS[:70], np.full(70, 5.0), np.ones(70, int))
    assert (short.value, short.low, short.is_off) == (5.0, None, False)
    assert "fewer than 12 weeks" in short.sentence()
    silent = level_of(DAYS, np.ones(YEAR), np.zeros(YEAR, int))
    assert (silent.value, silent.low, silent.is_off) == (None, None, False)
    assert "unknown" in silent.sentence()
