"""What is written down about a fold's model, so that a report can trust it and a reader can repeat it."""

import hashlib
import platform
from datetime import date
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.training.config import NetworkConfig

PACKAGES = ("tensorflow", "keras", "numpy", "shotspotter_assets")


class FoldRecord(BaseModel):
    """Window, settings, versions, data and history of one trained fold; stored as `record.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    city: str
    fold: date
    train_first: date
    train_last: date
    train_days: int
    validation_first: date
    validation_last: date
    validation_days: int
    covered: list[tuple[int, int]]
    """(row, column) of the covered cells, estimated on the days before the cutoff."""
    config: NetworkConfig
    versions: dict[str, str]
    data_sha256: str
    """Of the counts before the cutoff: a report notices when the days were gridded anew with another result."""
    model_sha256: str
    history: list[dict[str, float]]
    best_epoch: int
    resumed_from_epoch: int
    seconds_to_train: float

    def covered_mask(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """`covered` as a mask of the grid's shape (rows, columns)."""
        mask = np.zeros(shape, dtype=bool)
        mask[tuple(np.array(self.covered, dtype=np.int64).reshape(-1, 2).T)] = True
        return mask


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a model depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def counts_sha256(counts: npt.NDArray[np.uint16]) -> str:
    """SHA-256 of an array's values."""
    return hashlib.sha256(np.ascontiguousarray(counts).data).hexdigest()
