"""The files of trained models in the store, and the record that names each of them by its hash."""

from collections.abc import Mapping
from datetime import date

from shotspotter_assets.models.records import FoldRecord, TrainedModel, files_sha256
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.file_names import RECORD_FILE
from shotspotter_assets.storage.store import Partition, Store


def model_partition(city: str, cutoff: date) -> Partition:
    """The place of a fold's files."""
    return Partition("fold_models", city, "fold", cutoff)


def write_models(store: Store, partition: Partition, files: Mapping[str, Mapping[str, bytes]], record: str) -> None:
    """Write the files of models (`<model>.<file>`) and then the record that names them.

    A run that is killed in between is noticed when they are read.
    """
    with store.alone(partition.asset, partition.city):
        for model, contents in files.items():
            for name, content in contents.items():
                store.write_bytes(partition, f"{model}.{name}", content)
        store.write_bytes(partition, RECORD_FILE, record.encode())


def read_record(store: Store, city: str, cutoff: date) -> FoldRecord:
    """A fold's record.

    Raises:
        MissingObjectError: the fold was not trained.
    """
    return FoldRecord.model_validate_json(store.read_bytes(model_partition(city, cutoff), RECORD_FILE))


def read_files(store: Store, partition: Partition, model: str, trained: TrainedModel) -> dict[str, bytes]:
    """The files of one model.

    Raises:
        ValueError: a run was killed while it wrote them, or they were changed or removed since.
    """
    try:
        files = {name: store.read_bytes(partition, f"{model}.{name}") for name in trained.files}
    except MissingObjectError:
        files = {}
    if files_sha256(files) != trained.files:
        raise ValueError(
            f"The files of {model} of {partition.key} are not those that {RECORD_FILE} names: materialise "
            f"{partition.asset} for {partition.key} again."
        )
    return files


def read_models(store: Store, record: FoldRecord) -> dict[str, dict[str, bytes]]:
    """The files of a fold's models, by model and file.

    Raises:
        ValueError: see `read_files`.
    """
    partition = model_partition(record.city, record.fold)
    return {name: read_files(store, partition, name, trained) for name, trained in record.models.items()}
