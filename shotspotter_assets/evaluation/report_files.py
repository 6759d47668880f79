"""Where the reports are in the store, and what is read from those of a city's folds."""

from collections.abc import Collection
from datetime import date

import pyarrow as pa

from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.models.stored_models import read_record
from shotspotter_assets.storage.file_names import RECORD_FILE, REPORT_FILE
from shotspotter_assets.storage.store import Partition, Store


def fold_partition(city: str, cutoff: date) -> Partition:
    """Where the report of a fold is."""
    return Partition("evaluation_reports", city, "fold", cutoff)


def walk_forward_partition(city: str) -> Partition:
    """Where the report of a city is."""
    return Partition("walk_forward_reports", city)


def read_walk_forward_report(store: Store, city: str) -> WalkForwardReport:
    """The report of a city.

    Raises:
        MissingObjectError: it was not made.
    """
    return WalkForwardReport.model_validate_json(store.read_bytes(walk_forward_partition(city), REPORT_FILE))


def read_fold_tables(store: Store, city: str, file: str) -> dict[date, pa.Table]:
    """A table of each fold that has it, in the order of the folds."""
    cutoffs = sorted(store.days_present("evaluation_reports", city, file, "fold"))
    return {cutoff: store.read_table(fold_partition(city, cutoff), file) for cutoff in cutoffs}


def read_origins(store: Store, city: str, folds: Collection[date], candidate: str) -> dict[date, str]:
    """The model of all cities that the candidate starts at, by cutoff, for the folds in which it starts at one."""
    cutoffs = sorted(store.days_present("fold_models", city, RECORD_FILE, "fold") & set(folds))
    models = {cutoff: read_record(store, city, cutoff).models.get(candidate) for cutoff in cutoffs}
    return {
        cutoff: str(model.settings["shared"])
        for cutoff, model in models.items()
        if model is not None and "shared" in model.settings
    }


def read_trust(store: Store, city: str, folds: Collection[date], candidate: str) -> dict[date, str]:
    """Whom the candidate trusts, in words, by cutoff, for the folds in which it combines others."""
    cutoffs = sorted(store.days_present("fold_models", city, RECORD_FILE, "fold") & set(folds))
    models = {cutoff: read_record(store, city, cutoff).models.get(candidate) for cutoff in cutoffs}
    return {
        cutoff: str(model.settings["in_words"])
        for cutoff, model in models.items()
        if model is not None and "in_words" in model.settings
    }
