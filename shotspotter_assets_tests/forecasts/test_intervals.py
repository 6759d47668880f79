import numpy as np
import pytest

from shotspotter_assets.forecasts.training import weekly_offset
from shotspotter_assets.models.stack import LONG_LEAD_DAYS


def test_the_offset_of_weeks_without_firework_days() -> None:
    days = np.datetime64("2024-02-01") + np.arange(70)
    probability = np.full((70, 100), 0.1)
    observed = np.zeros((70, 100), dtype=bool)
    # Weeks of 70 foreseen cells in which 140, 70 or 35 are seen.
    for week in range(10):
        observed[week * 7 : week * 7 + 7, : {0: 20, 1: 5}.get(week, 10)] = True
    low, high = weekly_offset(probability, observed, days)
    assert low == pytest.approx(np.quantile(np.log((np.r_[[140, 35], [70] * 8] + 0.5) / 70.5), 0.1, method="weibull"))
    assert high > 0
    # At a long lead the level may drift as far to the other side.
    both = weekly_offset(probability, observed, days, LONG_LEAD_DAYS)
    assert both == (-max(-low, high), max(-low, high))
    # The days around 4 July are left out, whatever they bring.
    july = np.datetime64("2024-06-06") + np.arange(70)
    assert weekly_offset(probability, np.tile(np.arange(100) < 10, (70, 1)), july) == pytest.approx((0, 0))
    wild = np.tile(np.arange(100) < 10, (70, 1))
    wild[np.isin(july, np.array(["2024-07-03", "2024-07-04", "2024-07-05"], "datetime64[D]"))] = True
    assert weekly_offset(probability, wild, july) == pytest.approx((0, 0))


def test_four_of_five_later_weeks_lie_within_the_weekly_offset() -> None:
    """Of a city whose weeks are off by a quarter, scored on thirteen of them, as live models are."""
    random = np.random.default_rng(0)
    days = np.datetime64("2024-01-08") + np.arange(7 * 13)
    probability = np.full((len(days), 500), 0.1)
    within = []
    for _ in range(300):
        level = np.exp(random.normal(0, 0.25, 14))
        observed = random.random(probability.shape) < 0.1 * np.repeat(level[:13], 7)[:, None]
        low, high = weekly_offset(probability, observed, days)
        later = np.log(random.binomial(7 * 500, min(0.1 * level[13], 1)) / (7 * 500 * 0.1))
        within.append(low <= later <= high)
    assert np.mean(within) == pytest.approx(0.8, abs=0.05)
