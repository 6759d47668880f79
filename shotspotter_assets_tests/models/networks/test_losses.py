import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from shotspotter_assets.models.networks.losses import undo_class_weight, weighted_cross_entropy

GENERATOR = np.random.default_rng(3)
COVERED = GENERATOR.random((5, 6)) < 0.6
TARGETS = (GENERATOR.random((3, 5, 6, 4)) < 0.3).astype(np.float32)
LOGITS = GENERATOR.normal(size=(3, 5, 6, 4)).astype(np.float32)


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0, 100.0])
def test_equals_the_weighted_log_loss_of_covered_cells(weight: float) -> None:
    losses = np.asarray(weighted_cross_entropy(COVERED, weight)(TARGETS, LOGITS))
    for sample in range(3):
        y, p = TARGETS[sample][COVERED].ravel(), 1 / (1 + np.exp(-LOGITS[sample][COVERED].ravel()))
        weights = np.where(y == 1, weight, 1.0)
        # scikit-learn divides by the sum of weights, this loss by the number of cells.
        expected = log_loss(y, p, sample_weight=weights) * weights.mean()
        assert losses[sample] == pytest.approx(expected, rel=1e-5)


def test_uncovered_cells_have_neither_value_nor_gradient() -> None:
    loss = weighted_cross_entropy(COVERED, 10.0)
    outside = ~COVERED[None, :, :, None]
    np.testing.assert_array_equal(
        loss(np.where(outside, 1 - TARGETS, TARGETS), np.where(outside, LOGITS + 5, LOGITS)), loss(TARGETS, LOGITS)
    )
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        value = loss(TARGETS, logits)
    gradient = np.asarray(tape.gradient(value, logits))
    assert not gradient[:, ~COVERED].any()
    assert gradient[:, COVERED].all()


@given(st.floats(1e-6, 1 - 1e-6), st.sampled_from([0.01, 1.0, 10.0, 100.0]))
def test_undoing_the_class_weight_divides_the_odds(q: float, weight: float) -> None:
    p = float(undo_class_weight(np.array(q), weight))
    assert p / (1 - p) == pytest.approx(q / (1 - q) / weight, rel=1e-6)
