"""Batches hold the windows of the days asked for, in that order."""

import numpy as np

from shotspotter_assets.models.networks.batches import WindowBatches
from shotspotter_assets.models.networks.windows import Windows


def test_batches_are_the_windows_in_order() -> None:
    counts = np.random.default_rng(0).poisson(0.5, (20, 4, 2, 3)).astype(np.uint16)
    windows, days = Windows(counts, 4), np.array([9, 4, 19, 7, 12])
    batches = WindowBatches(windows, days, 2)
    assert [len(batches[index][0]) for index in range(len(batches))] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in batches]), windows.inputs(days))
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in batches]), windows.targets(days))
    assert len(WindowBatches(windows, days, 5, with_targets=False)[0]) == 1
