import tracemalloc

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from shotspotter_assets.models.next_day.shrunk_regression import fit_shrunk_regression

INVERSE_PENALTY = 1e-4
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(4_000, 3))
TRUE = np.array([1.0, -0.5, 0.0])
LABELS = RANDOM.random(4_000) < expit(ROWS @ TRUE - 3)


def test_shrunk_towards_zero_it_is_the_usual_regression():
    usual = LogisticRegression(C=INVERSE_PENALTY, solver="newton-cholesky", tol=1e-8).fit(ROWS, LABELS)
    weights, intercept = fit_shrunk_regression(ROWS, LABELS, np.zeros(3), INVERSE_PENALTY)
    np.testing.assert_allclose(weights, usual.coef_[0], atol=1e-6)
    assert intercept == pytest.approx(usual.intercept_[0], abs=1e-5)


def test_weights_lie_between_the_other_citys_and_the_citys_own():
    own = LogisticRegression(C=1e6, solver="newton-cholesky").fit(ROWS, LABELS).coef_[0]
    weights, intercept = fit_shrunk_regression(ROWS, LABELS, TRUE + 1, INVERSE_PENALTY)
    assert ((own < weights) & (weights < TRUE + 1)).all()
    # The city's rate is its own, whatever the other's weights say.
    assert expit(ROWS @ weights + intercept).mean() == pytest.approx(LABELS.mean(), rel=1e-4)
    few, _ = fit_shrunk_regression(ROWS[:100], LABELS[:100], TRUE + 1, INVERSE_PENALTY)
    assert np.abs(few - (TRUE + 1)).max() < np.abs(weights - (TRUE + 1)).max()


def test_each_weight_may_have_a_variance_of_its_own():
    weights, _ = fit_shrunk_regression(ROWS, LABELS, np.zeros(3), np.array([1e-9, 1e6, 1e6]))
    own = LogisticRegression(C=1e6, solver="newton-cholesky", tol=1e-8).fit(ROWS[:, 1:], LABELS).coef_[0]
    np.testing.assert_allclose(weights, [0, *own], atol=1e-4)


def test_many_rows_are_not_copied_and_give_what_all_of_them_at_once_give():
    rows = RANDOM.normal(size=(50_000, 12))
    labels = RANDOM.random(50_000) < expit(rows[:, :3] @ TRUE - 2)
    prior_weights = np.linspace(-0.2, 0.4, 12)
    tracemalloc.start()
    weights, intercept = fit_shrunk_regression(rows, labels, prior_weights, INVERSE_PENALTY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One block, and a few numbers a row.
    assert peak < rows.nbytes

    # Newton's method to the end.
    design, penalty = np.column_stack([rows, np.ones(len(rows))]), np.append(np.full(12, 1 / INVERSE_PENALTY), 0.0)
    found = prior = np.append(prior_weights, 0.0)
    for _ in range(20):
        p = expit(design @ found)
        slope = design.T @ (p - labels) + penalty * (found - prior)
        found = found - np.linalg.solve((design.T * (p * (1 - p))) @ design + np.diag(penalty), slope)
    np.testing.assert_allclose([*weights, intercept], found, rtol=0, atol=1e-9)


def test_rows_that_count_several_times_are_as_if_they_were_there_so_often():
    counted = RANDOM.integers(1, 4, 4_000).astype(float)
    repeated = np.repeat(np.arange(4_000), counted.astype(int))
    expected = fit_shrunk_regression(ROWS[repeated], LABELS[repeated], TRUE, INVERSE_PENALTY)
    weights, intercept = fit_shrunk_regression(ROWS, LABELS, TRUE, INVERSE_PENALTY, counted)
    np.testing.assert_allclose([*weights, intercept], [*expected[0], expected[1]], atol=1e-8)
    # Wherever the search starts.
    again = fit_shrunk_regression(ROWS, LABELS, TRUE, INVERSE_PENALTY, counted, np.array([0.5, 0.5, 0.5, -1.0]))
    np.testing.assert_allclose([*again[0], again[1]], [*expected[0], expected[1]], atol=1e-8)
