import keras
import numpy as np

from shotspotter_assets.models.networks.residual_conv_lstm import MEMBERS, build_residual, members_cross_entropy


def batch_of(cells: list[int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "frames": random.random((4, 5, 6, 7, 2), dtype=np.float32),
        "cells": np.tile(np.array(cells, dtype=np.int32), (4, 1)),
        "inputs": random.random((4, len(cells), 3), dtype=np.float32),
        "baseline": random.normal(size=(4, len(cells), 1)).astype(np.float32),
    }


def test_the_untrained_network_is_its_baseline_and_every_input_can_be_learned_from():
    keras.utils.set_random_seed(0)
    model = build_residual((5, 6, 7, 2), 3)
    batch = batch_of([0, 8, 20, 41])
    of_members = np.repeat(batch["baseline"], MEMBERS, axis=2)
    np.testing.assert_array_equal(model.predict_on_batch(batch), of_members)
    model.get_layer("residual").kernel.assign(np.ones(model.get_layer("residual").kernel.shape))
    before = model.predict_on_batch(batch)
    for name in ("frames", "cells", "inputs"):
        moved = np.abs(model.predict_on_batch(batch | {name: batch[name] + (-1) ** (name == "cells")}) - before)
        assert moved.max() > 1e-4
    assert model.count_params() < 30_000


def test_each_cell_reads_the_frames_at_its_own_place():
    keras.utils.set_random_seed(0)
    model = build_residual((5, 6, 7, 2), 3)
    model.get_layer("residual").kernel.assign(np.ones(model.get_layer("residual").kernel.shape))
    batch = batch_of([0, 41])
    frames = batch["frames"].copy()
    frames[:, -1, 5, 6] += 1
    moved = np.abs(model.predict_on_batch(batch | {"frames": frames}) - model.predict_on_batch(batch))
    assert moved[:, 1].max() > 1e-4
    # The corners of the grid are farther apart than the last frame's alerts are passed on in five steps.
    assert moved[:, 0].max() < 1e-3 * moved[:, 1].max()


def test_the_loss_is_that_of_each_member_and_not_of_their_mean():
    targets = np.array([[[1.0], [0.0]]])
    logits = np.array([[[2.0, -1.0], [0.5, 0.0]]])
    p = 1 / (1 + np.exp(-logits))
    expected = -np.where(targets == 1, np.log(p), np.log(1 - p)).mean()
    np.testing.assert_allclose(np.asarray(members_cross_entropy(targets, logits)), [expected], rtol=1e-6)
