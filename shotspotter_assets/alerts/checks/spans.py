"""Lengths of time that several checks share, and blocks of days."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shotspotter_assets.storage.arrays import Booleans, Days

QUARTER_DAYS: Final = 91
MIN_LEVEL_DAYS: Final = 56  # minimum number of ordinary days before a day for its usual level


@dataclass(frozen=True)
class Block:
    """Contiguous days, such as a year or a month, both ends included."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"

    def holds(self, dates: "Days") -> "Booleans":
        """Flag the dates in the block."""
        import numpy as np

        return (dates >= np.datetime64(self.first)) & (dates <= np.datetime64(self.last))
