"""One reading of a city's sources: their rows, when each was first seen, and the rows that they have withdrawn since."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.sources.api.json_rows import versions_of_days
from shotspotter_assets.sources.protocol import (
    AlertSource,
    ChangingSource,
    FileSource,
    NoFilesError,
    PartwiseSource,
)
from shotspotter_assets.sources.schema import ORDER, PUBLISHED, RAW_SCHEMA, WITHDRAWN_SCHEMA
from shotspotter_assets.storage.fingerprints import row_hashes

log = logging.getLogger(__name__)

_Reader = TypeVar("_Reader")
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Received:
    """What the sources of a city have for some days."""

    rows: pa.Table
    """`RAW_SCHEMA`, with the `received_at` at which each row was first seen."""
    withdrawn: pa.Table
    """`WITHDRAWN_SCHEMA`: rows received before that the sources no longer have."""
    source_versions: Mapping[date, str] | None
    """The source's own version of each day that has rows; None where the city's sources have no versions."""
    unread_files: Sequence[str]
    """Landed files that cannot be read now, whose rows are kept as they were received before."""


def read_sources(readers: Sequence[AlertSource], first: date, last: date) -> pa.Table:
    """The rows of all sources of a city, each filed under the day that its source gives; see `AlertSource.read`.

    A landing folder without files is left out where another source can be read, and the log names it.
    """
    return _together(_of_all(readers, lambda reader: reader.read(first, last)))


def receive(
    readers: Sequence[AlertSource], parts: Sequence[Sequence[date]], stored: Callable[[Sequence[date]], pa.Table]
) -> Iterator[Received]:
    """Read the days from all sources of a city, and compare them with what was received before, a part at a time.

    The sources are read when this is called; see `read_sources` for a folder without files. A landed file that is gone,
    damaged or being written now keeps its rows: a file that is tidied away, or spoiled, must not empty its days.

    Args:
        readers: of the city's sources; each is a `PartwiseSource` if there are several parts.
        parts: days of each; all are contiguous and sorted.
        stored: the rows stored of the days of a part, or of some of them, as `RAW_SCHEMA`.

    Raises:
        SourceError: a source cannot be read, or not understood.
    """
    asked_at = datetime.now(UTC)
    first, last = parts[0][0], parts[-1][-1]
    changing = readers[0] if len(readers) == 1 and isinstance(readers[0], ChangingSource) else None
    # Asked for before the rows, so that rows that come in between make the day look changed, not the other way round.
    versions = changing.changed_days(first, last) if changing is not None and changing.counts_by_day else None
    tables = [read_sources(readers, first, last)] if len(parts) == 1 else _read_parts(readers, parts)

    def compare() -> Iterator[Received]:
        for days, of_part in zip(parts, tables, strict=True):
            before = stored(days)
            unread = _unread(readers, before)
            kept = before.filter(pc.is_in(before["received_from"], pa.array(unread, pa.string())))
            all_rows = _together([of_part, kept.cast(of_part.schema)]) if unread else of_part
            rows, withdrawn = keep_first_seen(all_rows, before, asked_at)
            of_source = versions_of_days(rows) if versions is None and changing is not None else versions
            yield Received(rows, withdrawn, of_source, unread)

    return compare()


def _read_parts(readers: Sequence[AlertSource], parts: Sequence[Sequence[date]]) -> Iterator[pa.Table]:
    bounds = [(days[0], days[-1]) for days in parts]
    by_source = _of_all(cast("Sequence[PartwiseSource]", readers), lambda reader: reader.read_parts(bounds))
    return (_together(tables) for tables in zip(*by_source, strict=True))


def _of_all(readers: Sequence[_Reader], read: Callable[[_Reader], _Read]) -> list[_Read]:
    """What is read of each source, without landing folders that hold no files, unless there is nothing else."""
    found: list[_Read] = []
    without_files: list[NoFilesError] = []
    for reader in readers:
        try:
            found.append(read(reader))
        except NoFilesError as error:
            without_files.append(error)
    if not found:
        raise without_files[0]
    for missing in without_files:
        log.warning("%s The days are made from the city's other sources, and again once there are files.", missing)
    return found


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).sort_by(ORDER)


def _unread(readers: Sequence[AlertSource], before: pa.Table) -> list[str]:
    """Files that rows came from before and that cannot be read now."""
    files = before["received_from"].unique().to_pylist()
    if not files:
        return []
    return sorted({file for reader in readers if isinstance(reader, FileSource) for file in reader.unread(files)})


def keep_first_seen(rows: pa.Table, before: pa.Table, asked_at: datetime) -> tuple[pa.Table, pa.Table]:
    """(rows with the `received_at` at which each was first seen, rows of `before` that the source no longer has).

    Rows are matched by all columns of `PUBLISHED`; of n equal rows before and m now, the smaller number is matched.

    Args:
        rows: `RAW_SCHEMA`, all rows that the source has for some days.
        before: `RAW_SCHEMA`, the rows stored for those days, or some of them, before.
        asked_at: when the source was asked for `rows`.
    """
    if before.num_rows == 0:
        return rows, WITHDRAWN_SCHEMA.empty_table()
    index_before, index_now = (
        pd.MultiIndex.from_frame(_occurrences(table.select(PUBLISHED))) for table in (before, rows)
    )
    position = index_before.get_indexer(index_now)  # of each row in `before`, -1 for a new one
    first_seen = pc.coalesce(before["received_at"].take(pa.array(position, mask=position < 0)), rows["received_at"])
    is_gone = np.ones(before.num_rows, dtype=bool)
    is_gone[position[position >= 0]] = False
    withdrawn = before.filter(pa.array(is_gone))
    withdrawn_at = pa.repeat(pa.scalar(asked_at, pa.timestamp("us", "UTC")), withdrawn.num_rows)
    return (
        rows.set_column(rows.schema.get_field_index("received_at"), RAW_SCHEMA.field("received_at"), first_seen),
        withdrawn.append_column(WITHDRAWN_SCHEMA.field("withdrawn_at"), withdrawn_at).cast(WITHDRAWN_SCHEMA),
    )


def all_withdrawn(earlier: pa.Table, withdrawn: pa.Table) -> pa.Table:
    """The rows of a day that were withdrawn before and now, by when; neither has the day's column `date`.

    A row is known by what was published and when it was received, and is not withdrawn twice: a run that was cut off after it
    had stored what it missed is made again with the same result. Of equal rows received at one instant, of which some
    were withdrawn before and some now, the larger number is kept.
    """
    columns = [*(name for name in PUBLISHED if name != "date"), "received_at"]
    index_earlier, index_now = (
        pd.MultiIndex.from_frame(_occurrences(table.select(columns))) for table in (earlier, withdrawn)
    )
    is_new = pa.array(~index_now.isin(index_earlier))
    return pa.concat_tables([earlier.cast(withdrawn.schema), withdrawn.filter(is_new)]).sort_by("withdrawn_at")


def _occurrences(table: pa.Table) -> pd.DataFrame:
    """Each row's hash and how many equal rows come before it."""
    hashes: npt.NDArray[np.uint64] = row_hashes(table)
    frame = pd.DataFrame({"hash": hashes})
    frame["before"] = frame.groupby("hash").cumcount()
    return frame
