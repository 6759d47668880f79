"""Further columns of the rows of side tables: written as one JSON text a row (`as_received` of `RAW_SCHEMA`), and read."""

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from shotspotter_assets.alerts.sources.tabular_settings import SideColumns, TabularSettings
from shotspotter_assets.cities.city import City

BROKEN: Final = "__broken_line__"  # column of lines that do not parse, null for sound ones; tables without any lack it
LINE: Final = "__line_number__"  # column with the number of each row in its file; tables without it count from 1
UNREAD_TIME: Final = "time"  # key of a row's own time if it cannot be read
BROKEN_LINE: Final = "line"  # key of a line that does not parse
MAX_PROBLEMS: Final = 50  # problems that a day's record names; it counts all
Point = tuple[float, float]  # longitude and latitude, degrees
_READ_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")  # form in which `row_texts` writes a time
_Record = TypeVar("_Record")


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


class Problem(NamedTuple):
    """A row, or a part of it, that is not used."""

    day: date  # local day under which the row is filed
    where: str  # file and row
    text: str  # problem and remedy

    @property
    def line(self) -> str:
        """File, row, problem and remedy, as records and messages name them."""
        return f"{self.where}: {self.text}."


class TableRow(NamedTuple):
    """A row of a side table with a readable time."""

    day: date  # local day under which it is filed
    where: str  # file and row
    time: datetime  # UTC
    landed: datetime  # when its file was received, UTC
    point: Point | None
    texts: dict[str, str]  # further columns by our names, without empty ones


def read_rows(
    rows: pa.Table, section: str, read: Callable[[TableRow, list[str]], _Record | None]
) -> tuple[list[_Record], list[Problem]]:
    """Return the records of a side table's rows (`RAW_SCHEMA` with `row_texts`), and problems of rows.

    `read` returns a row's record, None for one that is left out, and adds problems in words to a list. Lines that do not
    parse and rows without a readable time are left out before.
    """
    records = []
    problems = []
    for row in rows.to_pylist():
        where = f"{row['received_from']}, row {row['received_row']}"
        texts = json.loads(row["as_received"])
        found: list[str] = []
        if BROKEN_LINE in texts:
            found.append("the line does not parse, and the row is left out. Correct the line")
        elif row["time_utc"] is None:
            remedy = f"Correct the row, or columns.time and time_format of {section}.source"
            found.append(f"the time {texts.get(UNREAD_TIME)!r} cannot be read, and the row is left out. {remedy}")
        else:
            coordinates = (row["longitude"], row["latitude"])
            if coordinates.count(None) == 1:
                found.append("the point lacks its longitude or its latitude, and is left out. Correct it")
            point = None if None in coordinates else coordinates
            record = read(TableRow(row["date"], where, row["time_utc"], row["received_at"], point, texts), found)
            records += [] if record is None else [record]
        problems += [Problem(row["date"], where, text) for text in found]
    return records, problems


def read_instant(text: str) -> datetime | None:
    """Return the instant of a time among a row's texts; None if it could not be read."""
    return datetime.fromisoformat(text) if _READ_TIME.fullmatch(text) else None
