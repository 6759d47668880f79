from datetime import date

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import nbinom

from shotspotter_assets.models.alert_counts import (
    FIREWORK_VARIANCE,
    AlertCounts,
    negative_binomial,
    short_interval,
    year_reference,
)
from shotspotter_assets.models.history import History
from shotspotter_assets_tests.evaluation import cities

NIGHTS = np.zeros(400, dtype=bool)
NIGHTS[::20] = True
SIZE = 0.7


def made_up(seed: int = 0, log_m: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of bursts, and the true probability of at least one; firework nights have larger bursts."""
    random = np.random.default_rng(seed)
    probability = np.clip(random.gamma(1.0, 0.08, (400, 60)), 1e-4, 0.9)
    mean = np.where(NIGHTS, 4.0, 0.8)[:, None] * np.exp(log_m)
    further = random.negative_binomial(SIZE, SIZE / (SIZE + np.broadcast_to(mean, probability.shape)))
    return (1 + further) * (random.random(probability.shape) < probability), probability


@pytest.fixture(scope="module")
def fitted() -> AlertCounts:
    return AlertCounts.fit(*made_up(), NIGHTS)


def test_totals_are_right_on_other_days(fitted):
    counts, probability = made_up(seed=1)
    expected = fitted.distribution(probability, NIGHTS[:, None]).expected
    assert expected.sum() == pytest.approx(counts.sum(), rel=0.05)
    assert expected[NIGHTS].sum() == pytest.approx(counts[NIGHTS].sum(), rel=0.15)


def test_the_usual_number_of_a_place_moves_its_counts_and_not_its_chance():
    log_m = np.repeat(np.log([0.2, 3.0]), 30)
    model = AlertCounts.fit(*made_up(log_m=log_m), NIGHTS, np.broadcast_to(log_m + np.log(0.8), (400, 60)))
    counts, probability = made_up(seed=1, log_m=log_m)
    forecast = model.distribution(probability, NIGHTS[:, None], log_m + np.log(0.8))
    np.testing.assert_array_equal(forecast.probability, probability)
    for places in (slice(30), slice(30, None)):
        assert forecast.expected[:, places].sum() == pytest.approx(counts[:, places].sum(), rel=0.1)


@pytest.mark.parametrize("on_fireworks", [False, True])
def test_mean_variance_and_interval_are_those_of_the_distribution(on_fireworks):
    probability = np.array([[0.01], [0.2], [0.92]])
    numbers = np.arange(1, 401)
    mean = 4.0 if on_fireworks else 0.8
    model = AlertCounts((np.log(0.8), np.log(5)), 0.0, (np.log(SIZE), 0.0), city_variance=0.0)
    forecast = model.distribution(probability, np.array(on_fireworks))
    some = nbinom.pmf(numbers - 1, SIZE, SIZE / (SIZE + mean)) * probability
    np.testing.assert_allclose(some @ numbers, forecast.expected[:, 0], rtol=1e-6)
    variance = forecast.variance[:, 0]
    np.testing.assert_allclose(some @ numbers**2 - forecast.expected[:, 0] ** 2, variance, rtol=1e-4)
    at_most = np.cumsum(np.hstack([1 - probability, some]), axis=1)
    for end, share in zip(forecast.interval(), (0.1, 0.9), strict=True):
        np.testing.assert_array_equal(end[:, 0], (at_most < share).sum(axis=1))


def test_the_interval_of_the_total_has_its_coverage(fitted):
    counts, probability = made_up(seed=2)
    low, high = short_interval(fitted.distribution(probability, NIGHTS[:, None]).total(fitted.factor_variance(NIGHTS)))
    total = counts.sum(axis=1)
    assert 0.74 < ((total >= low) & (total <= high)).mean() < 0.9


def test_intervals_of_a_quiet_city_hold_no_more_than_they_say():
    random = np.random.default_rng(3)
    probability = random.uniform(0.001, 0.02, (4_000, 60)) * random.uniform(0.2, 6, (4_000, 1))
    model = AlertCounts((-3.0, 0.0), 0.0, (0.0, 0.0), city_variance=0.0)
    on_fireworks = np.array([False])
    forecast = model.distribution(probability, on_fireworks)
    low, high = short_interval(forecast.total(0.0))
    total = (random.random(probability.shape) < probability).sum(axis=1)
    assert 0.75 < ((total >= low) & (total <= high)).mean() < 0.85


def test_a_calm_month_does_not_promise_calm_years():
    counts = np.zeros((28, 60), dtype=np.int64)
    probability = np.full((28, 60), 0.1)
    counts[:, :6] = 1
    assert AlertCounts.fit(counts, probability, np.zeros(28, dtype=bool)).city_variance > 0.01


def test_totals_of_firework_days_whose_level_is_not_known_are_held(fitted):
    """In a large city chance alone is small, so that the level decides."""
    _, probability = made_up()
    probability = np.tile(probability, (5, 20))
    on_fireworks = np.ones((2_000, 1), dtype=bool)
    level = np.random.default_rng(5).gamma(1 / FIREWORK_VARIANCE, FIREWORK_VARIANCE, 2_000)
    forecast = fitted.distribution(probability, on_fireworks)
    total = forecast.expected.sum(axis=1) * level
    low, high = short_interval(forecast.total(fitted.factor_variance(on_fireworks[:, 0])))
    assert 0.77 < ((total >= low) & (total <= high)).mean() < 0.87


def test_single_alerts_only_and_few_firework_alerts_are_no_trouble():
    counts, probability = made_up()
    ones = np.minimum(counts, 1)
    no_nights = np.zeros(400, dtype=bool)
    single = AlertCounts.fit(ones, probability, no_nights)
    assert single.distribution(probability, no_nights[:, None]).expected.sum() == pytest.approx(ones.sum(), rel=0.1)
    assert single.intercept[1] == single.size[1] == 0


def test_silence_cannot_be_fitted():
    with pytest.raises(ValueError, match="None of 24000"):
        AlertCounts.fit(np.zeros((400, 60), dtype=np.int64), np.full((400, 60), 0.1), NIGHTS)


def test_cells_of_a_total_share_a_factor(fitted):
    _, probability = made_up()
    forecast = fitted.distribution(probability, NIGHTS[:, None]).of_cells(np.arange(60) < 20)
    mean = forecast.expected.sum(axis=1)
    assert forecast.probability.shape == (400, 20)
    total = forecast.total(fitted.factor_variance(NIGHTS))
    np.testing.assert_allclose(total.mean(), mean)
    factor = fitted.city_variance + FIREWORK_VARIANCE * NIGHTS
    np.testing.assert_allclose(total.var(), forecast.variance.sum(axis=1) + factor * mean**2)


DAYS = 500


def history_of(total: np.ndarray, **known: np.ndarray) -> History:
    """A city whose alerts all lie in one covered cell; a cell without coverage has ten a day."""
    city = cities.square_city()
    counts = np.zeros((len(total), len(city.type_names), *city.shape), dtype=np.int64)
    row, column = np.argwhere(cities.COVERED)[0]
    counts[:, city.forecast_codes[0], row, column] = total
    row, column = np.argwhere(~cities.COVERED)[0]
    counts[:, city.forecast_codes[0], row, column] = 10
    return History(city, date(2024, 1, 1), counts, cities.COVERED, **known)


def test_the_reference_is_the_likeliest_one_for_the_last_year() -> None:
    total = np.random.default_rng(0).negative_binomial(2.0, 0.3, DAYS)
    total[:100] = 99
    (mean,), (size,) = year_reference(history_of(total), range(DAYS, DAYS + 1))
    year = total[-365:]
    assert mean == pytest.approx(year.mean())
    best = minimize_scalar(
        lambda r: -negative_binomial(mean, r).logpmf(year).sum(), bounds=(0.1, 50), method="bounded"
    ).x
    assert size == pytest.approx(best, rel=0.06)


def test_a_reference_uses_known_days_before_its_lead_only() -> None:
    total = np.random.default_rng(1).poisson(3.0, DAYS)
    known = np.ones(DAYS, bool)
    known[450:460] = False
    changed = total.copy()
    changed[450:460] += 50
    changed[480:] += 50
    days = range(470, 481)
    same, other = (year_reference(history_of(numbers, is_known=known), days) for numbers in (total, changed))
    np.testing.assert_array_equal(same, other)
    assert len({*same[0]}) > 5
    expected = total[:480][known[:480]][-365:].mean()
    assert same[0, -1] == pytest.approx(expected)


def test_a_silent_year_leaves_an_alert_possible() -> None:
    mean, size = year_reference(history_of(np.zeros(DAYS, int)), range(0, DAYS, 400))
    assert np.isnan([mean[0], size[0]]).all()
    assert mean[1] == 0.5 / 365
    assert negative_binomial(mean[1], size[1]).pmf(1) > 0
