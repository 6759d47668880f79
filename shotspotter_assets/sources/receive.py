"""One reading of a city's sources: their rows, when each was first seen, and the rows that they have withdrawn since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.sources.api.json_rows import versions_of_days
from shotspotter_assets.sources.protocol import AlertSource, ChangingSource, FileSource
from shotspotter_assets.sources.schema import ORDER, PUBLISHED, RAW_SCHEMA, WITHDRAWN_SCHEMA
from shotspotter_assets.storage.fingerprints import row_hashes


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
    """The rows of all sources of a city, each filed under the day that its source gives; see `AlertSource.read`."""
    tables = [reader.read(first, last) for reader in readers]
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).sort_by(ORDER)


def receive(readers: Sequence[AlertSource], days: Sequence[date], before: pa.Table) -> Received:
    """Read the days from all sources of a city, and compare them with what was received before.

    A landed file that is gone, damaged or being written now keeps its rows: a file that is tidied away, or spoiled, must
    not empty its days.

    Args:
        readers: of the city's sources.
        days: contiguous, sorted.
        before: `RAW_SCHEMA`, the rows stored of these days, or of some of them.

    Raises:
        SourceError: a source cannot be read, or not understood.
    """
    asked_at = datetime.now(UTC)
    changing = readers[0] if len(readers) == 1 and isinstance(readers[0], ChangingSource) else None
    # Asked for before the rows, so that rows that come in between make the day look changed, not the other way round.
    versions = changing.changed_days(days[0], days[-1]) if changing is not None and changing.counts_by_day else None
    rows = read_sources(readers, days[0], days[-1])
    files = before["received_from"].unique().to_pylist()
    unread = sorted({file for reader in readers if isinstance(reader, FileSource) for file in reader.unread(files)})
    if unread:
        kept = before.filter(pc.is_in(before["received_from"], pa.array(unread, pa.string())))
        rows = pa.concat_tables([rows, kept.cast(rows.schema)]).sort_by(ORDER)
    rows, withdrawn = keep_first_seen(rows, before, asked_at)
    if versions is None and changing is not None:
        versions = versions_of_days(rows)
    return Received(rows, withdrawn, versions, unread)


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
    index_before, index_now = (pd.MultiIndex.from_frame(_occurrences(table)) for table in (before, rows))
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


def all_withdrawn(earlier: pa.Table | None, withdrawn: pa.Table) -> pa.Table:
    """The rows that were withdrawn before, which are None where there were none, and now, by day and time."""
    tables = [withdrawn] if earlier is None else [earlier.cast(withdrawn.schema), withdrawn]
    return pa.concat_tables(tables).sort_by([("date", "ascending"), ("withdrawn_at", "ascending")])


def _occurrences(table: pa.Table) -> pd.DataFrame:
    """Each row's hash and how many equal rows come before it."""
    hashes: npt.NDArray[np.uint64] = row_hashes(table.select(PUBLISHED))
    frame = pd.DataFrame({"hash": hashes})
    frame["before"] = frame.groupby("hash").cumcount()
    return frame
