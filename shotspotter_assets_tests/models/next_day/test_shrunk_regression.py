"""A thin city that starts at another city's regression: the fit itself, when it is taken, and a year of real alerts."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from shotspotter_assets.cities.city import FIRST_EVENT_CODE
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.gridding.tensors import cells
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import ordinary_days
from shotspotter_assets.models.next_day.regime_regression import (
    OtherInputsError,
    Pretrained,
    RegimeRegressionForecaster,
)
from shotspotter_assets.models.next_day.shrunk_regression import INVERSE_PENALTY, is_beyond_chance, pulled_regression
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets_tests.models.histories import TEST, TRAIN, VALIDATION, history
from shotspotter_assets_tests.quality.real_cities import cities, load

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(4_000, 3))
TRUE = np.array([1.0, -0.5, 0.0])
LABELS = RANDOM.random(4_000) < expit(ROWS @ TRUE - 3)


def test_towards_zero_it_is_the_usual_regression():
    usual = LogisticRegression(C=INVERSE_PENALTY, solver="newton-cholesky", tol=1e-8).fit(ROWS, LABELS)
    weights, intercept = pulled_regression(ROWS, LABELS, np.zeros(3))
    np.testing.assert_allclose(weights, usual.coef_[0], atol=1e-6)
    assert intercept == pytest.approx(usual.intercept_[0], abs=1e-5)


def test_weights_lie_between_the_other_citys_and_the_citys_own():
    own = LogisticRegression(C=1e6, solver="newton-cholesky").fit(ROWS, LABELS).coef_[0]
    weights, intercept = pulled_regression(ROWS, LABELS, TRUE + 1)
    assert ((own < weights) & (weights < TRUE + 1)).all()
    # The city's level is its own, whatever the other's weights say.
    assert expit(ROWS @ weights + intercept).mean() == pytest.approx(LABELS.mean(), rel=1e-4)
    few, _ = pulled_regression(ROWS[:100], LABELS[:100], TRUE + 1)
    assert np.abs(few - (TRUE + 1)).max() < np.abs(weights - (TRUE + 1)).max()


def test_many_rows_are_not_copied_and_give_what_all_of_them_at_once_give():
    rows = RANDOM.normal(size=(50_000, 12))
    labels = RANDOM.random(50_000) < expit(rows[:, :3] @ TRUE - 2)
    towards = np.linspace(-0.2, 0.4, 12)
    tracemalloc.start()
    weights, intercept = pulled_regression(rows, labels, towards)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One block, and a few numbers a row.
    assert peak < rows.nbytes

    # Newton's method to the end.
    design, penalty = np.column_stack([rows, np.ones(len(rows))]), np.append(np.full(12, 1 / INVERSE_PENALTY), 0.0)
    found = pulled = np.append(towards, 0.0)
    for _ in range(20):
        p = expit(design @ found)
        slope = design.T @ (p - labels) + penalty * (found - pulled)
        found = found - np.linalg.solve((design.T * (p * (1 - p))) @ design + np.diag(penalty), slope)
    np.testing.assert_allclose([*weights, intercept], found, rtol=0, atol=1e-9)


def test_a_few_better_weeks_are_chance():
    weekly = np.array([2.1, -0.5, 0.1, 1.2, 2.2, 2.0, -0.6])
    assert not is_beyond_chance(np.repeat(weekly, 7))
    # The same for half a year is not.
    assert is_beyond_chance(np.repeat(np.tile(weekly, 4), 7))
    assert not is_beyond_chance(-np.repeat(np.tile(weekly, 4), 7))
    assert not is_beyond_chance(np.full(13, 1.0))


@pytest.fixture(scope="module")
def other() -> Pretrained:
    fitted = forecaster("regime_regression").fit(history(seed=7), TRAIN, VALIDATION)
    assert "pretrained" not in fitted.settings
    return Pretrained("other_city|2022-01-01", fitted)


def test_what_fits_is_taken_and_what_does_not_is_not(other):
    of = history()
    started = forecaster("regime_regression").fit(of, TRAIN, VALIDATION, other)
    assert started.settings["pretrained"] == {"from": "other_city|2022-01-01", "used": True}
    assert started.settings["inverse_penalty"] == INVERSE_PENALTY
    loaded = RegimeRegressionForecaster().load(started.files())
    assert loaded.settings == started.settings
    np.testing.assert_allclose(loaded.predict(of, TEST), started.predict(of, TEST), rtol=1e-12)

    upside_down = replace(other.regression, weights=-3 * other.regression.weights)
    refused = forecaster("regime_regression").fit(of, TRAIN, VALIDATION, Pretrained("bad|2022-01-01", upside_down))
    assert refused.settings["pretrained"] == {"from": "bad|2022-01-01", "used": False}
    alone = forecaster("regime_regression").fit(of, TRAIN, VALIDATION)
    np.testing.assert_array_equal(refused.predict(of, TEST), alone.predict(of, TEST))


def test_cities_may_differ_in_their_inputs(other):
    """A city that publishes no hours lacks the inputs of late alerts; the others are matched by name."""
    of = history(late=False)
    started = forecaster("regime_regression").fit(of, TRAIN, VALIDATION, other)
    assert len(started.names) < len(other.regression.names)
    assert started.settings["pretrained"]["used"]
    assert started.predict(of, TEST).shape == (len(TEST), of.covered.sum())


def test_a_start_of_another_version_is_refused(other):
    names = other.regression.names
    renamed = tuple(name.replace("log_shrunk_", "log_") for name in names)
    for old in (renamed, names[:-1]):
        regression = replace(other.regression, names=old, weights=other.regression.weights[: len(old)])
        with pytest.raises(
            OtherInputsError, match=r"small_city starts at the model of old_city\|2022-01-01, which was"
        ):
            forecaster("residual_boosting").fit(
                history(), TRAIN, VALIDATION, Pretrained("old_city|2022-01-01", regression)
            )


def test_boosting_starts_on_it_and_says_so(other):
    of = history()
    boosted = forecaster("residual_boosting").fit(of, TRAIN, VALIDATION, other)
    linear = forecaster("regime_regression").fit(of, TRAIN, VALIDATION, other)
    np.testing.assert_array_equal(boosted.linear.weights, linear.weights)
    assert boosted.settings["pretrained"] == linear.settings["pretrained"]


def real_history(data: Path, name: str, days: int, fitted_on: int) -> History:
    """A real city's first days, all alerts of one type, with the coverage of those that are fitted on."""
    of = load(cities()[name], data)
    city, alerts = of.city, of.alerts
    day = (alerts["date"].to_numpy() - np.datetime64(city.start)).astype(np.int64)
    row, column = cells(alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy(), city.box, city.grid)
    counts = np.zeros((days, FIRST_EVENT_CODE, *city.shape), dtype=np.uint16)
    known = day < days
    np.add.at(counts, (day[known], 0, row[known], column[known]), 1)
    return History(city, city.start, counts, estimate_coverage(counts[:fitted_on].sum(axis=1, dtype=np.int64)))


def test_a_year_of_a_real_city_is_worth_more_with_two_of_another(real_data: Path):
    oakland = real_history(real_data, "oakland_ca", 730, 730)
    start = forecaster("regime_regression").fit(oakland, range(620), range(620, 730))
    # Cincinnati's first year, and the half year after it.
    thin = real_history(real_data, "cincinnati_oh", 365 + 184, 365)
    train, validation, test = range(310), range(310, 365), range(365, 365 + 184)
    tested = np.array([day for day in test if ordinary_days(thin)[day]])
    loss = {}
    for of in (None, Pretrained("oakland_ca|2010-01-01", start)):
        fitted = forecaster("regime_regression").fit(thin, train, validation, of)
        p = fitted.predict(thin, test)[tested - test.start]
        loss[of is not None] = log_losses(p, thin.observed[tested]).sum() / thin.observed[tested].sum()
    assert fitted.settings["pretrained"]["used"]
    assert loss[True] < loss[False] - 0.02
