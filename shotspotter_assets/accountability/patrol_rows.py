"""Patrols and answers to planned visits, as the source of `patrols` gives them, and rows that cannot be used."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from shotspotter_assets.accountability.table_rows import READ_TIME, Problem, problems_of, row_frame
from shotspotter_assets.cities.city import City
from shotspotter_assets.geometry.cells import cell_name, cells_at
from shotspotter_assets.sources.row_texts import BROKEN_LINE, UNREAD_TIME

TEXTS: Final = ("unit", "until", "cell", "row", "column", "shift", "made", UNREAD_TIME, BROKEN_LINE)
ANSWERS: Final = {"yes": True, "y": True, "true": True, "1": True, "no": False, "n": False, "false": False, "0": False}
MAX_PATROL_HOURS: Final = 24
_CELL: Final = re.compile(r"R(\d+)C(\d+)", re.IGNORECASE)
_LEFT_OUT: Final = "and the row is left out"


@dataclass(frozen=True)
class PatrolRows:
    """Usable rows by start, and the problems of others.

    Columns of `frame`: `day` (filed), `where` (file and row), `start` and `end` (UTC; no `end` for an answer), `answer` (True
    or False; None for a patrol), `unit` and `shift` (None without one), and the cell's `row` and `column`.
    """

    frame: pd.DataFrame
    problems: list[Problem]

    def without(self, is_bad: "pd.Series[bool]", texts: Sequence[str] | str) -> "PatrolRows":
        """Return the rows without bad ones, which become problems with their texts."""
        return PatrolRows(self.frame[~is_bad], [*self.problems, *problems_of(self.frame[is_bad], texts)])


def read_patrols(rows: pa.Table, city: City) -> PatrolRows:
    """Return the patrols and answers of rows of the side table (`RAW_SCHEMA` with `row_texts`).

    Rows that state neither an end nor an answer are planned visits without feedback, and left out without a problem.
    """
    frame = row_frame(rows, TEXTS).rename(columns={"received": "start", "row": "row_text", "column": "column_text"})
    read = PatrolRows(frame, [])
    remedy = f"{_LEFT_OUT}. Correct"
    read = read.without(read.frame[BROKEN_LINE].notna(), f"the line does not parse, {remedy} the line")
    unread = read.frame["start"].isna()
    texts = [
        f"the time {text!r} cannot be read, {remedy} it, or columns.time and time_format of patrols.source"
        for text in read.frame.loc[unread, UNREAD_TIME]
    ]
    read = _answered(read.without(unread, texts))
    has_report = read.frame["answer"].notna() | read.frame["until"].notna()
    read = _ended(PatrolRows(read.frame[has_report], read.problems))
    return _apart(_placed(read, city))


def _answered(rows: PatrolRows) -> PatrolRows:
    """Return the rows with their `answer`; a patrol with an end that was made is no answer, but a patrol."""
    text = rows.frame["made"].str.lower()
    is_unknown = text.notna() & ~text.isin(list(ANSWERS))
    texts = [
        f"{value!r} in the column made is neither yes nor no, {_LEFT_OUT}. Write yes or no"
        for value in rows.frame.loc[is_unknown, "made"]
    ]
    left = rows.without(is_unknown, texts)
    answers = [ANSWERS.get(value or "") for value in left.frame["made"].str.lower()]
    has_end = left.frame["until"].notna()
    frame = left.frame.assign(answer=pd.Series(answers, left.frame.index, dtype=object))
    frame["answer"] = frame["answer"].where(~(has_end & (frame["answer"] == True)), None)  # noqa: E712
    return PatrolRows(frame, left.problems)


def _ended(rows: PatrolRows) -> PatrolRows:
    """Return the rows with the `end` of patrols, without those that end before they begin, or late."""
    text = rows.frame["until"].astype("string")
    is_read = text.str.fullmatch(READ_TIME).fillna(False).astype(bool)
    end = pd.to_datetime(text.where(is_read & rows.frame["answer"].isna()), format="ISO8601", utc=True)
    left = PatrolRows(rows.frame.assign(end=end), rows.problems)
    is_unread = rows.frame["answer"].isna() & ~is_read
    left = left.without(
        is_unread,
        [
            f"the end {value!r} cannot be read, {_LEFT_OUT}. Correct it, or time_format of patrols.source"
            for value in left.frame.loc[is_unread, "until"]
        ],
    )
    left = left.without(
        _hours(left) <= 0, f"the patrol ends before it begins, {_LEFT_OUT}. Correct the clock of the row"
    )
    why = f"the patrol lasts more than {MAX_PATROL_HOURS} hours, {_LEFT_OUT}. Correct the date of its end"
    return left.without(_hours(left) > MAX_PATROL_HOURS, why)


def _hours(rows: PatrolRows) -> "pd.Series[float]":
    return (rows.frame["end"] - rows.frame["start"]).dt.total_seconds() / 3600


class _Placed(NamedTuple):
    """The cell of a row, or the reason for none."""

    row: int
    column: int
    problem: str = ""


def _placed(rows: PatrolRows, city: City) -> PatrolRows:
    """Return the rows with the `row` and `column` of their cell."""
    placed = [_place(record, city) for record in rows.frame.to_dict("records")]
    problem = pd.Series([place.problem for place in placed], rows.frame.index, dtype=object)
    cells = rows.frame.assign(row=[place.row for place in placed], column=[place.column for place in placed])
    is_bad = problem != ""
    return PatrolRows(cells, rows.problems).without(is_bad, problem[is_bad].tolist())


def _place(record: dict[Any, Any], city: City) -> _Placed:
    """Return the cell of a row by its name, by row and column, or by its point."""
    if record["cell"] or record["row_text"] or record["column_text"]:
        name = record["cell"] or f"R{record['row_text']}C{record['column_text']}"
        found = _CELL.fullmatch(name)
        if found and int(found[1]) < city.grid.rows and int(found[2]) < city.grid.columns:
            return _Placed(int(found[1]), int(found[2]))
        last = cell_name(city.grid.rows - 1, city.grid.columns - 1)
        return _Placed(-1, -1, f"the grid has no cell {name!r}, {_LEFT_OUT}. Cells are R00C00 to {last}")
    point = np.array([record["longitude"]]), np.array([record["latitude"]])
    if np.isnan(point).any():
        return _Placed(-1, -1, f"it has no cell and no point, {_LEFT_OUT}. Name a cell, or longitude and latitude")
    if not city.box.holds(point[0], point[1])[0]:
        where = f"the point {record['longitude']:g}, {record['latitude']:g} lies outside the city's box"
        return _Placed(-1, -1, f"{where}, {_LEFT_OUT}. Correct it, or crs of patrols.source")
    row, column = cells_at(city, point[0], point[1])
    return _Placed(int(row[0]), int(column[0]))


def _apart(rows: PatrolRows) -> PatrolRows:
    """Return the rows by start, without patrols that begin while their unit is still on another one."""
    frame = rows.frame.sort_values(["start", "end", "where"], kind="stable")
    busy: dict[str, tuple[pd.Timestamp, str]] = {}  # by unit: end and place of its last patrol
    texts: dict[Any, str] = {}
    for index, record in frame[frame["end"].notna() & frame["unit"].notna()].iterrows():
        until, where = busy.get(record["unit"], (record["start"], ""))
        if record["start"] < until:
            texts[index] = (
                f"unit {record['unit']} is on another patrol then ({where}), {_LEFT_OUT}. Correct one of them"
            )
        else:
            busy[record["unit"]] = record["end"], record["where"]
    is_bad = pd.Series(frame.index.isin(list(texts)), frame.index)
    return PatrolRows(frame, rows.problems).without(is_bad, [texts[index] for index in frame.index[is_bad]])
