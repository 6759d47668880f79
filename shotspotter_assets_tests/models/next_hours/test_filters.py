import numpy as np
import pytest

from shotspotter_assets.models.next_hours.filters import recursive_mean


@pytest.mark.parametrize("half_life", [1.0, 30.0, np.inf])
@pytest.mark.parametrize("hours", [range(1, 40), range(17, 40), range(39, 40)])
def test_recursive_mean_is_its_definition(half_life, hours):
    values = np.random.default_rng(0).poisson(0.5, (40, 3)).astype(np.float32)
    for at, hour in enumerate(hours):
        weights = 2.0 ** (-(hour - 1 - np.arange(hour)) / half_life)
        expected = weights @ values[:hour] / weights.sum()
        np.testing.assert_allclose(recursive_mean(values, hours, half_life)[at], expected, rtol=1e-4)
