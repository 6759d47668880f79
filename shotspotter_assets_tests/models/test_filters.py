import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from shotspotter_assets.models import filters
from shotspotter_assets.models.filters import exponential_mean, smooth_cells, smoothing_weights, weighted_cells
from shotspotter_assets_tests.evaluation.cities import COVERED


@pytest.mark.parametrize("half_life", [7, 90, np.inf])
@pytest.mark.parametrize("share_kept", [0.7, 1.1])
def test_exponential_mean_is_the_weighted_mean_of_earlier_kept_days(half_life, share_kept):
    random = np.random.default_rng(0)
    daily, kept = random.random((30, 4)), random.random(30) < share_kept
    kept[:2] = share_kept > 1
    mean = exponential_mean(daily, half_life, kept)
    for day in range(31):
        weight = 2.0 ** (-(day - 1 - np.arange(day)) / half_life) * kept[:day]
        expected = weight @ daily[:day] / weight.sum() if weight.sum() else np.zeros(4)
        np.testing.assert_allclose(mean[day], expected, atol=1e-12)


def test_smoothing_is_a_gaussian_mean_over_covered_cells():
    daily = np.random.default_rng(0).random((2, COVERED.sum()))
    smooth = smooth_cells(daily, COVERED, 0.7)
    point = np.zeros((6, 6))
    point[2, 3] = 1.0
    kernel = gaussian_filter(point, 0.7, mode="constant")[COVERED]
    cell = int(np.flatnonzero(np.flatnonzero(COVERED.ravel()) == 2 * 6 + 3)[0])
    np.testing.assert_allclose(smooth[:, cell], daily @ kernel / kernel.sum())
    np.testing.assert_allclose(smooth_cells(np.ones((1, COVERED.sum())), COVERED, 1.5), 1.0)
    assert smooth_cells(daily, COVERED, 0) is daily


def test_maps_smoothed_in_parts_are_the_same_to_the_bit(monkeypatch):
    daily = np.random.default_rng(0).random((23, COVERED.sum()))
    whole = smooth_cells(daily, COVERED, 1.5)
    monkeypatch.setattr(filters, "MAX_NUMBERS_AT_ONCE", 5 * COVERED.size)
    np.testing.assert_array_equal(smooth_cells(daily, COVERED, 1.5), whole)


@pytest.mark.parametrize("before", [[40], [0, 3, 3, 17], range(41)])
def test_means_before_some_days_are_those_among_all(before):
    random = np.random.default_rng(0)
    daily, kept = random.random((40, 3)) < 0.3, random.random(40) < 0.8
    every = exponential_mean(daily, 7.0, kept)
    some = exponential_mean(daily, 7.0, kept, np.array(before))
    np.testing.assert_allclose(some, every[np.array(before)], rtol=1e-12)


@pytest.mark.parametrize("width", [0.8, 2.0])
def test_smoothing_weights_are_gaussian_and_sum_to_one(width):
    in_coverage = np.random.default_rng(0).random((24, 40)) < 0.7
    cells = np.argwhere(in_coverage)
    expected = np.exp(-((cells[:, None] - cells) ** 2).sum(axis=2) / (2 * width**2))
    expected /= expected.sum(axis=1, keepdims=True)
    weights = smoothing_weights(in_coverage, width)
    np.testing.assert_allclose(weights.toarray(), expected, rtol=1e-5, atol=1e-8)
    assert weights.nnz < expected.size
    values = np.random.default_rng(1).poisson(0.1, (5, len(cells))).astype(np.float32)
    np.testing.assert_allclose(weighted_cells(values, weights), values @ expected.T, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("half_life", [1.0, 30.0, np.inf])
@pytest.mark.parametrize("hours", [range(1, 40), range(17, 40), range(39, 40)])
def test_means_in_single_precision_are_their_definition(half_life, hours):
    values = np.random.default_rng(0).poisson(0.5, (40, 3)).astype(np.float32)
    found = exponential_mean(values, half_life, before=hours)
    assert found.dtype == np.float32
    for at, hour in enumerate(hours):
        weights = 2.0 ** (-(hour - 1 - np.arange(hour)) / half_life)
        np.testing.assert_allclose(found[at], weights @ values[:hour] / weights.sum(), rtol=1e-4)
