"""The models of a fold: fit and record them, write them to the store, and read them by the hashes of the record."""

from collections.abc import Mapping
from datetime import date
from time import monotonic

from pydantic import BaseModel, JsonValue

from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.records import FoldRecord, TrainedModel, files_sha256, installed_versions
from shotspotter_assets.storage.catalogue import FOLD_MODEL
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredFile
from shotspotter_assets.storage.stored_record import StoredRecord


def train_fold(
    stored: CityHistory,
    cutoff: date,
    windows: tuple[range, range],
    settings: Mapping[str, BaseModel],
    *,
    context: FitContext,
    config: dict[str, JsonValue],
) -> tuple[FoldRecord, dict[str, dict[str, bytes]]]:
    """Return (record, content by model and file) of the forecasters fitted for a fold.

    `stored` are all days before the cutoff, `windows` (training, validation) as indexes of them. `settings` are by
    forecaster; `config` is the run's configuration, for the record.
    """
    days, (train, validation) = stored.days, windows
    in_coverage = stored.coverage_on(cutoff)
    context.log(
        f"{stored.city.name} {cutoff}: {len(train):,} days to train and {len(validation):,} to validate on, "
        f"{int(in_coverage.sum())} of {in_coverage.size} cells covered, {int(stored.alerts.sum()):,} alerts"
    )
    history = stored.daily(in_coverage)
    files, models = {}, {}
    for name, given in settings.items():
        started = monotonic()
        fitted = forecaster(name, given).fit(history, train, validation, context)
        files[name] = fitted.files()
        seconds = monotonic() - started
        models[name] = TrainedModel(chosen=fitted.chosen, files=files_sha256(files[name]), seconds_to_train=seconds)
        context.log(f"{stored.city.name} {cutoff}: {name} fitted in {seconds:.0f} s")
    record = FoldRecord(
        city=stored.city.name,
        cutoff=cutoff,
        train_first=days[0],
        train_last=days[train[-1]],
        train_days=len(train),
        validation_first=days[validation[0]],
        validation_last=days[-1],
        validation_days=len(validation),
        covered=covered_cells(in_coverage),
        config=config,
        versions=installed_versions(),
        data_sha256=history.data_sha256(),
        models=models,
    )
    return record, files


def write_models(store: Store, file: StoredFile, record: StoredRecord, files: Mapping[str, Mapping[str, bytes]]) -> str:
    """Write the files of models and then the record; return its address."""
    named = {
        file.named(model=model, file=name): content
        for model, contents in files.items()
        for name, content in contents.items()
    }
    return record.write_after(store, named)


def read_files(
    store: Store, file: StoredFile, city: str, day: date, model: str, trained: TrainedModel, again: str = "again"
) -> dict[str, bytes]:
    """Read the files of one model. Raises ValueError if they are not those of the record."""
    try:
        files = {name: store.read_bytes(file.named(model=model, file=name), city, day) for name in trained.files}
    except MissingObjectError:
        files = {}
    if files_sha256(files) != trained.files:
        raise ValueError(
            f"The files of {model} of {city} {day} are not those that its record names: materialize {file.asset} for "
            f"{city} {day} {again}."
        )
    return files


def read_models(store: Store, record: FoldRecord) -> dict[str, dict[str, bytes]]:
    """Read the files of a fold's models, by model and file. Raises ValueError as `read_files` does."""
    return {
        name: read_files(store, FOLD_MODEL, record.city, record.cutoff, name, trained)
        for name, trained in record.models.items()
    }
