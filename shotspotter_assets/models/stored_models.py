"""The files of trained models in the store, and the record that names each of them by its hash."""

from collections.abc import Mapping
from datetime import date

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.forecaster import Pretrained
from shotspotter_assets.models.records import FoldRecord, TrainedModel, files_sha256
from shotspotter_assets.models.registry import find
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.file_names import RECORD_FILE
from shotspotter_assets.storage.store import Partition, Store


class ModelMismatchError(ValueError):
    """The files of a model are not those that the record names."""


class NoPretrainedModelError(ValueError):
    """The city that another one starts at has no model that could have been known then."""


def model_partition(city: str, cutoff: date) -> Partition:
    """Where a fold's files are."""
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
        ModelMismatchError: a run was killed while it wrote them, or they were changed or removed since.
    """
    try:
        files = {name: store.read_bytes(partition, f"{model}.{name}") for name in trained.files}
    except MissingObjectError:
        files = {}
    if files_sha256(files) != trained.files:
        raise ModelMismatchError(
            f"The files of {model} of {partition.key} are not those that {RECORD_FILE} names: materialise "
            f"{partition.asset} for {partition.key} again."
        )
    return files


def read_models(store: Store, record: FoldRecord) -> dict[str, dict[str, bytes]]:
    """The files of a fold's models, by model and file.

    Raises:
        ModelMismatchError: see `read_files`.
    """
    partition = model_partition(record.city, record.fold)
    return {name: read_files(store, partition, name, trained) for name, trained in record.models.items()}


def read_pretrained(store: Store, city: City, by: date) -> Pretrained | None:
    """What the city's models start at: the regression of the other city's latest fold with a cutoff no later than `by`.

    None where `City.pretrained` names no city.

    Raises:
        NoPretrainedModelError: that city has no such fold, or none of its models there holds a regression.
    """
    if city.pretrained is None:
        return None
    from shotspotter_assets.models.next_day.regime_regression import start_of

    cutoffs = store.days_present("fold_models", city.pretrained, RECORD_FILE, "fold")
    known = [cutoff for cutoff in cutoffs if cutoff <= by]
    remedy = (
        f"City {city.name}, {by}: it starts at {city.pretrained} (pretrained in its file), which has no fold_models with "
        f"residual_boosting {{}}. Materialise one with a cutoff no later than {by}, or take pretrained out of the file."
    )
    if not known:
        raise NoPretrainedModelError(remedy.format("by then"))
    partition = model_partition(city.pretrained, max(known))
    record = read_record(store, city.pretrained, max(known))
    for name, trained in record.models.items():
        if find(name).starts_at_regression:
            start = start_of(read_files(store, partition, name, trained), partition.key)
            if start is not None:
                return start
    raise NoPretrainedModelError(remedy.format(f"in its latest one, {partition.key}"))
