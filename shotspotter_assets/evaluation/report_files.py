"""The files of reports in the store."""

from datetime import date

import pyarrow as pa
from pydantic import BaseModel

from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.storage.file_names import REPORT_FILE, SCORES_FILE
from shotspotter_assets.storage.store import Partition, Store


def fold_partition(city: str, cutoff: date) -> Partition:
    """Return the place of the report of a fold."""
    return Partition("evaluation_reports", city, "fold", cutoff)


def walk_forward_partition(city: str) -> Partition:
    """Return the place of the report of a city."""
    return Partition("walk_forward_reports", city)


def write_report(store: Store, partition: Partition, report: BaseModel, scores: ScoreTable) -> None:
    """Write a report after its scores, so that they exist wherever it does."""
    store.write_table(partition, SCORES_FILE, scores.to_arrow())
    store.write_bytes(partition, REPORT_FILE, report.model_dump_json(indent=2).encode())


def read_fold_report(store: Store, city: str, cutoff: date) -> tuple[FoldReport, ScoreTable]:
    """Read the report of a fold and its scores. Raises MissingObjectError if it was not made."""
    partition = fold_partition(city, cutoff)
    scores = ScoreTable.from_arrow(store.read_table(partition, SCORES_FILE))
    return FoldReport.model_validate_json(store.read_bytes(partition, REPORT_FILE)), scores


def read_walk_forward_report(store: Store, city: str) -> tuple[WalkForwardReport, ScoreTable]:
    """Read the report of a city and its scores. Raises MissingObjectError if it was not made."""
    partition = walk_forward_partition(city)
    report = WalkForwardReport.model_validate_json(store.read_bytes(partition, REPORT_FILE))
    return report, ScoreTable.from_arrow(store.read_table(partition, SCORES_FILE))


def read_fold_tables(store: Store, city: str, file: str) -> dict[date, pa.Table]:
    """Read a table of each fold that has it, in the order of the folds."""
    cutoffs = sorted(store.days_present("evaluation_reports", city, file, "fold"))
    return {cutoff: store.read_table(fold_partition(city, cutoff), file) for cutoff in cutoffs}
