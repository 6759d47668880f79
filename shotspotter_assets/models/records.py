"""Records of trained models, with which a report checks them and a reader repeats them."""

import platform
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, JsonValue

from shotspotter_assets.models.history import History
from shotspotter_assets.storage.catalogue import FOLD_RECORD
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.stored_record import StoredRecord

PACKAGES = ("tensorflow", "keras", "lightgbm", "scikit-learn", "numpy", "shotspotter_assets")
SOURCE: Final = "source"  # key of `TrainingRecord.versions` for the hash of this package's code

COUNTS: Final = "alert_counts"
WITHOUT_FACTORS: Final = "without_factors"  # a fold's candidate, fitted without the city's contributing factors
HOURLY_STACK: Final = "hourly_stack"  # served forecaster of the next hours
NEXT_MINUTES: Final = "next_minutes"
TYPES: Final = "gunshot_types"


class TrainedModel(BaseModel, frozen=True, extra="forbid"):
    """One trained model."""

    chosen: dict[str, JsonValue]  # settings that the fit chose, its validation loss and history of networks
    files: dict[str, str]  # SHA-256 of each file
    seconds_to_train: float


class TrainingRecord(StoredRecord):
    """Windows, cells, data and versions of models that were trained together, for a fold or to serve."""

    served: str = Field(description="Forecaster of the next day that the gate chose on the validation window.")
    models: dict[str, TrainedModel] = Field(description="By name: next-day forecasters, candidate first; then others.")
    without: dict[str, str] = Field(description="Reasons for models that are absent or not shown, by name.")
    types_by: str | None = Field(description="Forecaster of gunshot types; null if none beats the recent mix.")
    train: tuple[date, date] = Field(description="First and last training day.")
    validation: tuple[date, date] = Field(description="First and last validation day.")
    covered: list[tuple[int, int]] = Field(description="(row, column) of the forecast cells, known from the training.")
    weekly_offset: tuple[float, float] = Field(description="80% interval of a week's offset, in log odds.")
    data_sha256: str = Field(description="Fingerprint of the training's counts, factors and unknown days.")
    versions: dict[str, str] = Field(description="Versions of Python and of the packages that trained the models.")

    @property
    def types_in_words(self) -> str:
        """Forecaster of the kinds of gunfire, or the reason why none are shown."""
        return self.without.get(TYPES, f"Kinds of gunfire are forecast by {self.types_by}.")


class FoldRecord(TrainingRecord):
    """The models of one fold, trained on days before its cutoff."""

    stored_as = FOLD_RECORD

    cutoff: date = Field(description="First test day.")
    config: dict[str, JsonValue] = Field(description="Configuration of the run.")
    weights_from: date | None = Field(None, description="Cutoff of the fold whose weights networks started at, if any.")

    def windows(self, history: History) -> tuple[range, range, range]:
        """Return (training, validation, test) as indexes of a history's days, which end with the last test day."""
        train, validation = (
            range((first - history.first_day).days, (last - history.first_day).days + 1)
            for first, last in (self.train, self.validation)
        )
        return train, validation, range((self.cutoff - history.first_day).days, len(history.counts))


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a model depends on, and the hash of this package's code."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}, SOURCE: source_sha256()}


@cache
def source_sha256() -> str:
    """Return the SHA-256 of the paths and contents of this package's Python files, in the order of the paths."""
    root = Path(__file__).parents[1]
    files = {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*.py")}
    return sha256(*(part for path in sorted(files) for part in (path, files[path])))


def files_sha256(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {name: sha256(content) for name, content in files.items()}
