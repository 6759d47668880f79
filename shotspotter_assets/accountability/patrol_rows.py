"""Patrols and answers to planned visits, as the source of `patrols` gives them, and the shifts in which patrols count."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.alerts.sources.raw_rows import Problem, TableRow, read_instant, read_rows
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.forecasts.patrol.shifts import shift_window
from shotspotter_assets.grid.cells import cell_name, cells_at

ANSWERS: Final = dict.fromkeys(("yes", "y", "true", "t", "1", "1.0"), True) | dict.fromkeys(
    ("no", "n", "false", "f", "0", "0.0"), False
)
"""Answers in lower case; numbers have a decimal where other cells of their column are empty."""
MAX_PATROL_HOURS: Final = 24
Cell = tuple[int, int]  # row and column
_CELL: Final = re.compile(r"R(\d+)C(\d+)", re.IGNORECASE)
_LEFT_OUT: Final = "and the row is left out"


class Answer(NamedTuple):
    """A yes or no to a planned visit; the row's time is the start of its shift."""

    row: TableRow
    cell: Cell
    is_made: bool


class Patrol(NamedTuple):
    """A patrol of one unit in one cell; the row's time is its start."""

    row: TableRow
    cell: Cell
    end: datetime  # UTC


class PatrolRows(NamedTuple):
    """Usable patrols by start, answers as they were received, and problems of rows."""

    patrols: list[Patrol]
    answers: list[Answer]
    problems: list[Problem]


def read_patrols(rows: pa.Table, city: City) -> PatrolRows:
    """Return the patrols and answers of rows of the side table (`RAW_SCHEMA` with `row_texts`).

    Rows that state neither an end nor an answer are planned visits without feedback, and left out without a problem, as are
    rows from before the first day with forecasts.
    """
    records, problems = read_rows(rows, "patrols", partial(_read_report, city=city))
    patrols, overlaps = _apart([record for record in records if isinstance(record, Patrol)])
    answers = [record for record in records if isinstance(record, Answer)]
    answers.sort(key=lambda answer: (answer.row.landed, answer.row.where))
    return PatrolRows(patrols, answers, [*problems, *overlaps])


def _read_report(row: TableRow, problems: list[str], city: City) -> Patrol | Answer | None:
    """Return the patrol or the answer of a row; None, with a problem unless it states neither, if it is left out."""
    if row.time.astimezone(city.zone).date() < city.first_issue_date:
        return None
    made = row.texts.get("made")
    until = row.texts.get("until")
    is_made = ANSWERS.get((made or "").lower())
    if made and is_made is None:
        problems.append(f"{made!r} in the column made is neither yes nor no, {_LEFT_OUT}. Write yes or no")
        return None
    if until is None and is_made is None:
        return None
    # A patrol with an end that was made is no answer.
    is_answer = is_made is False or until is None
    end = None if is_answer else _end(row.time, str(until), problems)
    cell = _cell(row, city, problems) if is_answer or end else None
    if cell is None:
        return None
    return Answer(row, cell, bool(is_made)) if end is None else Patrol(row, cell, end)


def _end(start: datetime, until: str, problems: list[str]) -> datetime | None:
    """Return the end of a patrol; None, with a problem, if it cannot be."""
    end = read_instant(until)
    if end is None:
        problems.append(f"the end {until!r} cannot be read, {_LEFT_OUT}. Correct it, or time_format of patrols.source")
    elif end <= start:
        problems.append(f"the patrol ends before it begins, {_LEFT_OUT}. Correct the clock of the row")
    elif end - start > timedelta(hours=MAX_PATROL_HOURS):
        why = f"the patrol lasts more than {MAX_PATROL_HOURS} hours"
        problems.append(f"{why}, {_LEFT_OUT}. Correct the date of its end")
    else:
        return end
    return None


def _cell(row: TableRow, city: City, problems: list[str]) -> Cell | None:
    """Return row and column of the cell, by its name or by its point; None, with a problem, for none."""
    if name := row.texts.get("cell"):
        found = _CELL.fullmatch(name)
        if found and int(found[1]) < city.grid.rows and int(found[2]) < city.grid.columns:
            return int(found[1]), int(found[2])
        last = cell_name(city.grid.rows - 1, city.grid.columns - 1)
        problems.append(f"the grid has no cell {name!r}, {_LEFT_OUT}. Cells are R00C00 to {last}")
    elif row.point is None:
        problems.append(f"it has no cell and no point, {_LEFT_OUT}. Name a cell, or longitude and latitude")
    elif not city.box.holds(np.array(row.point[0]), np.array(row.point[1])):
        place = f"the point {row.point[0]:g}, {row.point[1]:g} lies outside the city's box"
        problems.append(f"{place}, {_LEFT_OUT}. Correct it, or crs of patrols.source")
    else:
        at_row, at_column = cells_at(city, np.array(row.point[0]), np.array(row.point[1]))
        return int(at_row), int(at_column)
    return None


