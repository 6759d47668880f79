from datetime import date

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from shotspotter_assets.models.alert_counts import negative_binomial, year_reference
from shotspotter_assets.models.history import History
from shotspotter_assets_tests.evaluation import cities

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
