import keras
import numpy as np

from shotspotter_assets.networks.residual import build_residual


def test_the_untrained_network_is_its_baseline_and_every_input_can_be_learned_from():
    keras.utils.set_random_seed(0)
    model = build_residual((5, 6, 7, 2), 3)
    random = np.random.default_rng(0)
    batch = {
        "frames": random.random((4, 5, 6, 7, 2), dtype=np.float32),
        "maps": random.random((4, 6, 7, 3), dtype=np.float32),
        "baseline": random.normal(size=(4, 6, 7, 1)).astype(np.float32),
    }
    np.testing.assert_array_equal(model.predict_on_batch(batch), batch["baseline"])
    model.get_layer("residual").kernel.assign(np.ones(model.get_layer("residual").kernel.shape))
    before = model.predict_on_batch(batch)
    for name in ("frames", "maps"):
        assert np.abs(model.predict_on_batch(batch | {name: batch[name] + 1}) - before).max() > 1e-4
    assert model.count_params() < 30_000
