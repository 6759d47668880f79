import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from shotspotter_assets.models import filters
from shotspotter_assets_tests.evaluation.cities import COVERED


@given(
    st.sampled_from([1.0, 7.0, 90.0, np.inf]), st.sampled_from([0.5, 1.1]), st.sampled_from([np.float32, np.float64]),
    st.none() | st.lists(st.integers(0, 40), min_size=1).map(sorted), st.integers(0, 99),
)  # fmt: skip
def test_exponential_mean_is_the_weighted_mean_of_earlier_kept_times(half_life, share_kept, kind, before, seed):
    random = np.random.default_rng(seed)
    values = random.poisson(0.5, (40, 3)).astype(kind)
    kept = random.random(40) < share_kept
    mean = filters.exponential_mean(values, half_life, None if kept.all() else kept, before and np.array(before))
    assert mean.dtype == kind
    for at, time in enumerate(range(41) if before is None else before):
        weight = 2.0 ** (-(time - 1 - np.arange(time)) / half_life) * kept[:time]
        expected = weight @ values[:time] / weight.sum() if weight.sum() > filters.MIN_WEIGHT else np.zeros(3)
        np.testing.assert_allclose(mean[at], expected, rtol=1e-4 if kind == np.float32 else 1e-12, atol=1e-6)


def test_smoothing_is_a_gaussian_mean_over_covered_cells():
    daily = np.random.default_rng(0).random((2, COVERED.sum()))
    smooth = filters.smooth_cells(daily, COVERED, 0.7)
    point = np.zeros((6, 6))
    point[2, 3] = 1.0
    kernel = gaussian_filter(point, 0.7, mode="constant")[COVERED]
    cell = int(np.flatnonzero(np.flatnonzero(COVERED.ravel()) == 2 * 6 + 3)[0])
    np.testing.assert_allclose(smooth[:, cell], daily @ kernel / kernel.sum())
    np.testing.assert_allclose(filters.smooth_cells(np.ones((1, COVERED.sum())), COVERED, 1.5), 1.0)
    assert filters.smooth_cells(daily, COVERED, 0) is daily


def test_maps_smoothed_in_parts_are_the_same_to_the_bit(monkeypatch):
    daily = np.random.default_rng(0).random((23, COVERED.sum()))
    whole = filters.smooth_cells(daily, COVERED, 1.5)
    monkeypatch.setattr(filters, "MAX_NUMBERS_AT_ONCE", 5 * COVERED.size)
    np.testing.assert_array_equal(filters.smooth_cells(daily, COVERED, 1.5), whole)


@pytest.mark.parametrize("width", [0.8, 2.0])
def test_smoothing_weights_are_gaussian_and_sum_to_one(width):
    in_coverage = np.random.default_rng(0).random((24, 40)) < 0.7
    cells = np.argwhere(in_coverage)
    expected = np.exp(-((cells[:, None] - cells) ** 2).sum(axis=2) / (2 * width**2))
    expected /= expected.sum(axis=1, keepdims=True)
    weights = filters.smoothing_weights(in_coverage, width)
    np.testing.assert_allclose(weights.toarray(), expected, rtol=1e-5, atol=1e-8)
    assert weights.nnz < expected.size
    values = np.random.default_rng(1).poisson(0.1, (5, len(cells))).astype(np.float32)
    np.testing.assert_allclose(filters.weighted_cells(values, weights), values @ expected.T, rtol=1e-4, atol=1e-7)
