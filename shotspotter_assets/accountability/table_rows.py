"""Rows of side tables as records, and problems of rows that cannot be used."""

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Final, NamedTuple, TypeVar

import pyarrow as pa

from shotspotter_assets.alerts.sources.row_texts import BROKEN_LINE, UNREAD_TIME

MAX_PROBLEMS: Final = 50  # problems that a day's record names; it counts all
Point = tuple[float, float]  # longitude and latitude, degrees
_READ_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")  # form in which `row_texts` writes a time
_Record = TypeVar("_Record")


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