def _apart(patrols: Sequence[Patrol]) -> tuple[list[Patrol], list[Problem]]:
    """Return the patrols by start, without those that begin while their unit is still on another one, their problems."""
    apart = []
    problems = []
    last: dict[str, Patrol] = {}  # by unit
    for patrol in sorted(patrols, key=lambda one: (one.row.time, one.end, one.row.where)):
        unit = patrol.row.texts.get("unit", "")
        other = last.get(unit)
        if other and patrol.row.time < other.end:
            text = f"unit {unit} is on another patrol then ({other.row.where}), {_LEFT_OUT}. Correct one of them"
            problems.append(Problem(patrol.row.day, patrol.row.where, text))
            continue
        apart.append(patrol)
        if unit:
            last[unit] = patrol
    return apart, problems


class Stretch(NamedTuple):
    """Time in which a shift counts patrols; of shifts that overlap, the one that began last."""

    start: datetime
    end: datetime
    day: date  # on which the shift begins
    shift: str


def _windows(began: date, city: City) -> list[Stretch]:
    """Return the shifts that begin on a day by the rules of the city's file."""
    shifts = () if city.patrol is None else city.patrol.shifts
    bounds = [(shift.name, shift_window(shift, began, city.zone)) for shift in shifts]
    return [Stretch(start.astimezone(UTC), end.astimezone(UTC), began, name) for name, (start, end) in bounds]


def stretches_around(plan: pa.Table, day: date, city: City) -> list[Stretch]:
    """Return the stretches of the shifts that begin on a day and on the days around it.

    The day's shifts are those of the city's file, or of the plan if it was made for others.
    """
    starts, ends = (
        [datetime.fromisoformat(text).astimezone(UTC) for text in plan[name].to_pylist()]
        for name in ("starts_at", "ends_at")
    )
    rows = zip(plan["shift"].to_pylist(), starts, ends, strict=True)
    planned = {Stretch(start, end, day, shift) for shift, start, end in rows}
    own = _windows(day, city)
    own = own if planned <= set(own) else sorted(planned)
    windows = [*_windows(day - ONE_DAY, city), *own, *_windows(day + ONE_DAY, city)]
    stretches = []
    for start, end in pairwise(sorted({moment for window in windows for moment in (window.start, window.end)})):
        inside = [window for window in windows if window.start <= start and end <= window.end]
        if inside:
            stretches.append(max(inside, key=lambda window: window.start)._replace(start=start, end=end))
    return stretches


def _hours_within(patrol: Patrol, stretch: Stretch) -> float:
    """Return the hours of a patrol within a stretch."""
    length = min(stretch.end, patrol.end) - max(stretch.start, patrol.row.time)
    return max(length.total_seconds(), 0.0) / 3600


def hours_by_shift(patrol: Patrol, stretches: Sequence[Stretch]) -> dict[tuple[date, str], float]:
    """Return a patrol's hours by day and shift: all in the shift that it names, or else hour by hour, and the rest in none."""
    total = (patrol.end - patrol.row.time).total_seconds() / 3600
    parts: dict[tuple[date, str], float] = {}
    for stretch in stretches:
        length = _hours_within(patrol, stretch)
        if length and stretch.shift == patrol.row.texts.get("shift"):
            return {(stretch.day, stretch.shift): total}
        if length:
            parts[stretch.day, stretch.shift] = parts.get((stretch.day, stretch.shift), 0.0) + length
    rest = total - sum(parts.values())
    return {**parts, (patrol.row.day, ""): rest} if rest > 1e-9 else parts


def reported_shift(patrol: Patrol, stretches: Sequence[Stretch]) -> tuple[date, str]:
    """Return the day and the shift that a patrol reports on: the one that it names, or in which it began."""
    named = [one for one in stretches if one.shift == patrol.row.texts.get("shift") and _hours_within(patrol, one)]
    began = [one for one in stretches if one.start <= patrol.row.time < one.end]
    return next(((one.day, one.shift) for one in named or began), (patrol.row.day, ""))
