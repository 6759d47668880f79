"""Batches of windows for Keras; what a window is, and in which order days come, is in `windows.py`."""

import math
from typing import Any

import keras
import numpy as np

from shotspotter_assets.models.networks.windows import Windows


class WindowBatches(keras.utils.PyDataset):
    """Batches of windows for the given target days in the given order; pass `shuffle=False` to Keras.

    Args:
        windows: The one array all windows are cut from.
        days: Target days, in the order they are to come.
        batch_size: Windows per batch; the last batch holds the rest.
        with_targets: False gives inputs only, for days whose own counts are not known yet.
    """

    def __init__(self, windows: Windows, days: np.ndarray, batch_size: int, with_targets: bool = True) -> None:
        super().__init__()
        self.windows = windows
        self.days = days
        self.batch_size = batch_size
        self.with_targets = with_targets

    def __len__(self) -> int:
        return math.ceil(len(self.days) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        days = self.days[index * self.batch_size : (index + 1) * self.batch_size]
        inputs = self.windows.inputs(days)
        return (inputs, self.windows.targets(days)) if self.with_targets else (inputs,)
