"""Reads a city's sources and keeps, for each row, when it was first received."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.sources.alert_source import AlertSource, NoFilesError
from shotspotter_assets.sources.schema import ORDER, PUBLISHED, RAW_SCHEMA, versions_of_days
from shotspotter_assets.storage.fingerprints import row_hashes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Received:
    """The rows that a city's sources have for some days."""

    rows: pa.Table
    """`RAW_SCHEMA`; `received_at` is the time at which each row was first received."""
    source_versions: Mapping[date, str] | None
    """The live sources' own version of each day that has rows; None for a city without live sources."""
    unread_files: Sequence[str]
    """Landed files that cannot be read now; their rows stay as they were received before."""


def read_sources(readers: Sequence[AlertSource], first: date, last: date) -> pa.Table:
    """The rows of all sources of a city, each filed under the day that its source gives; see `AlertSource.read`.

    A landing folder without files is left out, with a warning, where another source can be read.
    """
    return pa.concat_tables(_tables(readers, first, last).values()).sort_by(ORDER)


def receive(readers: Sequence[AlertSource], first: date, last: date, before: pa.Table) -> Received:
    """Read the days from all sources of a city, and compare them with the rows that were received before.

    A landed file that is gone, damaged or being written keeps its rows: moving a file away must not empty its days.

    Args:
        readers: of the city's sources.
        first: the first day.
        last: the last day.
        before: `RAW_SCHEMA`, the stored rows of the days.

    Raises:
        SourceError: a source cannot be read, or not understood.
    """
    changing = {number: reader for number, reader in enumerate(readers) if reader.is_live}
    # Versions first: rows that come in between then make the day look changed, not the other way round.
    versions = {number: reader.changed_days(first, last) for number, reader in changing.items() if reader.counts_by_day}
    tables = _tables(readers, first, last)
    versions |= {number: versions_of_days(tables[number]) for number in changing if number not in versions}
    unread = _unread(readers, before)
    kept = before.filter(pc.is_in(before["received_from"], pa.array(unread, pa.string())))
    rows = pa.concat_tables([*tables.values(), kept.cast(RAW_SCHEMA)]).sort_by(ORDER)
    return Received(
        keep_first_seen(rows, before), joined_versions(list(versions.values())) if changing else None, unread
    )


def joined_versions(versions: Sequence[Mapping[date, str]]) -> dict[date, str]:
    """One version of each day from those of several live sources, of which some may have no rows on the day."""
    days = sorted(set[date]().union(*versions))
    return {day: " ".join(of_source.get(day, "") for of_source in versions) for day in days}


def _tables(readers: Sequence[AlertSource], first: date, last: date) -> dict[int, pa.Table]:
    """The rows of each source, by its number."""
    tables: dict[int, pa.Table] = {}
    without_files: list[NoFilesError] = []
    for number, reader in enumerate(readers):
        try:
            tables[number] = reader.read(first, last)
        except NoFilesError as error:
            without_files.append(error)
    if not tables:
        raise without_files[0]
    for missing in without_files:
        log.warning("%s The days are made from the city's other sources, and again once there are files.", missing)
    return tables


def _unread(readers: Sequence[AlertSource], before: pa.Table) -> list[str]:
    """The files of earlier rows that cannot be read now."""
    files = before["received_from"].unique().to_pylist()
    return sorted({file for reader in readers for file in reader.unread(files)})


def keep_first_seen(rows: pa.Table, before: pa.Table) -> pa.Table:
    """`rows` with the `received_at` at which each row was first received.

    Rows are matched by all columns of `PUBLISHED`; of n equal rows before and m now, the smaller number is matched.
    """
    if before.num_rows == 0:
        return rows
    index_before, index_now = (pd.MultiIndex.from_frame(_occurrences(table)) for table in (before, rows))
    position = index_before.get_indexer(index_now)  # of each row in `before`, -1 for a new one
    first_seen = pc.coalesce(before["received_at"].take(pa.array(position, mask=position < 0)), rows["received_at"])
    place = rows.schema.get_field_index("received_at")
    return rows.set_column(place, RAW_SCHEMA.field("received_at"), first_seen)


def _occurrences(table: pa.Table) -> pd.DataFrame:
    """Each row's hash, and the number of equal rows before it."""
    frame = pd.DataFrame({"hash": row_hashes(table.select(PUBLISHED))})
    frame["before"] = frame.groupby("hash").cumcount()
    return frame
