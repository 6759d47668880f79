"""Records of a fold's models, with which a report checks them and a reader repeats them."""

import platform
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version

from pydantic import BaseModel, ConfigDict, JsonValue

from shotspotter_assets.storage.catalogue import FOLD_RECORD
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.stored_record import StoredRecord

PACKAGES = ("tensorflow", "keras", "lightgbm", "scikit-learn", "numpy", "shotspotter_assets")


class TrainedModel(BaseModel):
    """One trained model of a fold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chosen: dict[str, JsonValue]
    """Settings that the fit chose, with the validation loss and the training history of networks."""
    files: dict[str, str]
    """SHA-256 of each file."""
    seconds_to_train: float


class FoldRecord(StoredRecord):
    """Window, settings, versions and data of the trained models of one fold."""

    stored_as = FOLD_RECORD

    cutoff: date
    train_first: date
    train_last: date
    train_days: int
    validation_first: date
    validation_last: date
    validation_days: int
    covered: list[tuple[int, int]]
    """(row, column) of the cells covered on the cutoff, known from the days before it."""
    config: dict[str, JsonValue]
    """Configuration of the run."""
    versions: dict[str, str]
    """Versions of Python and of the packages that models depend on."""
    data_sha256: str
    """Fingerprint of the counts before the cutoff, with which a report compares its own."""
    models: dict[str, TrainedModel]
    """Trained models by name."""

    def windows(self, days: int) -> tuple[range, range, range]:
        """Return (training, validation, test) as indexes of that many days from `train_first` on."""
        cutoff = self.train_days + self.validation_days
        return range(self.train_days), range(self.train_days, cutoff), range(cutoff, days)


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a model depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def files_sha256(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {name: sha256(content) for name, content in files.items()}
