"""The files of reports in the store."""

from collections.abc import Mapping
from datetime import date

import pyarrow as pa

from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.storage.catalogue import (
    CITY_PICTURE,
    CITY_SCORES,
    FOLD_PICTURE,
    FOLD_SCORES,
    MODEL_CARD,
)
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable


def write_fold_report(
    store: Store,
    report: FoldReport,
    scores: ScoreTable,
    tables: Mapping[StoredTable, pa.Table],
    pictures: Mapping[str, bytes],
) -> str:
    """Write a report after its tables and pictures, so that they exist wherever it does; return its address."""
    place = report.city, report.cutoff
    with store.alone(FOLD_SCORES.asset, report.city):
        for file, table in tables.items():
            store.write_table(file, table, *place)
        for name, png in pictures.items():
            store.write_bytes(FOLD_PICTURE.named(plot=name), png, *place)
        store.write_table(FOLD_SCORES, scores.to_arrow(), *place)
        return report.write(store)


def write_walk_forward_report(
    store: Store, report: WalkForwardReport, scores: ScoreTable, card: str, pictures: Mapping[str, bytes]
) -> str:
    """Write a report after its scores, card and pictures; return its address."""
    with store.alone(CITY_SCORES.asset, report.city):
        for name, png in pictures.items():
            store.write_bytes(CITY_PICTURE.named(plot=name), png, report.city)
        store.write_bytes(MODEL_CARD, card.encode(), report.city)
        store.write_table(CITY_SCORES, scores.to_arrow(), report.city)
        return report.write(store)


def read_fold_report(store: Store, city: str, cutoff: date) -> tuple[FoldReport, ScoreTable]:
    """Read the report of a fold and its scores. Raises MissingObjectError if it was not made."""
    scores = ScoreTable.from_arrow(store.read_table(FOLD_SCORES, city, cutoff))
    return FoldReport.load(store, city, cutoff), scores


def read_walk_forward_report(store: Store, city: str) -> tuple[WalkForwardReport, ScoreTable]:
    """Read the report of a city and its scores. Raises MissingObjectError if it was not made."""
    return WalkForwardReport.load(store, city), ScoreTable.from_arrow(store.read_table(CITY_SCORES, city))


def read_fold_tables(store: Store, city: str, file: StoredTable) -> dict[date, pa.Table]:
    """Read a table of each fold that has it, in the order of the folds."""
    return {cutoff: store.read_table(file, city, cutoff) for cutoff in sorted(store.days_present(file, city))}
