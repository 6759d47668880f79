import tracemalloc

import numpy as np
import pytest
from scipy.special import expit

from shotspotter_assets.models.next_day.shrunk_regression import fit_shrunk_regression

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(50_000, 12))
LABELS = RANDOM.random(50_000) < expit(ROWS[:, :3] @ [1.0, -0.5, 0.0] - 2)
PRIOR = np.linspace(-0.2, 0.4, 12)
COUNTED = RANDOM.integers(1, 4, 20_000).astype(float)


@pytest.mark.parametrize("inverse_penalty", [1e-4, np.logspace(-9, 3, 12)], ids=["for all", "for each"])
@pytest.mark.parametrize("counted", [None, COUNTED], ids=["once", "often"])
@pytest.mark.parametrize("start", [None, np.full(13, 0.5)], ids=["at the prior", "elsewhere"])
def test_weights_are_those_of_newtons_method(inverse_penalty, counted, start):
    rows, labels = ROWS[:20_000], LABELS[:20_000]
    weights, intercept = fit_shrunk_regression(rows, labels, PRIOR, inverse_penalty, counted, start)
    number = np.ones(len(rows)) if counted is None else counted
    design = np.column_stack([rows, np.ones(len(rows))])
    penalty = np.append(np.broadcast_to(1 / np.asarray(inverse_penalty), 12), 0.0)
    found = prior = np.append(PRIOR, 0.0)
    for _ in range(20):
        p = expit(design @ found)
        slope = design.T @ (number * (p - labels)) + penalty * (found - prior)
        found = found - np.linalg.solve((design.T * (number * p * (1 - p))) @ design + np.diag(penalty), slope)
    np.testing.assert_allclose([*weights, intercept], found, rtol=0, atol=1e-7)


def test_many_rows_are_not_copied():
    tracemalloc.start()
    fit_shrunk_regression(ROWS, LABELS, PRIOR, 1e-4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One block, and a few numbers a row.
    assert peak < ROWS.nbytes
