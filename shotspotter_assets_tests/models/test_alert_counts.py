import numpy as np
import pytest
from scipy.stats import nbinom

from shotspotter_assets.models.alert_counts import FIREWORK_VARIANCE, AlertCounts

NIGHTS = np.zeros(400, dtype=bool)
NIGHTS[::20] = True


def made_up(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of bursts, and the true probability of at least one; firework nights have larger bursts."""
    random = np.random.default_rng(seed)
    probability = np.clip(random.gamma(1.0, 0.08, (400, 60)), 1e-4, 0.9)
    mean, size = np.where(NIGHTS, 4.0, 0.8)[:, None], 0.7
    none = (size / (size + mean)) ** size
    some = nbinom.ppf(none + random.random(probability.shape) * (1 - none), size, size / (size + mean))
    return (some * (random.random(probability.shape) < probability)).astype(np.int64), probability


@pytest.fixture(scope="module")
def fitted() -> AlertCounts:
    return AlertCounts.fit(*made_up(), NIGHTS)


def test_totals_are_right_on_other_days(fitted):
    counts, probability = made_up(seed=1)
    expected = fitted.expected(probability, NIGHTS[:, None])
    assert expected.sum() == pytest.approx(counts.sum(), rel=0.05)
    assert expected[NIGHTS].sum() == pytest.approx(counts[NIGHTS].sum(), rel=0.15)


@pytest.mark.parametrize("night", [False, True])
def test_mean_and_variance_are_those_of_the_distribution(night):
    probability, numbers = np.array([[0.01], [0.2], [0.9]]), np.arange(1, 401)
    mean, size = 4.0 if night else 0.8, 0.7
    counts = AlertCounts((np.log(0.8), np.log(5)), 0.0, (np.log(size), 0.0), city_variance=0.0)
    some = nbinom.pmf(numbers, size, size / (size + mean)) / nbinom.sf(0, size, size / (size + mean)) * probability
    expected = counts.expected(probability, np.array(night))
    np.testing.assert_allclose(some @ numbers, expected[:, 0], rtol=1e-6)
    variance = counts.variance(probability, np.array(night))
    np.testing.assert_allclose(some @ numbers**2 - expected[:, 0] ** 2, variance[:, 0], rtol=1e-4)


def test_the_interval_of_the_total_has_its_coverage(fitted):
    counts, probability = made_up(seed=2)
    low, high = fitted.total_interval(probability, NIGHTS[:, None])
    total = counts.sum(axis=1)
    assert 0.74 < ((total >= low) & (total <= high)).mean() < 0.9


def test_totals_of_firework_days_whose_level_is_not_known_are_held(fitted):
    """In a large city chance alone is small, so that the level decides."""
    _, probability = made_up()
    probability, night = np.tile(probability, (5, 20)), np.ones((2_000, 1), dtype=bool)
    level = np.random.default_rng(5).gamma(1 / FIREWORK_VARIANCE, FIREWORK_VARIANCE, 2_000)
    total = fitted.expected(probability, night).sum(axis=1) * level
    low, high = fitted.total_interval(probability, night)
    assert 0.77 < ((total >= low) & (total <= high)).mean() < 0.87


def test_single_alerts_only_and_few_firework_alerts_are_no_trouble():
    counts, probability = made_up()
    ones, no_nights = np.minimum(counts, 1), np.zeros(400, dtype=bool)
    single = AlertCounts.fit(ones, probability, no_nights)
    assert single.expected(probability, no_nights[:, None]).sum() == pytest.approx(ones.sum(), rel=0.1)
    assert single.intercept[1] == single.size[1] == 0


def test_files_hold_it(fitted):
    assert AlertCounts.load(fitted.files()) == fitted


def test_silence_cannot_be_fitted():
    with pytest.raises(ValueError, match="None of 24000"):
        AlertCounts.fit(np.zeros((400, 60), dtype=np.int64), np.full((400, 60), 0.1), NIGHTS)
