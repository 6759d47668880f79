"""Batches of the inputs and targets of the networks.

The targets are maps of occupancy (at least one alert in the cell on the day): map 0 for an alert of any layer, then one
for each layer that has a map. Map 0 is learned separately because it follows from the type maps only if types were
independent, and because untyped alerts are in none of them.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from shotspotter_assets.models.networks.network_inputs import NetworkInputs
from shotspotter_assets.models.networks.quiet_keras import keras


class Windows(keras.utils.PyDataset):
    """Batches of (inputs by name, occupancy) for target days; pass `shuffle=False` to Keras.

    The inputs are `frames` (n, length, rows, columns, layers), `maps` (n, rows, columns, channels) and `start` (n, rows,
    columns), those that there are; the targets (n, rows, columns, maps), all float32. `days` are indexes into the counts;
    those without a full window before them, or not `used` (days,), are left out. `own_maps` are the layers with a map beside
    map 0; None, for days whose counts are not known yet, gives no targets. `seed` is that of the order of days, which changes
    every epoch; None keeps the order of time. Raises ValueError if no day has a full window, or one lies beyond the counts.
    """

    def __init__(
        self,
        inputs: NetworkInputs,
        days: range,
        batch_size: int,
        own_maps: Sequence[int] | None = None,
        seed: int | None = None,
        used: np.ndarray | None = None,
    ) -> None:
        """Prepare the frames of all days, and the targets of the layers with a map."""
        super().__init__()
        first = max(inputs.first_day, inputs.first_forecast)
        stop = len(inputs.counts) + (inputs.lead if own_maps is None else 0)
        self.days = np.arange(max(days.start, first), days.stop)
        if not len(self.days) or days.stop > stop:
            raise ValueError(
                f"target days {days.start} to {days.stop - 1} must lie from {first} (a full window before them) to {stop - 1}"
            )
        if used is not None:
            self.days = self.days[used[self.days]]
        self.inputs = inputs
        self.batch_size = batch_size
        # Channels last and contiguous: a window is one block. log1p keeps a burst of alerts from dominating.
        by_cell = inputs.counts.transpose(0, 2, 3, 1)
        self.frames = np.ascontiguousarray(np.log1p(by_cell, dtype=np.float32))
        self.before = np.arange(-inputs.length, 0) - (inputs.lead - 1)
        self.occupied: np.ndarray | None = None
        if own_maps is not None:
            is_any = (by_cell > 0).any(axis=-1, keepdims=True)
            self.occupied = np.concatenate([is_any, by_cell[..., list(own_maps)] > 0], axis=-1)
        self.random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Draw the order of days of the next epoch."""
        if self.random is not None:
            self.random.shuffle(self.days)

    def release(self) -> None:
        """Drop the arrays: TensorFlow keeps each data set of a training for the life of the process."""
        del self.inputs, self.frames, self.occupied

    def rates(self) -> np.ndarray:
        """Return the share of occupied covered cells per map over the target days: float64 (maps,)."""
        assert self.occupied is not None
        return self.occupied[self.days].mean(axis=0)[self.inputs.in_coverage].mean(axis=0)

    def __len__(self) -> int:
        return math.ceil(len(self.days) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        days = self.days[index * self.batch_size : (index + 1) * self.batch_size]
        inputs = self.inputs
        named = {}
        if inputs.length:
            named["frames"] = self.frames[days[:, None] + self.before]
        if inputs.maps is not None:
            named["maps"] = inputs.on_grid(inputs.maps, days)
        if inputs.start is not None:
            named["start"] = inputs.on_grid(inputs.start, days)
        return (named,) if self.occupied is None else (named, self.occupied[days].astype(np.float32))
