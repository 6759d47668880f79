"""The files of a fold's model in the store: the network and the record that names it by its hash."""

import hashlib
from datetime import date

from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets.training.record import FoldRecord

MODEL_FILE = "model.keras"
RECORD_FILE = "record.json"


class ModelMismatchError(ValueError):
    """Network and record of a fold are not of the same training."""


def model_partition(city: str, cutoff: date) -> Partition:
    """Where a fold's files are."""
    return Partition("fold_models", city, "fold", cutoff)


def write_model(store: Store, model: bytes, record: FoldRecord) -> None:
    """Write the network and then its record, so that a run killed in between is noticed."""
    partition = model_partition(record.city, record.fold)
    store.write_bytes(partition, MODEL_FILE, model)
    store.write_bytes(partition, RECORD_FILE, record.model_dump_json(indent=2).encode())


def read_record(store: Store, city: str, cutoff: date) -> FoldRecord:
    """A fold's record.

    Raises:
        MissingObjectError: the fold was not trained.
    """
    return FoldRecord.model_validate_json(store.read_bytes(model_partition(city, cutoff), RECORD_FILE))


def read_model(store: Store, city: str, cutoff: date) -> tuple[bytes, FoldRecord]:
    """A fold's network (`.keras`) and record.

    Raises:
        MissingObjectError: the fold was not trained.
        ModelMismatchError: a run was killed between writing the two, or one of them was changed.
    """
    record = read_record(store, city, cutoff)
    partition = model_partition(city, cutoff)
    model = store.read_bytes(partition, MODEL_FILE)
    if hashlib.sha256(model).hexdigest() != record.model_sha256:
        raise ModelMismatchError(
            f"{MODEL_FILE} and {RECORD_FILE} of {partition.key} are not of the same training: materialise fold_models for "
            f"{partition.key} again."
        )
    return model, record
