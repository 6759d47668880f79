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
    those without a full window before them, or not `kept` (days,), are left out. `own_maps` are the layers with a map beside
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
        kept: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        counts, length, lead = inputs.counts, inputs.length, inputs.lead
        first = max(inputs.first_day, length + lead - 1 if length else 0)
        stop = len(counts) + (lead if own_maps is None else 0)
        self.days = np.arange(max(days.start, first), days.stop)
        if not len(self.days) or days.stop > stop:
            asked = f"target days {days.start} to {days.stop - 1}"
            raise ValueError(f"{asked} must lie from {first} (a full window before them) to {stop - 1}")
        if kept is not None:
            self.days = self.days[kept[self.days]]
        self.inputs, self.batch_size = inputs, batch_size
        # Channels last and contiguous: a window is one block. log1p keeps a burst of alerts from dominating.
        by_cell = counts.transpose(0, 2, 3, 1)
        self.frames = np.ascontiguousarray(np.log1p(by_cell, dtype=np.float32))
        self.before = np.arange(-length, 0) - (lead - 1)
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
        days, inputs = self.days[index * self.batch_size : (index + 1) * self.batch_size], self.inputs
        named = {}
        if inputs.length:
            named["frames"] = self.frames[days[:, None] + self.before]
        if inputs.maps is not None:
            named["maps"] = inputs.on_grid(inputs.maps, days)
        if inputs.start is not None:
            named["start"] = inputs.on_grid(inputs.start, days)
        return (named,) if self.occupied is None else (named, self.occupied[days].astype(np.float32))
