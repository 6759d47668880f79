"""Inputs of the networks: windows of daily counts, maps of the target day, and log odds to start at."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shotspotter_assets.storage.arrays import Booleans, Singles


@dataclass(frozen=True)
class NetworkInputs:
    """A city's days as a network reads them; `maps` and `start` are those of the days from `first_day` on."""

    counts: npt.NDArray[Any]  # alerts, shape (days, layers, rows, columns)
    in_coverage: Booleans  # shape (rows, columns)
    lead: int
    length: int  # days of counts in a window, the last of them `lead` days before the target day; 0 for no counts
    first_day: int = 0
    maps: Singles | None = None  # channels of the target day, shape (days, cells, channels)
    start: Singles | None = None  # log odds that the network adds to, shape (days, cells)

    @property
    def first_forecast(self) -> int:
        """The first day with a full window of counts before it."""
        return self.length + self.lead - 1 if self.length else 0

    def on_grid(self, values: Singles, days: npt.NDArray[np.integer]) -> Singles:
        """Return the rows of `days` of values (days, cells, ...) as (days, rows, columns, ...), 0 where not covered."""
        grid = np.zeros((len(days), *self.in_coverage.shape, *values.shape[2:]), np.float32)
        grid[:, self.in_coverage] = values[days - self.first_day]
        return grid
