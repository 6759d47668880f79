"""Further columns of the rows of side tables, as one JSON text a row in the column `as_received` of `RAW_SCHEMA`."""

import json
from typing import Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.alerts.sources.tabular_settings import SideColumns, TabularSettings
from shotspotter_assets.cities.city import City

BROKEN: Final = "__broken_line__"  # column of lines that do not parse, null for sound ones; tables without any lack it
LINE: Final = "__line_number__"  # column with the number of each row in its file; tables without it count from 1
UNREAD_TIME: Final = "time"  # key of a row's own time if it cannot be read
BROKEN_LINE: Final = "line"  # key of a line that does not parse


def row_texts(
    table: pa.Table, city: City, source: TabularSettings, columns: SideColumns, time_utc: pa.ChunkedArray
) -> pa.Array:
    """Return the columns of each row that `RAW_SCHEMA` lacks as JSON by our names, without empty ones; shape (rows,).

    A time is in ISO 8601 with Z, or as received if it cannot be read.
    """
    from shotspotter_assets.alerts.sources.written_times import in_utc, read_times

    texts = {name: _texts(table[theirs]) for name, theirs in columns.further.items()}
    for name in texts.keys() & set(columns.further_times):
        moments = in_utc(read_times(table[columns.further[name]], None, source, city.name), city, source)
        written = np.char.add(np.datetime_as_string(moments), "Z").tolist()
        unread = np.isnat(moments).tolist()
        texts[name] = [text if bad else iso for text, iso, bad in zip(texts[name], written, unread, strict=True)]
    own_times = zip(_texts(table[columns.time]), time_utc.is_null().to_pylist(), strict=True)
    texts[UNREAD_TIME] = [text if is_unread else None for text, is_unread in own_times]
    if BROKEN in table.column_names:
        texts[BROKEN_LINE] = _texts(table[BROKEN])
    rows = (zip(texts, values, strict=True) for values in zip(*texts.values(), strict=True))
    return pa.array([json.dumps({name: text for name, text in row if text}) for row in rows], pa.string())


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    """Return the values of a column as text without blanks around it; shape (rows,)."""
    return [text and text.strip() for text in column.cast(pa.string()).to_pylist()]
