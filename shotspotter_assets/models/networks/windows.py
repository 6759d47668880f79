"""Windows over one array of daily counts: the inputs of the network `conv_lstm`, and its targets.

The targets are maps of occupancy (at least one alert in the cell on the day): map 0 for an alert of any layer, and one for
each layer that has a map of its own. Of gunshot alerts these are the types 0 to 2, so that there are four maps. Map 0 is
learned by itself because the probability of any alert follows from the others only if types were independent, which they
are not, and untyped alerts are in none of them.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from shotspotter_assets.models.networks.quiet_keras import keras

TYPED_LAYERS: Final = (0, 1, 2)
"""Of gunshot alerts, the layers with a map of their own; the fourth is of untyped alerts."""
HEAT_MAPS: Final = 1 + len(TYPED_LAYERS)
"""Of gunshot alerts."""


class Windows:
    """The counts of all days, once as network input and once as targets, and the windows cut from them.

    Args:
        counts: Non-negative counts, (days, layers, rows, columns).
        length: Days in a window.
        lead: The input for target day t is the `length` days that end with t - lead, never t itself.
        own_maps: Layers that have a map of their own beside map 0.

    Raises:
        ValueError: `counts` has another shape, or holds negative numbers or NaN.
    """

    def __init__(self, counts: np.ndarray, length: int, lead: int = 1, own_maps: Sequence[int] = TYPED_LAYERS) -> None:
        least = 1 + max(own_maps, default=0)
        if counts.ndim != 4 or counts.shape[1] < least:
            raise ValueError(f"counts must be (days, {least} layers or more, rows, columns), not {counts.shape}")
        if not counts.min(initial=0) >= 0:
            raise ValueError("counts must be numbers of alerts, none of them negative or NaN")
        self.length, self.lead = length, lead
        # Channels last and contiguous: a window is then one block. log1p keeps a burst of alerts from dominating.
        self.frames = np.ascontiguousarray(np.log1p(counts.transpose(0, 2, 3, 1), dtype=np.float32))
        occupied = counts.transpose(0, 2, 3, 1) > 0
        self.occupied = np.concatenate([occupied.any(axis=-1, keepdims=True), occupied[..., list(own_maps)]], axis=-1)

    def inputs(self, days: np.ndarray) -> np.ndarray:
        """Windows before the target days: float32 (n, length, rows, columns, layers)."""
        return self.frames[days[:, None] - (self.lead - 1) + np.arange(-self.length, 0)]

    def targets(self, days: np.ndarray) -> np.ndarray:
        """Occupancy on the target days: float32 0 or 1, (n, rows, columns, maps)."""
        return self.occupied[days].astype(np.float32)

    def rates(self, days: np.ndarray, in_coverage: np.ndarray) -> np.ndarray:
        """Share of occupied cells of the coverage per map over the days: float64 (maps,)."""
        return self.occupied[days].mean(axis=0)[in_coverage].mean(axis=0)

    def checked_days(self, days: Iterable[int], what: str, known: bool) -> np.ndarray:
        """Target days as an array of int64, each with a full window before it.

        Raises:
            ValueError: No day is given, or a day lies outside; unless `known`, the day `lead` days after the last is inside.
        """
        array = np.fromiter(days, dtype=np.int64)
        first, last = self.length + self.lead - 1, len(self.frames) - 1 + (0 if known else self.lead)
        if array.size == 0 or array.min() < first or array.max() > last:
            span = f"{array.min()} to {array.max()}" if array.size else "none"
            raise ValueError(
                f"{what} days ({span}) must be at least one and lie from {first} (a full window before them) "
                f"to {last}: the counts hold {len(self.frames)} days"
            )
        return array


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


def shuffled(days: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The days in the order of one epoch.

    The order depends on (seed, epoch) alone: a resumed run needs no saved state, and no two epochs share one
    (Keras's own shuffling repeats a single permutation after `keras.utils.set_random_seed`).
    """
    return np.random.default_rng([seed, epoch]).permutation(days)
