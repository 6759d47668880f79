"""Trained models of folds and live models: stored beside their record, and loaded by its hashes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from shotspotter_assets.grid.dates import WEEK_HOURS
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.forecaster import FittedDaily, FittedHourly
from shotspotter_assets.models.forecaster_registry import NEXT_DAY, NEXT_HOURS, forecaster, hourly_forecaster
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.next_hours.lift_table import LiftTable
from shotspotter_assets.models.records import (
    COUNTS,
    HOURLY_STACK,
    NEXT_MINUTES,
    TYPES,
    WITHOUT_FACTORS,
    TrainingRecord,
    files_sha256,
)
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredFile
from shotspotter_assets.storage.stored_record import StoredRecord

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
    store: Store, file: StoredFile, record: TrainingRecord, day: date, log: Callable[[str], None], suffix: str = ""
) -> Mapping[str, FittedDaily]:
    """Return a record's next-day models by name; none if their files are lost. Arguments are those of `read_models`."""
    try:
        return read_models(store, file, record, day, suffix).next_day
    except ValueError as error:
        log(f"Networks start from the beginning, because the last training cannot be read: {error}")
        return {}


def read_models(store: Store, file: StoredFile, record: TrainingRecord, day: date, suffix: str = "") -> TrainedModels:
    """Read a record's models, whose stored names end with `suffix`; raise ModelFilesError if their files were changed."""
    return TrainedModels.load(read_files(store, file, record, day, suffix))


def read_files(store: Store, file: StoredFile, record: TrainingRecord, day: date, suffix: str = "") -> ModelFiles:
    """Read the files of a record's models, see `read_models`."""
    return {
        model: read_model_files(store, file, record.city, day, f"{model}{suffix}", trained.files)
        for model, trained in record.models.items()
    }


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
