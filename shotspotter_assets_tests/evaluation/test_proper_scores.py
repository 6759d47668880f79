from itertools import count, islice

import numpy as np
import pytest
from scipy.stats import nbinom

from shotspotter_assets.evaluation.count_scores import (
    LEVELS,
    PIT_BINS,
    central_coverage,
    log_scores,
    pit_cdf,
    pit_histogram,
    pit_slope,
    ranked_probability_scores,
    weighted_interval_scores,
)
from shotspotter_assets.models.alert_counts import CountDistribution, negative_binomial

RANDOM = np.random.default_rng(0)
MEAN = RANDOM.gamma(2.0, 4.0, 200)
SIZE = RANDOM.uniform(0.4, 30.0, 200)
TOTAL = negative_binomial(MEAN, SIZE)
NUMBER = TOTAL.rvs(random_state=1)
NUMBER[0] = 300  # far beyond the forecast
WEEK = np.arange(200) // 7


def test_a_negative_binomial_has_the_scores_of_scoringrules() -> None:
    import scoringrules

    share = SIZE / (SIZE + MEAN)
    usual = (SIZE > 1) & (NUMBER < 100)  # scoringrules 0.10 returns infinity for others
    expected = scoringrules.logs_negbinom(NUMBER[usual], SIZE[usual], share[usual])
    np.testing.assert_allclose(log_scores(TOTAL.pmf(NUMBER))[usual], expected, rtol=1e-6)
    assert log_scores(TOTAL.pmf(NUMBER))[0] == pytest.approx(-TOTAL.logpmf(NUMBER)[0])
    expected = scoringrules.crps_negbinom(NUMBER, SIZE, share)
    scores = ranked_probability_scores((TOTAL.cdf(number) for number in count()), NUMBER)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_quantiles_have_the_interval_scores_of_scoringrules() -> None:
    """`weighted_interval_score` itself scores the median, not its distance, in scoringrules 0.10."""
    import scoringrules

    quantiles = np.stack([TOTAL.ppf(level) for level in LEVELS])
    expected = np.abs(NUMBER - quantiles[3]) / 2
    for low, high, level in zip(quantiles, quantiles[::-1], LEVELS[:3], strict=False):
        expected += level * scoringrules.interval_score(NUMBER, low, high, 2 * level)
    np.testing.assert_allclose(weighted_interval_scores(quantiles, NUMBER), expected / 3.5)


def test_cells_have_the_scores_of_their_probabilities() -> None:
    probability = np.array([0.003, 0.3, 0.95])
    further = np.array([0.1, 2.0, 9.0])
    size = np.array([5.0, 0.3, 2.0])
    cells = CountDistribution(probability, further, size)
    counts = np.arange(3_000)[:, None]
    chance = probability * nbinom.pmf(counts - 1, size, size / (size + further))
    chance[0] = 1 - probability
    at_most = chance.cumsum(axis=0)
    np.testing.assert_allclose(np.stack([*islice(cells.cumulative(), 3_000)]), at_most, atol=1e-12)
    for number in (np.array([0, 0, 0]), np.array([1, 0, 25])):
        np.testing.assert_allclose(cells.pmf(number), chance[number, range(3)])
        expected = ((at_most - (number <= counts)) ** 2).sum(axis=0)
        np.testing.assert_allclose(ranked_probability_scores(cells.cumulative(), number), expected, rtol=1e-6)


def test_the_pit_is_the_mean_of_randomised_ones() -> None:
    below = TOTAL.cdf(NUMBER - 1)
    at_most = TOTAL.cdf(NUMBER)
    drawn = below + RANDOM.random((2_000, 200)) * (at_most - below)
    expected = np.histogram(drawn, PIT_BINS, (0, 1))[0] / drawn.size
    np.testing.assert_allclose(pit_histogram(below, at_most), expected, atol=2e-3)
    for percent in (50, 80, 95):
        held = (np.abs(drawn - 0.5) <= percent / 200).mean()
        assert central_coverage(below, at_most, percent) == pytest.approx(held, abs=2e-3)
    assert pit_slope(below, at_most, WEEK)[0] == pytest.approx(12 * (drawn.mean() - 0.5), abs=5e-3)
    assert pit_cdf(below, at_most, 1.0) == 1


def test_coverage_is_exact_where_numbers_are_few() -> None:
    """Central intervals with whole ends would hold far more."""
    rare = negative_binomial(np.full(40_000, 0.2), 3.0)
    number = rare.rvs(random_state=2)
    for percent in (50, 80, 95):
        assert central_coverage(rare.cdf(number - 1), rare.cdf(number), percent) == pytest.approx(
            percent / 100, abs=5e-3
        )


def test_a_wrong_level_tilts_the_pit() -> None:
    _, p = pit_slope(TOTAL.cdf(NUMBER - 1), TOTAL.cdf(NUMBER), WEEK)
    assert (p or 0) > 0.1
    low = negative_binomial(0.7 * MEAN, SIZE)
    slope, p = pit_slope(low.cdf(NUMBER - 1), low.cdf(NUMBER), WEEK)
    assert slope > 0.2
    assert (p or 1) < 0.01
    assert pit_slope(low.cdf(NUMBER - 1), low.cdf(NUMBER), 0 * WEEK) == (slope, None)


def test_the_slope_is_rejected_as_often_as_its_test_says() -> None:
    """Days of one week share a level, so that a test of single days would reject far more often."""
    random = np.random.default_rng(3)
    week = np.repeat(np.arange(50), 7)
    rejected = 0
    for _ in range(400):
        pit = np.mod(random.random(50).repeat(7) + 0.1 * random.random(350), 1)
        rejected += (pit_slope(pit, pit, week)[1] or 1) < 0.05
    assert 8 <= rejected <= 34


def test_a_ranked_probability_score_of_an_undefined_distribution_ends() -> None:
    undefined = (np.array([np.nan, number]) for number in count())
    assert np.isnan(ranked_probability_scores(undefined, np.array([2, 0]))[0])


def test_silent_weeks_say_nothing_about_the_slope_of_the_pit() -> None:
    silent = np.linspace(0.998, 0.999, 91)  # probability of no alert
    slope, p = pit_slope(np.zeros(91), silent, np.arange(91) // 7)
    assert slope == pytest.approx(12 * (silent.mean() - 1) / 2)
    assert p is None
