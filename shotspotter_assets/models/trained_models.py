"""Trained models of folds and live models: the record with which they are checked and repeated, and their files beside it."""

import logging
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, Field, JsonValue

from shotspotter_assets.grid.dates import WEEK_HOURS
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.forecaster import FittedDaily, FittedHourly
from shotspotter_assets.models.forecaster_registry import NEXT_DAY, NEXT_HOURS, forecaster, hourly_forecaster
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_hours.lift_table import LiftTable
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.catalogue import FOLD_RECORD
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredFile
from shotspotter_assets.storage.stored_record import StoredRecord

log = logging.getLogger(__name__)
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
    cpu_seconds_to_train: float | None = None


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


ModelFiles = Mapping[str, Mapping[str, bytes]]  # content by model and file


class ModelFilesError(ValueError):
    """Missing files of trained models, or others than those of their record."""


@dataclass(frozen=True)
class TrainedModels:
    """Loaded models of one record; a city without hours, or with few alerts, has no `types`, `minutes` and models of hours."""

    next_day: Mapping[str, FittedDaily]  # models by name, the candidate and its members first
    counts: AlertCounts
    hourly: Mapping[str, FittedHourly]  # models of the next hours by name
    types: GunshotTypes | None
    minutes: LiftTable | None = None
    without_factors: FittedDaily | None = None  # the candidate, fitted without contributing factors
    refitted_to: str = ""  # end of the hours of a later fit of `hourly`, ISO 8601

    @classmethod
    def load(cls, files: ModelFiles) -> "TrainedModels":
        """Return the models of files."""
        next_day: dict[str, FittedDaily] = {}
        for name in (name for name in files if name in NEXT_DAY):
            fitted = forecaster(name).load(files[name])
            next_day[name] = fitted
            if isinstance(fitted, FittedStack):
                next_day |= fitted.members
        return cls(
            next_day=next_day,
            counts=AlertCounts.load(files[COUNTS]),
            hourly={name: hourly_forecaster(name).load(files[name]) for name in files if name in NEXT_HOURS},
            types=GunshotTypes.load(files[TYPES]) if TYPES in files else None,
            minutes=LiftTable.load(files[NEXT_MINUTES]) if NEXT_MINUTES in files else None,
            without_factors=(
                forecaster(next(iter(next_day))).load(files[WITHOUT_FACTORS]) if WITHOUT_FACTORS in files else None
            ),
        )

    @property
    def hours(self) -> FittedHourly | None:
        """Served model of the next hours."""
        return self.hourly.get(HOURLY_STACK)

    @property
    def profile(self) -> Array:
        """Alerts of each hour of the week relative to the mean hour, shape (168,); ones without known hours."""
        if self.hours is None:
            return np.ones(WEEK_HOURS)
        return np.asarray(next(iter(self.hours.models.values())).members["next_hours"].profile)


def write_models(store: Store, file: StoredFile, record: StoredRecord, files: ModelFiles) -> str:
    """Write the files of models and then the record; return its address."""
    contents = {
        file.named(model=model, file=name): content
        for model, model_files in files.items()
        for name, content in model_files.items()
    }
    return record.write_after(store, contents)


def earlier_models(
    store: Store, file: StoredFile, record: TrainingRecord, day: date, suffix: str = ""
) -> Mapping[str, FittedDaily]:
    """Return a record's next-day models by name; none if their files are lost. Arguments are those of `read_models`."""
    try:
        return read_models(store, file, record, day, suffix).next_day
    except ValueError as error:
        log.warning("Networks start from the beginning, because the last training cannot be read: %s", error)
        return {}


def read_models(store: Store, file: StoredFile, record: TrainingRecord, day: date, suffix: str = "") -> TrainedModels:
    """Read a record's models, whose stored names end with `suffix`; raise ModelFilesError if their files were changed."""
    files = {
        model: read_model_files(store, file, record.city, day, f"{model}{suffix}", trained.files)
        for model, trained in record.models.items()
    }
    return TrainedModels.load(files)


def read_model_files(
    store: Store, file: StoredFile, city: str, day: date, stored: str, sha256_of_files: Mapping[str, str]
) -> dict[str, bytes]:
    """Read the files of the model that is `stored` under a name; raise ModelFilesError for other files."""
    try:
        files = {name: store.read_bytes(file.named(model=stored, file=name), city, day) for name in sha256_of_files}
    except MissingObjectError:
        files = {}
    if files_sha256(files) != sha256_of_files:
        raise ModelFilesError(
            f"The files of {stored} of {city} {day} are not those that its record names: "
            f"materialize {file.asset} for {city} {day} again, live_models with `retrain` on."
        )
    return files
