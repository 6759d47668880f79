"""The models of a fold: fit and record them, write them to the store, and read them by the hashes of the record."""

from collections.abc import Mapping
from datetime import date
from time import monotonic

from pydantic import BaseModel, JsonValue

from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.records import FoldRecord, TrainedModel, files_sha256, installed_versions
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.file_names import RECORD_FILE
from shotspotter_assets.storage.store import Partition, Store


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

    `stored` are all days before the cutoff, `windows` (training, validation) as indexes of them; `settings` are those
    of the fitted forecasters by name, `config` is the run's configuration, for the record.
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
        fold=cutoff,
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


def model_partition(city: str, cutoff: date) -> Partition:
    """Return the place of a fold's files."""
    return Partition("fold_models", city, "fold", cutoff)


def write_models(store: Store, partition: Partition, files: Mapping[str, Mapping[str, bytes]], record: str) -> None:
    """Write the files of models (`<model>.<file>`) and then the record, which shows readers where a run was killed."""
    with store.alone(partition.asset, partition.city):
        for model, contents in files.items():
            for name, content in contents.items():
                store.write_bytes(partition, f"{model}.{name}", content)
        store.write_bytes(partition, RECORD_FILE, record.encode())


def read_record(store: Store, city: str, cutoff: date) -> FoldRecord:
    """Read a fold's record. Raises MissingObjectError if the fold was not trained."""
    return FoldRecord.model_validate_json(store.read_bytes(model_partition(city, cutoff), RECORD_FILE))


def read_files(store: Store, partition: Partition, model: str, trained: TrainedModel) -> dict[str, bytes]:
    """Read the files of one model. Raises ValueError if they are not those of the record."""
    try:
        files = {name: store.read_bytes(partition, f"{model}.{name}") for name in trained.files}
    except MissingObjectError:
        files = {}
    if files_sha256(files) != trained.files:
        raise ValueError(
            f"The files of {model} of {partition.key} are not those that {RECORD_FILE} names: materialize "
            f"{partition.asset} for {partition.key} again."
        )
    return files


def read_models(store: Store, record: FoldRecord) -> dict[str, dict[str, bytes]]:
    """Read the files of a fold's models, by model and file. Raises ValueError as `read_files` does."""
    partition = model_partition(record.city, record.fold)
    return {name: read_files(store, partition, name, trained) for name, trained in record.models.items()}
